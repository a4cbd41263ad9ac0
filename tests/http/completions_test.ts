/** The legacy shape of log-probabilities, where a token is only part of a character. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chatCompletions } from "../../src/http/chat_completions.ts";
import { completions } from "../../src/http/completions.ts";
import type { Choice } from "../../src/http/generation.ts";

const head = { id: "1", created: 0, model: "m", system_fingerprint: "f" };
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const part = (id: number, byte: number, logprob: number) => ({ id, text: "\uFFFD", bytes: [byte], logprob });
const choice: Choice = {
  index: 0,
  text: "",
  tokens: [{ ...part(1, 0xc3, -1), top: [part(1, 0xc3, -1), part(2, 0xe2, -2)] }],
  finishReason: "length",
};

describe("a token that is part of a character", () => {
  it("is named by its bytes in completions, and once among the alternatives", () => {
    const request = completions.read({ model: "m", prompt: "p", logprobs: 2 });
    const answer = completions.answer(head, request, [choice], usage) as { choices: { logprobs: object }[] };
    assert.partialDeepStrictEqual(answer.choices[0]!.logprobs, {
      tokens: ["bytes:\\xc3"],
      top_logprobs: [{ "bytes:\\xc3": -1, "bytes:\\xe2": -2 }],
    });
    const [alternatives] = (answer.choices[0]!.logprobs as { top_logprobs: object[] }).top_logprobs;
    assert.equal(Object.keys(alternatives!).length, 2);
  });

  it("has its bytes in chat completions, as an alternative too", () => {
    const request = chatCompletions.read({ model: "m", messages: [{ role: "user", content: "p" }], logprobs: true });
    const answer = chatCompletions.answer(head, request, [choice], usage);
    const entry = { token: "\uFFFD", bytes: [0xc3], logprob: -1 };
    const other = { token: "\uFFFD", bytes: [0xe2], logprob: -2 };
    assert.partialDeepStrictEqual(answer, {
      choices: [{ logprobs: { content: [{ ...entry, top_logprobs: [entry, other] }] } }],
    });
  });
});
