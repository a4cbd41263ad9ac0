/**
 * Reads what a provider answered, into the samples that will be stored.
 *
 * @module
 */

import type { NewEntry } from "../store/store.ts";
import type { Sample } from "./entry.ts";
import { decodeText, encodeText, isJsonObject } from "./json.ts";
import { classify } from "./outcome.ts";
import { type SampleShape, splitAnswer } from "./samples.ts";
import { readFacts } from "./usage.ts";

/** A sample that is not stored yet. */
export interface NewSample extends NewEntry, Sample {}

/** What every sample of an answer has in common. */
export interface AnswerStamp {
  readonly modelAsked: string;
  readonly latency: number | null;
  readonly created: number;
  readonly expires: number | null;
}

/** An answer, read. */
export interface Answer {
  /** The answer as it came, byte for byte. */
  readonly body: Uint8Array;
  /** At least one. One that is `invalid` holds the whole body. */
  readonly samples: readonly NewSample[];
  /** Why the answer cannot be kept, if it cannot. */
  readonly fault?: string;
}

/** Turns what a provider answered into samples; `undefined` for a value that cannot be one. */
export type AnswerReader = (answer: unknown, shape: SampleShape, stamp: AnswerStamp) => Answer | undefined;

/** Reads an answer given as JSON (see {@link readJson}) or as its raw bytes. */
export function readAnswer(answer: unknown, shape: SampleShape, stamp: AnswerStamp): Answer | undefined {
  if (!(answer instanceof Uint8Array)) return readJson(answer, shape, stamp);
  try {
    return divide(JSON.parse(decodeText(answer)), answer, shape, stamp);
  } catch {
    return invalid(answer, stamp, "it is not JSON in UTF-8");
  }
}

/**
 * Reads an answer given as plain objects and lists. `undefined` for any other value (an instance of a class, a stream, a
 * text), and for one with such a value inside: serialised, it would come back as something else.
 */
export function readJson(answer: unknown, shape: SampleShape, stamp: AnswerStamp): Answer | undefined {
  try {
    const isJson = typeof answer === "object" && answer !== null && survivesJson(answer);
    return isJson ? divide(answer, encodeText(JSON.stringify(answer)), shape, stamp) : undefined;
  } catch {
    // A cycle inside, or more depth than the stack has: no JSON, but an answer all the same.
    return undefined;
  }
}

function divide(value: unknown, body: Uint8Array, shape: SampleShape, stamp: AnswerStamp): Answer {
  const parts = isJsonObject(value) ? splitAnswer(value, shape) : [value];
  if (parts === undefined) return invalid(body, stamp, "its choices do not cover every prompt");
  const samples = parts.map((part) => newSample(part, part === value ? body : encodeText(JSON.stringify(part)), stamp));
  return { body, samples };
}

function invalid(body: Uint8Array, stamp: AnswerStamp, fault: string): Answer {
  return { body, samples: [newSample(undefined, body, stamp)], fault };
}

function newSample(value: unknown, body: Uint8Array, stamp: AnswerStamp): NewSample {
  return {
    mediaType: "application/json",
    outcome: classify(value),
    ...readFacts(value),
    // Prices come with the price table; until then nobody said.
    costMicrodollars: null,
    ...stamp,
    body,
    bytes: () => body,
  };
}

/** Whether JSON gives a value back as it was, but for members that are `undefined`, which then are absent. */
function survivesJson(value: unknown): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      if (value === null) return true;
      // A copy, because `every` passes over gaps.
      if (Array.isArray(value)) return [...value].every(survivesJson);
      return isPlain(value) && Object.values(value).every((member) => member === undefined || survivesJson(member));
    default:
      return false;
  }
}

function isPlain(value: object): boolean {
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
