/** What is asked: one prompt, put to a base model and to the same with an adapter. */

import type { JsonObject } from "@warmcache/warmcache/browser";

/** Which of the two is asked. */
export type Side = "base" | "adapter";

/** Both, in the order in which they are shown. */
export const SIDES: readonly Side[] = ["base", "adapter"];

/** A question, as each side is asked it. */
export interface Question {
  readonly prompt: string;
  /** Tokens, at most. */
  readonly maxTokens: number;
  /** 0 takes the likeliest token each time. */
  readonly temperature: number;
  /** An unsigned 32-bit integer: the same one gives the same text. */
  readonly seed: number;
}

/** How many of the likeliest tokens are told at each place. */
const ALTERNATIVES = 5;

/** A question as the body of `/v1/completions`, but for the model: what is asked, and what the cache's key is made of. */
export function bodyOf({ prompt, maxTokens, temperature, seed }: Question): JsonObject {
  return {
    prompt,
    max_tokens: maxTokens,
    temperature,
    seed,
    logprobs: ALTERNATIVES,
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** The question in the body of a stored request; `undefined` where it is none of ours. */
export function questionIn({ prompt, max_tokens: maxTokens, temperature, seed }: JsonObject): Question | undefined {
  const isOurs = typeof prompt === "string" && [maxTokens, temperature, seed].every((each) => typeof each === "number");
  return isOurs ? { prompt, maxTokens, temperature, seed } as Question : undefined;
}

/** Sample `index` of a question: the same with a seed of its own, so that each is stored and found by itself. */
export function sampleOf(question: Question, index: number): Question {
  return { ...question, seed: (question.seed + index) >>> 0 };
}
