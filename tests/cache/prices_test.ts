import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../src/cache/json.ts";
import { type BilledUsage, readBilledUsage } from "../../src/cache/ledger/prices.ts";

/** What nobody mentions is 0, at the standard rate. */
const NOTHING: BilledUsage = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  hourCacheWriteTokens: 0,
  inputAudioTokens: 0,
  cacheReadAudioTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  outputAudioTokens: 0,
  outputImageTokens: 0,
  webSearches: 0,
  rate: "standard",
  billedApart: null,
  statedCost: null,
};

describe("readBilledUsage", () => {
  it("reads OpenAI's chat completions", () => {
    const usage = {
      prompt_tokens: 2006,
      completion_tokens: 300,
      total_tokens: 2306,
      prompt_tokens_details: { cached_tokens: 1920, audio_tokens: 6 },
      completion_tokens_details: { reasoning_tokens: 192, audio_tokens: 8, rejected_prediction_tokens: 0 },
    };
    reads({ object: "chat.completion", model: "gpt-4o", choices: [], usage, service_tier: "default" }, {
      inputTokens: 2006,
      cacheReadTokens: 1920,
      inputAudioTokens: 6,
      outputTokens: 300,
      reasoningTokens: 192,
      outputAudioTokens: 8,
    });
  });

  it("reads embeddings, also of providers that count one total", () => {
    reads({ object: "list", usage: { prompt_tokens: 8, total_tokens: 8 } }, { inputTokens: 8 });
    reads({ object: "list", usage: { total_tokens: 8 } }, { inputTokens: 8 });
  });

  it("reads OpenAI's responses", () => {
    const usage = {
      input_tokens: 328,
      input_tokens_details: { cached_tokens: 128 },
      output_tokens: 52,
      output_tokens_details: { reasoning_tokens: 32 },
      total_tokens: 380,
    };
    const output = [{ type: "reasoning" }, { type: "function_call" }, { type: "message" }];
    const read = { inputTokens: 328, cacheReadTokens: 128, outputTokens: 52, reasoningTokens: 32 };
    reads({ object: "response", output, usage, service_tier: "default" }, read);
    reads({ object: "response", output, usage, service_tier: "flex" }, { ...read, rate: "flex" });
  });

  it("reads Anthropic's messages, whose input is counted in three parts", () => {
    const usage = {
      input_tokens: 100,
      cache_creation_input_tokens: 3000,
      cache_read_input_tokens: 5000,
      cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 2000 },
      output_tokens: 400,
      server_tool_use: { web_search_requests: 2 },
      service_tier: "standard",
      inference_geo: "not_available",
    };
    reads({ type: "message", content: [], usage }, {
      inputTokens: 8100,
      cacheReadTokens: 5000,
      cacheWriteTokens: 3000,
      hourCacheWriteTokens: 2000,
      outputTokens: 400,
      webSearches: 2,
    });
  });

  it("reads what the AI SDK passes on of any of them", () => {
    const passed = (raw: JsonObject, rest: JsonObject = {}): JsonObject => ({
      content: [{ type: "text", text: "hi" }],
      finishReason: { unified: "stop" },
      usage: { inputTokens: { total: 99 }, outputTokens: { total: 99 }, raw },
      ...rest,
    });
    reads(passed({ prompt_tokens: 8, completion_tokens: 2, total_tokens: 10 }), { inputTokens: 8, outputTokens: 2 });
    const response = { input_tokens: 8, input_tokens_details: { cached_tokens: 3 }, output_tokens: 2 };
    reads(passed(response), { inputTokens: 8, cacheReadTokens: 3, outputTokens: 2 });
    const message = { input_tokens: 8, cache_read_input_tokens: 3, output_tokens: 2 };
    reads(passed(message), { inputTokens: 11, cacheReadTokens: 3, outputTokens: 2 });
    const gemini = { promptTokenCount: 8, candidatesTokenCount: 2, thoughtsTokenCount: 5 };
    reads(passed(gemini), { inputTokens: 8, outputTokens: 7, reasoningTokens: 5 });
    const read = { inputTokens: 8, cacheReadTokens: 3, outputTokens: 2 };
    reads(passed(response, { providerMetadata: { openai: { serviceTier: "flex" } } }), { ...read, rate: "flex" });
    const tool = { content: [{ type: "tool-call", toolName: "web_search", providerExecuted: true }] };
    reads(passed(response, tool), { ...read, billedApart: "a tool of the provider's" });
    const sources = { content: [{ type: "source", sourceType: "url" }] };
    reads(passed(response, sources), { ...read, billedApart: "a tool of the provider's" });
    assert.equal(readBilledUsage(passed({ tokens: 8 })), null, "in a shape that nobody here knows");
  });

  it("reads Gemini's generateContent, whose thoughts are counted apart", () => {
    const usageMetadata = {
      promptTokenCount: 1000,
      cachedContentTokenCount: 400,
      toolUsePromptTokenCount: 50,
      candidatesTokenCount: 200,
      thoughtsTokenCount: 700,
      totalTokenCount: 1950,
      promptTokensDetails: [{ modality: "TEXT", tokenCount: 900 }, { modality: "AUDIO", tokenCount: 100 }],
      cacheTokensDetails: [{ modality: "AUDIO", tokenCount: 40 }],
      candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 150 }],
      trafficType: "ON_DEMAND",
    };
    reads({ candidates: [], usageMetadata, modelVersion: "gemini-2.5-flash" }, {
      inputTokens: 1050,
      cacheReadTokens: 400,
      inputAudioTokens: 100,
      cacheReadAudioTokens: 40,
      outputTokens: 900,
      reasoningTokens: 700,
      outputImageTokens: 150,
    });
  });

  it("counts thoughts that are in the total only", () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 115 };
    reads({ usage }, { inputTokens: 10, outputTokens: 105 });
    const thinking = { ...usage, completion_tokens_details: { reasoning_tokens: 100 } };
    reads({ usage: thinking }, { inputTokens: 10, outputTokens: 105, reasoningTokens: 100 });
  });

  it("reads cached tokens under the names of DeepSeek and Moonshot", () => {
    const usage = { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 };
    const read = { inputTokens: 10, cacheReadTokens: 4, outputTokens: 1 };
    reads({ usage: { ...usage, prompt_cache_hit_tokens: 4, prompt_cache_miss_tokens: 6 } }, read);
    reads({ usage: { ...usage, cached_tokens: 4 } }, read);
  });

  it("keeps what a provider says the call cost, unless that is a fee alone", () => {
    const usage = { prompt_tokens: 1, total_tokens: 1 };
    reads({ usage: { ...usage, cost: 0.0015 } }, { inputTokens: 1, statedCost: 0.0015 });
    reads({ usage: { ...usage, cost: { total_cost: 0.006 } } }, { inputTokens: 1, statedCost: 0.006 });
    for (const cost of ["0.1", -1, NaN, {}]) reads({ usage: { ...usage, cost } }, { inputTokens: 1 });
    const own = { ...usage, cost: 0.0001, is_byok: true };
    reads({ usage: own }, { inputTokens: 1, billedApart: "the caller's own key" });
  });

  it("names the rate, where it is not the standard one", () => {
    const rate = (answer: JsonObject): string | undefined => readBilledUsage(answer)?.rate;
    const chat = { prompt_tokens: 1, total_tokens: 1 };
    const message = { input_tokens: 1, output_tokens: 1 };
    assert.equal(rate({ usage: chat, service_tier: "priority" }), "priority");
    assert.equal(rate({ usage: chat, service_tier: "on_demand" }), "standard");
    assert.equal(rate({ usage: chat, service_tier: null }), "standard");
    assert.equal(rate({ usage: { ...message, service_tier: "batch" } }), "batch");
    assert.equal(rate({ usage: { ...message, service_tier: "standard", speed: "fast" } }), "fast");
    assert.equal(rate({ usage: { ...message, inference_geo: "us" } }), "us");
    assert.equal(
      rate({ usageMetadata: { promptTokenCount: 1, trafficType: "PROVISIONED_THROUGHPUT" } }),
      "provisioned_throughput",
    );
  });

  it("names what is billed apart from tokens", () => {
    const apart = (answer: JsonObject): string | null | undefined => readBilledUsage(answer)?.billedApart;
    const chat = { prompt_tokens: 1, total_tokens: 1 };
    const input = { input_tokens: 1, output_tokens: 1 };
    const annotations = [{ type: "url_citation" }];
    assert.equal(apart({ usage: chat, choices: [{ message: { annotations } }] }), "web search");
    assert.equal(apart({ usage: chat, model: "gpt-4o-mini-search-preview" }), "web search");
    assert.equal(apart({ usage: chat, choices: [{ message: { annotations: [] } }] }), null);
    assert.equal(apart({ usage: input, output: [{ type: "web_search_call" }] }), "web_search_call");
    assert.equal(apart({ usage: input, output: [{ type: "unheard_of" }] }), "unheard_of");
    assert.equal(apart({ usage: input, container: { id: "container_1" } }), "code execution");
    const candidates = [{ groundingMetadata: { webSearchQueries: ["q"] } }];
    assert.equal(apart({ usageMetadata: { promptTokenCount: 1 }, candidates }), "grounding");
  });

  it("says nothing where the answer says nothing, or what cannot be", () => {
    const answers: unknown[] = [
      undefined,
      "text",
      [],
      {},
      { usage: null },
      { usage: {} },
      { usage: { output_tokens: 5 } },
      { usage: { prompt_tokens: -1 } },
      { usage: { prompt_tokens: 1.5 } },
      { usage: { prompt_tokens: "8" } },
      { usage: { prompt_tokens: 8, prompt_tokens_details: { cached_tokens: 9 } } },
      { usage: { prompt_tokens: 8, completion_tokens_details: { reasoning_tokens: 1 } } },
      { usage: { prompt_tokens: 8, prompt_tokens_details: { audio_tokens: "1" } } },
      { usage: { input_tokens: 8, output_tokens: 1, server_tool_use: { web_search_requests: "2" } } },
      { usage: { input_tokens: 8, cache_creation: { ephemeral_1h_input_tokens: 9 } } },
      { usageMetadata: { promptTokenCount: 8, cachedContentTokenCount: 9 } },
    ];
    for (const answer of answers) assert.equal(readBilledUsage(answer), null, JSON.stringify(answer));
  });
});

function reads(answer: JsonObject, expected: Partial<BilledUsage>): void {
  assert.deepEqual(readBilledUsage(answer), { ...NOTHING, ...expected });
}
