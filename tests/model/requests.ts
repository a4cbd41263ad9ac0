/** Requests to a view. */

import type { GenerateRequest } from "../../src/model/backend.ts";

/** A greedy request of 24 tokens, changed as asked. */
export function greedy(changes: Partial<GenerateRequest>): GenerateRequest {
  return {
    prompt: { text: "In the beginning God" },
    maxTokens: 24,
    temperature: 0,
    topP: 1,
    seed: 0,
    stop: [],
    topLogprobs: undefined,
    echo: false,
    ...changes,
  };
}
