/**
 * What every golden directory holds, `schema_<user_version>/` each, as the code of that schema wrote it. From version 2
 * on: everything a file can hold; {@link ./make.ts} makes it.
 */

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { DailyAmounts, Key, NewEntry, NewFailure, RequestRecord } from "../../src/store/store.ts";

export const MODEL = "gpt-4o-mini";
export const FILE_NAME = "gpt-4o-mini-8a434280.sqlite";

/** The requests, by what is to be said, and how many answers each has. */
export const REQUESTS: readonly (readonly [word: string, samples: number])[] = [["one", 1], ["three", 3], [
  "größe 😀",
  1,
]];

/** From version 2 on: so many requests with one answer each that a dictionary is made of them. */
export const ALIKE: readonly (readonly [word: string, samples: number])[] = Array.from(
  { length: 220 },
  (_, index) => [`alike ${index}`, 1],
);

const encoder = new TextEncoder();

/** Where the golden files of a schema lie. */
export function goldenDirectory(version: number): string {
  return fileURLToPath(new URL(`./schema_${version}`, import.meta.url));
}

/** A request. Keys are frozen by `docs/key.md`, so they are computed here by hand. */
export function requestOf(word: string): RequestRecord {
  const body = { messages: [{ content: `Say ${word}`, role: "user" }], model: MODEL, temperature: 0.5 };
  const scope = { endpoint: "/v1/chat/completions", identity: null, namespace: "golden", provider: "openai" };
  const key = createHash("sha256").update(JSON.stringify({ body, ...scope, v: 1 })).digest();
  return { ...scope, key: new Uint8Array(key), body: encoder.encode(JSON.stringify(body)), sketch: sketchOf(word) };
}

/** The key of a request. */
export function keyOf(word: string): Key {
  return requestOf(word).key;
}

/** A sketch as good as any. */
export function sketchOf(word: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(word).digest().subarray(0, 16));
}

/** An answer, byte for byte. */
export function answerOf(word: string, sample: number): string {
  const message = { role: "assistant", content: `${word} ${sample} `.repeat(20), refusal: null };
  return JSON.stringify({
    id: "chatcmpl-golden",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_golden",
    choices: [{ index: 0, message, logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: 12, completion_tokens: 40, total_tokens: 52 },
  });
}

/** An answer as it is stored. */
export function entryOf(word: string, sample: number): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: MODEL,
    modelAnswered: "gpt-4o-mini-2024-07-18",
    fingerprint: "fp_golden",
    promptTokens: 12,
    completionTokens: 40,
    costMicrodollars: null,
    latency: null,
    created: 1_700_000_000_000,
    expires: null,
    body: encoder.encode(answerOf(word, sample)),
  };
}

/** A day in the ledger, from version 2 on. */
export const LEDGER: DailyAmounts = { model: MODEL, day: "2026-11-22", amounts: { hits: 3, dollars: 0.25 } };

/** When the files were made, as far as they say: whoever looks for what is forgotten after a while has to look then. */
export const MADE: number = Date.UTC(2026, 0, 1);

/** The last of two failures, from version 2 on. */
export const FAILURE: NewFailure = {
  last: MADE,
  expires: MADE + 60_000,
  error: encoder.encode('{"status":400,"message":"größe"}'),
};

/** The word whose only answer expires, from version 2 on, and when. */
export const BRIEF = "brief";
export const BRIEF_EXPIRES = 4_000_000_000_000;
