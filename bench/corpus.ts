/** Requests and answers to measure with: prose put together from the example model's own tokens, the same in every process. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { NewEntry, RequestRecord } from "../src/store/store.ts";
import { seededRandom } from "./harness.ts";

const TOKENIZER = new URL("../models/kjv-tiny/tokenizer.json", import.meta.url);

/** A question and its answer. */
export interface Sample {
  readonly request: RequestRecord;
  readonly entry: NewEntry;
}

/** `count` answers of about `bytes` bytes of JSON each, in OpenAI's shape. */
export function corpus(count: number, bytes: number): Sample[] {
  const random = seededRandom(1);
  const { model } = JSON.parse(readFileSync(TOKENIZER, "utf8")) as { model: { vocab: Record<string, number> } };
  // Common words first, as in real prose: Zipf's law. Byte-level BPE writes a space as Ġ.
  const words = Object.keys(model.vocab).filter((token) => /^Ġ[a-z]{2,}$/.test(token)).map((token) => token.slice(1));
  const word = (): string => words[Math.floor(words.length * random() ** 2)]!;
  const prose = (length: number): string => {
    let text = word();
    while (text.length < length) text += ` ${word()}`;
    return text;
  };
  return Array.from({ length: count }, (_, index) => sample(index, prose(200), prose(bytes - 300)));
}

/** The key of entry `index`; indexes from `count` on are misses. */
export function keyOf(index: number): Uint8Array {
  return createHash("sha256").update(`request ${index}`).digest();
}

function sample(index: number, prompt: string, content: string): Sample {
  const answer = {
    id: `chatcmpl-${index}`,
    object: "chat.completion",
    created: 1_790_000_000 + index,
    model: "gpt-4o-mini-2024-07-18",
    choices: [{
      index: 0,
      message: { role: "assistant", content, refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: { prompt_tokens: 50, completion_tokens: 400, total_tokens: 450 },
    system_fingerprint: "fp_0123456789",
  };
  const encoder = new TextEncoder();
  return {
    request: {
      key: keyOf(index),
      namespace: "",
      provider: "openai",
      endpoint: "/v1/chat/completions",
      identity: null,
      body: encoder.encode(JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: prompt }] })),
      sketch: keyOf(index).subarray(0, 16),
    },
    entry: {
      mediaType: "application/json",
      outcome: "stop",
      modelAsked: "gpt-4o-mini",
      modelAnswered: answer.model,
      fingerprint: answer.system_fingerprint,
      promptTokens: 50,
      completionTokens: 400,
      costMicrodollars: null,
      latency: 1200,
      created: 1_790_000_000_000 + index,
      expires: null,
      body: encoder.encode(JSON.stringify(answer)),
    },
  };
}
