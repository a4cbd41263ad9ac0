/** How request bodies are read: OpenAI's defaults, `null` as absent, refusals by name. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chatCompletions } from "../../src/http/chat_completions.ts";
import { completions } from "../../src/http/completions.ts";
import { ApiError } from "../../src/http/errors.ts";

const COMPLETION = { model: "m", prompt: "p" };
const CHAT = { model: "m", messages: [{ role: "user", content: "p" }] };

function refusal(read: () => unknown): Pick<ApiError, "status" | "param"> {
  try {
    read();
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, param: error.param };
    throw error;
  }
  assert.fail("was not refused");
}

describe("completions", () => {
  it("have OpenAI's defaults", () => {
    const expected = {
      model: "m",
      prompts: [{ text: "p" }],
      n: 1,
      seed: undefined,
      stream: false,
      includeUsage: false,
      sampling: { maxTokens: 16, temperature: 1, topP: 1, stop: [], topLogprobs: undefined, echo: false },
    };
    assert.deepEqual(completions.read(COMPLETION), expected);
    const nulls = { max_tokens: null, temperature: null, top_p: null, n: null, stop: null, seed: null, logprobs: null };
    assert.deepEqual(completions.read({ ...COMPLETION, ...nulls }), expected);
  });

  it("take one text, several, token ids, several lists of them", () => {
    for (
      const [prompt, prompts] of [
        ["a", [{ text: "a" }]],
        [["a", "b"], [{ text: "a" }, { text: "b" }]],
        [[1, 2], [{ ids: [1, 2] }]],
        [[[1], [2, 3]], [{ ids: [1] }, { ids: [2, 3] }]],
      ] as const
    ) assert.deepEqual(completions.read({ ...COMPLETION, prompt }).prompts, prompts);
  });

  it("take any safe integer as a seed, in 32 bits", () => {
    for (const [seed, expected] of [[7, 7], [-1, 0xffffffff], [2 ** 32 + 5, 5]] as const) {
      assert.equal(completions.read({ ...COMPLETION, seed }).seed, expected);
    }
  });

  it("refuse what would change the answer if it were ignored, and let its harmless values pass", () => {
    for (
      const [field, value] of [["suffix", "x"], ["best_of", 2], ["logit_bias", { 5: 1 }], [
        "presence_penalty",
        0.5,
      ]] as const
    ) {
      assert.deepEqual(refusal(() => completions.read({ ...COMPLETION, [field]: value })), {
        status: 400,
        param: field,
      });
    }
    completions.read({ ...COMPLETION, suffix: null, best_of: 1, logit_bias: {}, presence_penalty: 0, whatever: [1] });
  });
});

describe("chat completions", () => {
  it("join the text parts of a message", () => {
    const content = [{ type: "text", text: "a" }, { type: "text", text: "b" }];
    const { prompts } = chatCompletions.read({ ...CHAT, messages: [{ role: "user", content }] });
    assert.deepEqual(prompts, [{ messages: [{ role: "user", content: "ab" }] }]);
  });

  it("prefer max_completion_tokens to max_tokens and have no limit of their own", () => {
    assert.equal(chatCompletions.read(CHAT).sampling.maxTokens, undefined);
    assert.equal(chatCompletions.read({ ...CHAT, max_tokens: 5 }).sampling.maxTokens, 5);
    assert.equal(chatCompletions.read({ ...CHAT, max_tokens: 5, max_completion_tokens: 6 }).sampling.maxTokens, 6);
  });

  it("name the field at fault as OpenAI does", () => {
    for (
      const [body, param] of [
        [{ ...CHAT, messages: [] }, "messages"],
        [{ ...CHAT, messages: [{ role: "user", content: 5 }] }, "messages[0].content"],
        [{ ...CHAT, top_logprobs: 2 }, "top_logprobs"],
        [{ ...CHAT, response_format: { type: "json_object" } }, "response_format"],
        [{ ...CHAT, stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
      ] as const
    ) assert.deepEqual(refusal(() => chatCompletions.read(body)), { status: 400, param });
  });
});
