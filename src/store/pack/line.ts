/**
 * The lines of a pack: a request, then its answers, each in canonical JSON (RFC 8785) with the SHA-256 of itself. A line
 * is read by writing what it says once more: what does not come out the same was changed, or is written otherwise than
 * the format says.
 *
 * @module
 */

import { bytesOfHex, hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import { OUTCOMES } from "../outcomes.ts";
import type { EntryFields, Outcome, RequestRecord } from "../store.ts";
import { readBytes, writeBytes } from "./body.ts";

/** A request as its line has it. */
export interface AskedLine {
  readonly model: string;
  readonly record: RequestRecord;
  /** Sorted by their UTF-16 code units, each once. */
  readonly tags: readonly string[];
  /** How many lines of answers follow. */
  readonly samples: number;
  /** Bytes of these answers as they are returned. */
  readonly answerBytes: number;
}

/** An answer as its line has it. */
export interface Answer {
  readonly fields: EntryFields;
  readonly body: Uint8Array;
}

/** SHA-256 of bytes, as the machine has it. */
export type Sha256 = Runtime["sha256"];

const encoder = new TextEncoder();
const DIGEST = '"sha256":"';
const KEY = /^[0-9a-f]{64}$/;
const SKETCH = new RegExp(`^[0-9a-f]{${2 * SKETCH_BYTES}}$`);

/** The text of a request's line, without the line feed. */
export function writeAsked({ model, record, tags, samples, answerBytes }: AskedLine, sha256: Sha256): string {
  const { key, namespace, provider, endpoint, identity, body, sketch } = record;
  const first = { answerBytes, body: writeBytes(body), endpoint, identity, key: hexOf(key) };
  const named = { ...first, model, namespace, provider, samples };
  const rest = JSON.stringify({ sketch: hexOf(sketch), tags, type: "request" });
  return sealed(JSON.stringify(named), rest, sha256);
}

/** The text of an answer's line, without the line feed. */
export function writeAnswer(key: string, sample: number, { fields, body }: Answer, sha256: Sha256): string {
  const { completionTokens, costMicrodollars, created, expires, fingerprint, latency, mediaType } = fields;
  const { modelAnswered, modelAsked, outcome, promptTokens } = fields;
  const first = { body: writeBytes(body), completionTokens, costMicrodollars, created, expires, fingerprint, key };
  const named = { ...first, latency, mediaType, modelAnswered, modelAsked, outcome, promptTokens, sample };
  return sealed(JSON.stringify(named), '{"type":"answer"}', sha256);
}

/** What tells answers apart, wherever they are: the digest of all that is known of one, its place excepted. */
export function contentOf(answer: Answer, sha256: Sha256): string {
  const line = writeAnswer("", 0, answer, sha256);
  const at = line.lastIndexOf(DIGEST) + DIGEST.length;
  return line.slice(at, at + 64);
}

/** What is needed of a request's line to find one's way, before the line is verified. */
export interface Head {
  readonly model: string;
  readonly key: string;
  readonly samples: number;
  readonly answerBytes: number;
  /** In hexadecimal. */
  readonly sketch: string;
}

/**
 * Reads the head of a request's line, which may say anything still.
 *
 * @throws Error when it is none; the message says why.
 */
export function headOf(text: string): Head {
  return headIn(parsed(text, "request"));
}

function headIn({ model, key, samples, answerBytes, sketch }: Readonly<Record<string, unknown>>): Head {
  demand(typeof model === "string" && KEY.test(String(key)) && SKETCH.test(String(sketch)));
  demand(Number.isSafeInteger(samples) && (samples as number) > 0);
  demand(Number.isSafeInteger(answerBytes) && (answerBytes as number) >= 0);
  return { model, key, samples, answerBytes, sketch } as Head;
}

/**
 * Reads a request's line.
 *
 * @throws Error when it is none, or not as it was written; the message says why.
 */
export function readAsked(text: string, sha256: Sha256): AskedLine {
  const line = parsed(text, "request");
  const { namespace, provider, endpoint, identity, tags } = line;
  const { model, key, sketch, samples, answerBytes } = headIn(line);
  for (const value of [namespace, provider, endpoint]) demand(typeof value === "string");
  demand(identity === null || typeof identity === "string");
  demand(Array.isArray(tags) && tags.every((tag) => typeof tag === "string") && isAscending(tags));
  const asked = {
    model,
    record: {
      key: bytesOfHex(key),
      namespace: namespace as string,
      provider: provider as string,
      endpoint: endpoint as string,
      identity: identity as string | null,
      body: readBytes(line.body),
      sketch: bytesOfHex(sketch),
    },
    tags: tags as string[],
    samples,
    answerBytes,
  };
  compare(text, writeAsked(asked, sha256));
  return asked;
}

/**
 * Reads the line of a request's answer.
 *
 * @throws Error when it is none, or not as it was written; the message says why.
 */
export function readAnswer(text: string, key: string, sample: number, sha256: Sha256): Answer {
  const line = parsed(text, "answer");
  demand(line.key === key, "it belongs to another request");
  demand(line.sample === sample, "it is out of its place");
  const { mediaType, outcome, modelAsked, modelAnswered, fingerprint, created } = line;
  demand(typeof mediaType === "string" && typeof modelAsked === "string" && Number.isFinite(created));
  demand((OUTCOMES as readonly unknown[]).includes(outcome));
  for (const value of [modelAnswered, fingerprint]) demand(value === null || typeof value === "string");
  const { promptTokens, completionTokens, costMicrodollars, latency, expires } = line;
  const numbers = { promptTokens, completionTokens, costMicrodollars, latency, expires };
  for (const value of Object.values(numbers)) demand(value === null || Number.isFinite(value));
  const fields: EntryFields = {
    mediaType: mediaType as string,
    outcome: outcome as Outcome,
    modelAsked: modelAsked as string,
    modelAnswered: modelAnswered as string | null,
    fingerprint: fingerprint as string | null,
    created: created as number,
    ...numbers as Record<keyof typeof numbers, number | null>,
  };
  const answer = { fields, body: readBytes(line.body) };
  compare(text, writeAnswer(key, sample, answer, sha256));
  return answer;
}

/** Puts the digest between two parts of a line's members; it is of the line without it. */
function sealed(first: string, rest: string, sha256: Sha256): string {
  const [before, after] = [first.slice(0, -1), rest.slice(1)];
  const digest = hexOf(sha256(encoder.encode(`${before},${after}`)));
  return `${before},"sha256":"${digest}",${after}`;
}

function parsed(text: string, type: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("it is no JSON");
  }
  const line = value as Readonly<Record<string, unknown>> | null;
  demand(typeof line === "object" && line !== null && line.type === type, `a line of type "${type}" belongs here`);
  return line!;
}

function compare(text: string, written: string): void {
  if (text === written) return;
  const digest = /"sha256":"[0-9a-f]{64}"/g;
  const isOnlyDigest = text.replace(digest, "") === written.replace(digest, "");
  throw new Error(isOnlyDigest ? "its SHA-256 is not that of what it says" : "it was changed, or is not canonical");
}

function demand(isSo: boolean, why = "a member is missing, or of the wrong kind"): void {
  if (!isSo) throw new Error(why);
}

function isAscending(texts: readonly string[]): boolean {
  return texts.every((text, index) => index === 0 || texts[index - 1]! < text);
}
