/** How request bodies are read: OpenAI's defaults, `null` as absent, refusals by name. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chatCompletions } from "../../src/http/chat_completions.ts";
import { completions } from "../../src/http/completions.ts";
import type { Prompt } from "../../src/model/backend.ts";
import { ApiError } from "../../src/http/api_error.ts";

const COMPLETION = { model: "m", prompt: "p" };
const CHAT = { model: "m", messages: [{ role: "user", content: "p" }] };

function messagesOf(prompts: readonly Prompt[]): unknown {
  const [prompt] = prompts;
  return prompt !== undefined && "messages" in prompt ? prompt.messages : undefined;
}

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
      // What is left out is for the model's generation config to say.
      sampling: {
        maxTokens: 16,
        temperature: undefined,
        topP: undefined,
        topK: undefined,
        minP: undefined,
        repetitionPenalty: undefined,
        presencePenalty: undefined,
        frequencyPenalty: undefined,
        logitBias: undefined,
        minTokens: undefined,
        stop: [],
        topLogprobs: undefined,
        echo: false,
      },
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
      const [field, value] of [
        ["suffix", "x"],
        ["best_of", 2],
        ["stop_token_ids", [5]],
        ["ignore_eos", true],
        ["guided_json", { type: "object" }],
        ["use_beam_search", true],
        ["prompt_logprobs", 0],
        ["skip_special_tokens", false],
        ["add_special_tokens", false],
        ["repeat_penalty", 1.1],
        ["typical_p", 0.9],
        ["chat_template_kwargs", { a: 1 }],
        ["response_format", { type: "json_object" }],
      ] as const
    ) {
      assert.deepEqual(refusal(() => completions.read({ ...COMPLETION, [field]: value })), {
        status: 400,
        param: field,
      });
    }
    const harmless = { suffix: null, best_of: 1, ignore_eos: false, skip_special_tokens: true, repeat_penalty: 1 };
    completions.read({ ...COMPLETION, ...harmless, add_special_tokens: true, whatever: [1] });
  });

  it("take everything that says how tokens are chosen, under vLLM's names where OpenAI has none", () => {
    const said = {
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      repetition_penalty: 1.2,
      presence_penalty: -1,
      frequency_penalty: 0.5,
      logit_bias: { 7: -100, 12: 1.5 },
      min_tokens: 3,
      stop: ["a", "b"],
    };
    assert.partialDeepStrictEqual(completions.read({ ...COMPLETION, ...said }).sampling, {
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      repetitionPenalty: 1.2,
      presencePenalty: -1,
      frequencyPenalty: 0.5,
      logitBias: [[7, -100], [12, 1.5]],
      minTokens: 3,
      stop: ["a", "b"],
    });
    assert.equal(completions.read({ ...COMPLETION, top_k: -1 }).sampling.topK, 0);
    assert.deepEqual(chatCompletions.read({ ...CHAT, ...said }).sampling.logitBias, [[7, -100], [12, 1.5]]);
  });

  it("refuse what is out of range, by name", () => {
    for (
      const [field, value, param = field] of [
        ["top_k", -2],
        ["top_k", 1.5],
        ["min_p", 1.1],
        ["repetition_penalty", 0],
        ["presence_penalty", 3],
        ["frequency_penalty", -2.1],
        ["logit_bias", { 5: 101 }, "logit_bias.5"],
        ["logit_bias", { word: 1 }, "logit_bias.word"],
        ["min_tokens", -1],
        ["n", 129],
        ["stop", ""],
        ["stop", Array.from({ length: 17 }, () => "x")],
      ] as const
    ) assert.deepEqual(refusal(() => completions.read({ ...COMPLETION, [field]: value })), { status: 400, param });
  });
});

describe("chat completions", () => {
  it("join the text parts of a message", () => {
    const content = [{ type: "text", text: "a" }, { type: "text", text: "b" }];
    const { prompts } = chatCompletions.read({ ...CHAT, messages: [{ role: "user", content }] });
    assert.deepEqual(messagesOf(prompts), [{ role: "user", content: "ab" }]);
  });

  it("keep what else a message has: names, tools' answers and calls of tools", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "p", name: "Ann" },
      { role: "assistant", content: null, tool_calls: [{ id: "1" }] },
      { role: "assistant", tool_calls: [{ id: "2" }] },
      { role: "tool", content: "42", tool_call_id: "1" },
    ];
    assert.deepEqual(messagesOf(chatCompletions.read({ ...CHAT, messages }).prompts), messages);
  });

  it("hand the template what the request says of it", () => {
    const template = (fields: object) => {
      const [prompt] = chatCompletions.read({ ...CHAT, ...fields }).prompts;
      return (prompt as { template?: unknown }).template;
    };
    const nothing = { addGenerationPrompt: undefined, continueFinalMessage: undefined, variables: undefined };
    assert.deepEqual(template({}), nothing);
    assert.deepEqual(template({ add_generation_prompt: null, chat_template_kwargs: null }), nothing);
    assert.deepEqual(
      template({
        add_generation_prompt: false,
        continue_final_message: true,
        chat_template_kwargs: { enable_thinking: false },
      }),
      { addGenerationPrompt: false, continueFinalMessage: true, variables: { enable_thinking: false } },
    );
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
        [{ ...CHAT, messages: [{ role: "assistant" }] }, "messages[0].content"],
        [{ ...CHAT, messages: [{ role: "user", content: null }] }, "messages[0].content"],
        [{ ...CHAT, messages: [{ role: "king", content: "p" }] }, "messages[0].role"],
        [{ ...CHAT, messages: [{ role: "user", content: "p", audio: { id: "1" } }] }, "messages[0].audio"],
        [{ ...CHAT, top_logprobs: 2 }, "top_logprobs"],
        [{ ...CHAT, tools: [{ type: "function" }] }, "tools"],
        [{ ...CHAT, chat_template: "{{ messages }}" }, "chat_template"],
        [{ ...CHAT, chat_template_kwargs: [1] }, "chat_template_kwargs"],
        [{ ...CHAT, chat_template_kwargs: { messages: [] } }, "chat_template_kwargs.messages"],
        [{ ...CHAT, add_generation_prompt: true, continue_final_message: true }, "continue_final_message"],
        [{ ...CHAT, reasoning_effort: "high" }, "reasoning_effort"],
        [{ ...CHAT, response_format: { type: "json_object" } }, "response_format"],
        [{ ...CHAT, stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
      ] as const
    ) assert.deepEqual(refusal(() => chatCompletions.read(body)), { status: 400, param });
  });
});
