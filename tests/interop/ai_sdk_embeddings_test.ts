/** The middleware for embeddings below the real SDK and its providers, against a server that speaks their wire formats. */

import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embed, type EmbeddingModel, embedMany, wrapEmbeddingModel } from "ai";
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { type AiSdkCacheOptions, embeddingCacheMiddleware } from "../../src/interop/ai_sdk.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { type CacheUnderTest, openTestCache } from "../cache/support.ts";
import { type Asked, refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";

type Model = Parameters<typeof wrapEmbeddingModel>[0]["model"];

/** A vector that tells its text, and has a value that binary32 would change. */
const vectorOf = (text: string): number[] => [text.length, 0.1];

function openaiAnswer({ body: { input } }: Asked): Response {
  const texts = [input].flat() as string[];
  const data = texts.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }));
  return Response.json({ object: "list", model: "e-1", data, usage: { prompt_tokens: texts.length, total_tokens: 1 } });
}

function googleAnswer({ body }: Asked): Response {
  const valuesOf = ({ content }: JsonObject) => {
    const [{ text }] = (content as { parts: [{ text: string }] }).parts;
    return { values: vectorOf(text) };
  };
  return Array.isArray(body.requests)
    ? Response.json({ embeddings: (body.requests as JsonObject[]).map(valuesOf) })
    : Response.json({ embedding: valuesOf(body) });
}

describe("embeddingCacheMiddleware", () => {
  let upstream: Upstream;
  let under: CacheUnderTest;
  before(async () => {
    upstream = await startUpstream();
  });
  after(() => upstream.close());
  beforeEach(() => {
    upstream.reset();
    under = openTestCache();
    upstream.answer = (asked) => asked.path.startsWith("/v1/embeddings") ? openaiAnswer(asked) : googleAnswer(asked);
  });

  const openai = (id = "text-embedding-3-small"): Model =>
    createOpenAI({ baseURL: `${upstream.url}/v1`, apiKey: "unused" }).embedding(id);
  const google = (): Model =>
    createGoogle({ baseURL: `${upstream.url}/v1beta`, apiKey: "unused" }).embedding("gemini-embedding-001");
  const cached = (model: Model, options: AiSdkCacheOptions = {}): EmbeddingModel =>
    wrapEmbeddingModel({ model, middleware: embeddingCacheMiddleware(under.cache, options) });

  const marksOf = (responses: readonly ({ headers?: Record<string, string> } | undefined)[] | undefined) =>
    responses?.map((response) => response?.headers?.["x-warmcache"]);

  for (const [name, model] of Object.entries({ OpenAI: openai, Gemini: google })) {
    it(`asks ${name} for each text once, whatever it comes with`, async () => {
      const values = ["a", "bb", "ccc"];
      const first = await embedMany({ model: cached(model()), values });
      assert.deepEqual(first.embeddings, values.map(vectorOf));
      const second = await embedMany({ model: cached(model()), values: ["ccc", "dddd", "a", "ccc"] });
      assert.deepEqual(second.embeddings, ["ccc", "dddd", "a", "ccc"].map(vectorOf));
      const third = await embed({ model: cached(model()), value: "bb" });
      assert.deepEqual(third.embedding, vectorOf("bb"));
      assert.equal(upstream.asked.length, 2);
      assert.match(JSON.stringify(upstream.asked[1]!.body), /dddd/);
      assert.doesNotMatch(JSON.stringify(upstream.asked[1]!.body), /ccc|warmcache/);
      assert.deepEqual(marksOf(first.responses), ["miss"]);
      assert.deepEqual(third.response?.headers, { "x-warmcache": "hit" });
    });
  }

  it("goes round the cache where an option has an item for each text, which is not known by the text", async () => {
    const part = (data: string) => [{ inlineData: { mimeType: "image/png", data } }];
    upstream.answer = ({ body }) => {
      const pictureIn = ({ content }: JsonObject) => {
        const { inlineData } = (content as { parts: { inlineData: { data: string } }[] }).parts.at(-1)!;
        return { values: [inlineData.data.length, 0.5] };
      };
      return Response.json({ embeddings: (body.requests as JsonObject[]).map(pictureIn) });
    };
    const ask = async (values: string[], ...pictures: string[]) => {
      const providerOptions = { google: { content: pictures.map(part) } };
      return (await embedMany({ model: cached(google()), values, providerOptions, maxRetries: 0 })).embeddings;
    };
    assert.deepEqual(await ask(["a", "b"], "AAAA", "BBBBBBBB"), [[4, 0.5], [8, 0.5]]);
    assert.deepEqual(await ask(["a", "a"], "AAAA", "BBBBBBBB"), [[4, 0.5], [8, 0.5]]);
    assert.deepEqual(await ask(["a", "b"], "BBBBBBBB", "AAAA"), [[8, 0.5], [4, 0.5]]);
    assert.equal(under.store.puts.length, 0);
  });

  it("tells the tokens that were bought for each text", async () => {
    const usages = [];
    for (let i = 0; i < 2; i++) {
      usages.push((await embedMany({ model: cached(openai()), values: ["a", "b"] })).usage.tokens);
    }
    assert.deepEqual(usages, [2, 2]);
  });

  it("keeps models and dimensions apart", async () => {
    const ask = (model: Model, providerOptions: Parameters<typeof embed>[0]["providerOptions"] = {}) =>
      embed({ model: cached(model), value: "a", providerOptions });
    for (let i = 0; i < 2; i++) {
      await ask(openai());
      await ask(openai("text-embedding-3-large"));
      await ask(openai(), { openai: { dimensions: 2 } });
      await ask(google());
    }
    assert.equal(upstream.asked.length, 4);
  });

  it("takes the options of one call, and keeps them from the provider", async () => {
    const ask = async (warmcache: Record<string, string | string[]>) =>
      (await embed({ model: cached(openai()), value: "a", providerOptions: { warmcache } })).response?.headers
        ?.["x-warmcache"];
    const marks = [];
    for (const options of [{ tags: ["weather"] }, {}, { mode: "off" }, { namespace: "other" }]) {
      marks.push(await ask(options));
    }
    assert.deepEqual(marks, ["miss", "hit", "bypass", "miss"]);
    await assert.rejects(ask({ tll: "1" }), /unknown option .*: tll$/);
  });

  it("leaves it to the SDK to try again, and stores no failure", async () => {
    let refused = 0;
    const { answer } = upstream;
    upstream.answer = (asked) => refused++ === 0 ? refusal(503, "busy", { "Retry-After-Ms": "1" }) : answer(asked);
    const model = cached(openai());
    await assert.rejects(embed({ model, value: "a", maxRetries: 0 }), (error) => APICallError.isInstance(error));
    assert.deepEqual((await embed({ model, value: "a" })).embedding, vectorOf("a"));
  });

  it("refuses an option that does not exist", () => {
    assert.throws(() => embeddingCacheMiddleware(under.cache, { tll: 1 } as object), /unknown option .*: tll$/);
  });
});
