/** Prices by hand, against what the providers publish. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type PricedCall, readBilledUsage } from "../../src/cache/ledger/prices.ts";
import { tablePrices } from "../../src/compose/prices.ts";

const JANUARY_2026 = Date.UTC(2026, 0, 15);
const priceOf = tablePrices();

describe("tablePrices", () => {
  it("prices OpenAI's gpt-4o-mini: $0.15 in, $0.075 cached, $0.60 out per million (2024-10-01)", async () => {
    const usage = chatUsage(10_000, 2_000, { prompt_tokens_details: { cached_tokens: 6_000 } });
    // 4,000 x 0.15 + 6,000 x 0.075 + 2,000 x 0.60
    assert.equal(await price({ model: "gpt-4o-mini-2024-07-18", usage }), 600 + 450 + 1200);
  });

  it("prices Anthropic's Claude Sonnet 4.5: $3, cached $0.30, written $3.75 and $6, $15 out (2025-09-29)", async () => {
    const usage = {
      input_tokens: 100,
      cache_read_input_tokens: 5_000,
      cache_creation_input_tokens: 3_000,
      cache_creation: { ephemeral_5m_input_tokens: 1_000, ephemeral_1h_input_tokens: 2_000 },
      output_tokens: 400,
    };
    const call = { provider: "anthropic", modelAsked: "claude-sonnet-4-5" };
    // 100 x 3 + 5,000 x 0.30 + 1,000 x 3.75 + 2,000 x 6 + 400 x 15
    const microdollars = 300 + 1500 + 3750 + 12000 + 6000;
    assert.equal(await price({ model: "claude-sonnet-4-5-20250929", usage }, call), microdollars);
    // $10 for a thousand searches
    const searched = { ...usage, server_tool_use: { web_search_requests: 3 } };
    assert.equal(await price({ model: "claude-sonnet-4-5-20250929", usage: searched }, call), microdollars + 30_000);
  });

  it("prices Google's Gemini 2.5 Flash: $0.30, sound $1.00, cached $0.03, $2.50 out (2025-11)", async () => {
    const call = { provider: "google", modelAsked: "gemini-2.5-flash" };
    const usageMetadata = {
      promptTokenCount: 10_000,
      cachedContentTokenCount: 4_000,
      candidatesTokenCount: 500,
      thoughtsTokenCount: 1_500,
    };
    // 6,000 x 0.30 + 4,000 x 0.03 + 2,000 x 2.50
    assert.equal(await price({ modelVersion: "gemini-2.5-flash", usageMetadata }, call), 1800 + 120 + 5000);
    const promptTokensDetails = [{ modality: "AUDIO", tokenCount: 1_000 }];
    const heard = { promptTokenCount: 3_000, promptTokensDetails, candidatesTokenCount: 100 };
    assert.equal(await price({ modelVersion: "gemini-2.5-flash", usageMetadata: heard }, call), 600 + 1000 + 250);
  });

  it("prices Gemini 2.5 Pro by the length of the prompt: $1.25 and $10, beyond 200,000 tokens $2.50 and $15", async () => {
    const call = { provider: "google", modelAsked: "gemini-2.5-pro" };
    const prompt = (promptTokenCount: number): Promise<number | null> =>
      price({ usageMetadata: { promptTokenCount, candidatesTokenCount: 1_000 } }, call);
    assert.equal(await prompt(200_000), 250_000 + 10_000);
    assert.equal(await prompt(300_000), 750_000 + 15_000);
  });

  it("prices embeddings in fractions: text-embedding-3-small at $0.02 per million", async () => {
    const answer = { model: "text-embedding-3-small", usage: { prompt_tokens: 8, total_tokens: 8 } };
    assert.equal(await price(answer, { modelAsked: "text-embedding-3-small" }), 0.16);
  });

  it("takes the price of the day: o3 fell from $10 and $40 to $2 and $8 on 2025-06-10", async () => {
    const answer = { model: "o3-2025-04-16", usage: chatUsage(1_000, 1_000) };
    const on = (created: number): Promise<number | null> => price(answer, { modelAsked: "o3", created });
    assert.equal(await on(Date.UTC(2025, 5, 9)), 50_000);
    assert.equal(await on(Date.UTC(2025, 5, 11)), 10_000);
  });

  it("knows a provider by its origin, and a configured one by the table's own name", async () => {
    const answer = { model: "llama-3.3-70b-versatile", usage: chatUsage(1_000, 1_000) };
    const by = (provider: string): Promise<number | null> =>
      price(answer, { provider, modelAsked: "llama-3.3-70b-versatile" });
    assert.equal(await by("https://api.groq.com"), 590 + 790);
    assert.equal(await by("groq"), 590 + 790);
  });

  it("takes the model asked for where a dated version of it is not in the table", async () => {
    const usage = chatUsage(1_000, 0);
    assert.equal(await price({ model: "gpt-4o-mini-2031-01-31", usage }), 150);
    assert.equal(await price({ usage }), 150);
    assert.equal(await price({ model: "gpt-4o-mini-super", usage }), null);
  });

  it("believes OpenRouter, which states dollars, and nobody else who states a cost", async () => {
    const answer = { model: "openai/gpt-4o-mini", usage: { ...chatUsage(1_000, 0), cost: 0.000123 } };
    const by = (provider: string): Promise<number | null> =>
      price(answer, { provider, modelAsked: "openai/gpt-4o-mini" });
    assert.equal(await by("https://openrouter.ai"), 123);
    assert.equal(await by("https://gateway.example"), null);
    const free = { model: "some/model:free", usage: { ...chatUsage(1_000, 0), cost: 0 } };
    assert.equal(await price(free, { provider: "openrouter", modelAsked: "some/model:free" }), 0);
  });

  describe("does not guess the price of", () => {
    const usage = chatUsage(1_000, 100);
    const cases: [what: string, answer: Record<string, unknown>, call?: Partial<PricedCall>][] = [
      ["an unknown model", { model: "gpt-unheard-of", usage }, { modelAsked: "gpt-unheard-of" }],
      ["a local model", { model: "gpt-4o-mini", usage }, { provider: "local" }],
      ["an unknown origin", { model: "gpt-4o-mini", usage }, { provider: "http://127.0.0.1:8000" }],
      ["a provider whose name contains another's", { model: "gpt-4o-mini", usage }, { provider: "openai-proxy" }],
      ["another rate", { model: "gpt-4o-mini", usage, service_tier: "flex" }],
      ["what is billed apart", { model: "gpt-4o-mini-search-preview", usage }],
      ["a model that has no rate in the table", { model: "omni-moderation-latest", usage }],
      ["sound where the table has no rate for it", {
        model: "gpt-4o-audio-preview",
        usage: chatUsage(1_000, 100, { completion_tokens_details: { audio_tokens: 50 } }),
      }],
      ["cached tokens where the table has no rate for them", {
        model: "gpt-4-turbo",
        usage: chatUsage(1_000, 100, { prompt_tokens_details: { cached_tokens: 500 } }),
      }],
      ["completions of a model that only embeds", { model: "text-embedding-3-small", usage }],
    ];
    for (const [what, answer, call] of cases) {
      it(what, async () => assert.equal(await price(answer, call), null));
    }
  });

  it("loads the table when it is first asked, once, and then answers at once", async () => {
    let loads = 0;
    const lazy = tablePrices(() => {
      loads++;
      return import("@pydantic/genai-prices");
    });
    assert.equal(loads, 0);
    const call = pricedCall({ model: "gpt-4o-mini", usage: chatUsage(1_000, 0) });
    assert.deepEqual(await Promise.all([lazy(call), lazy(call)]), [150, 150]);
    assert.equal(lazy(call), 150);
    assert.equal(loads, 1);
  });

  it("knows no price when the table cannot be loaded, or fails", async () => {
    const call = pricedCall({ model: "gpt-4o-mini", usage: chatUsage(1_000, 0) });
    assert.equal(await tablePrices(() => Promise.reject(new Error("not there")))(call), null);
    const contradictory = { ...call, usage: { ...call.usage, cacheReadTokens: 2_000 } };
    assert.equal(await priceOf(contradictory), null);
    assert.equal(await priceOf({ ...call, modelAnswered: "o3", created: NaN }), null);
  });

  it("reaches for no network", async () => {
    const { fetch } = globalThis;
    let fetched = 0;
    globalThis.fetch = (): never => {
      fetched++;
      throw new Error("no network");
    };
    try {
      assert.equal(await tablePrices()(pricedCall({ model: "gpt-4o-mini", usage: chatUsage(1_000, 0) })), 150);
    } finally {
      globalThis.fetch = fetch;
    }
    assert.equal(fetched, 0);
  });
});

function chatUsage(prompt: number, completion: number, rest: Record<string, unknown> = {}): Record<string, unknown> {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion, ...rest };
}

function pricedCall(answer: Record<string, unknown>, rest: Partial<PricedCall> = {}): PricedCall {
  const named = answer.model ?? answer.modelVersion;
  return {
    provider: "openai",
    modelAsked: "gpt-4o-mini",
    modelAnswered: typeof named === "string" ? named : null,
    usage: readBilledUsage(answer)!,
    created: JANUARY_2026,
    ...rest,
  };
}

async function price(answer: Record<string, unknown>, rest: Partial<PricedCall> = {}): Promise<number | null> {
  return await priceOf(pricedCall(answer, rest));
}
