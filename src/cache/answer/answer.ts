/**
 * Reads what a provider answered, into the samples that will be stored.
 *
 * @module
 */

import type { NewEntry, Outcome } from "../../store/store.ts";
import type { Sample } from "./entry.ts";
import { decodeText, encodeText, isJsonObject } from "../json.ts";
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
  /** Until when an answer with an outcome may be served. */
  readonly expires: (outcome: Outcome) => number | null;
}

/** An answer, read. */
export interface Answer {
  /** The answer as it came, byte for byte; absent where it came in pieces. */
  readonly body?: Uint8Array;
  /** What was billed, parsed, whole or sample by sample: see {@link ../ledger/prices.ts}. */
  readonly bills: readonly unknown[];
  /** At least one. Where there is a fault, the one holds the whole body. */
  readonly samples: readonly NewSample[];
  /** Why the answer cannot be kept, if it cannot. */
  readonly fault?: string;
}

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
    return isPlainJson(answer) ? divide(answer, encodeText(JSON.stringify(answer)), shape, stamp) : undefined;
  } catch {
    // More depth than the stack has: no JSON, but an answer all the same.
    return undefined;
  }
}

/** Whether a value is an object or a list that JSON gives back as it is; see {@link readJson}. */
export function isPlainJson(value: unknown): boolean {
  try {
    return typeof value === "object" && value !== null && survivesJson(value);
  } catch {
    // A cycle inside, or more depth than the stack has.
    return false;
  }
}

function divide(value: unknown, body: Uint8Array, shape: SampleShape, stamp: AnswerStamp): Answer {
  const parts = isJsonObject(value) ? splitAnswer(value, shape) : [value];
  if (parts === undefined) return invalid(body, stamp, "its choices do not cover every prompt");
  const samples = parts.map((part) => {
    // A copy: the body is the buyer's to change, and what others get is made of the samples.
    return newSample(part, part === value ? body.slice() : encodeText(JSON.stringify(part)), stamp);
  });
  return { body, bills: [value], samples };
}

function invalid(body: Uint8Array, stamp: AnswerStamp, fault: string): Answer {
  return { body, bills: [], samples: [newSample(undefined, body, stamp)], fault };
}

/** One sample of an answer, not priced yet; `value` is `body` parsed. */
export function newSample(value: unknown, body: Uint8Array, stamp: AnswerStamp): NewSample {
  const { expires, ...known } = stamp;
  const outcome = classify(value);
  return {
    mediaType: "application/json",
    outcome,
    ...readFacts(value),
    // What it costs is found out from the answer as a whole.
    costMicrodollars: null,
    ...known,
    expires: expires(outcome),
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
