/** The middleware of the AI SDK below models of our own, which answer with all that the interface has. */

import type { LanguageModelV4, LanguageModelV4GenerateResult, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { wrapLanguageModel } from "ai";
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { cacheMiddleware } from "../../src/interop/ai_sdk.ts";
import { fromJson, toJson } from "../../src/interop/ai_sdk/values.ts";
import { settled } from "../cache/shared_memory.ts";
import { type CacheUnderTest, openTestCache } from "../cache/support.ts";

const USAGE = {
  inputTokens: { total: 11, noCache: 9, cacheRead: 2, cacheWrite: 0 },
  outputTokens: { total: 7, text: 5, reasoning: 2 },
  raw: { prompt_tokens: 11, completion_tokens: 7 },
};
const PICTURE = new Uint8Array([0x89, 0x50, 0, 255]);

/** An answer with one of each. */
const RESULT: LanguageModelV4GenerateResult = {
  content: [
    { type: "reasoning", text: "Clouds?", providerMetadata: { house: { signature: "sig" } } },
    { type: "text", text: "It will rain. 🌧", providerMetadata: { house: { $type: "date" } } },
    { type: "source", sourceType: "url", id: "s1", url: "https://example.com", title: "Weather" },
    { type: "file", mediaType: "image/png", data: { type: "data", data: PICTURE } },
    {
      type: "reasoning-file",
      mediaType: "image/png",
      data: { type: "url", url: new URL("https://example.com/a.png") },
    },
    { type: "tool-call", toolCallId: "c1", toolName: "search", input: '{"for":"rain"}', providerExecuted: true },
    { type: "tool-result", toolCallId: "c1", toolName: "search", result: { found: [1, null] }, isError: false },
    { type: "tool-approval-request", approvalId: "a1", toolCallId: "c2" },
    { type: "custom", kind: "house.thing" },
  ],
  finishReason: { unified: "stop", raw: "done" },
  usage: USAGE,
  providerMetadata: { house: { logprobs: [-0.5] } },
  response: { id: "r1", timestamp: new Date(1767225600123), modelId: "m-1.2" },
  warnings: [{ type: "other", message: "slow" }],
};
const PARTS: LanguageModelV4StreamPart[] = [
  { type: "stream-start", warnings: RESULT.warnings },
  { type: "ping" },
  { type: "response-metadata", id: "r1", timestamp: new Date(1767225600123), modelId: "m-1.2" },
  { type: "reasoning-start", id: "0" },
  { type: "reasoning-delta", id: "0", delta: "Clo" },
  { type: "text-start", id: "1" },
  { type: "reasoning-delta", id: "0", delta: "uds?" },
  { type: "text-delta", id: "1", delta: "It will rain. 🌧" },
  { type: "reasoning-end", id: "0", providerMetadata: { house: { signature: "sig" } } },
  { type: "text-end", id: "1", providerMetadata: { house: { $type: "date" } } },
  ...RESULT.content.slice(2) as LanguageModelV4StreamPart[],
  { type: "finish", finishReason: RESULT.finishReason, usage: USAGE, providerMetadata: RESULT.providerMetadata! },
];

describe("cacheMiddleware, with all that the interface has", () => {
  let under: CacheUnderTest;
  let calls: number;
  beforeEach(() => {
    under = openTestCache();
    calls = 0;
  });

  function model(parts: readonly LanguageModelV4StreamPart[] = PARTS, result = RESULT): LanguageModelV4 {
    const inner: LanguageModelV4 = {
      specificationVersion: "v4",
      provider: "house",
      modelId: "m",
      supportedUrls: {},
      doGenerate: () => (calls++, Promise.resolve(result)),
      doStream: () => (calls++, Promise.resolve({ stream: ReadableStream.from(parts), request: { body: "asked" } })),
    };
    return wrapLanguageModel({ model: inner, middleware: cacheMiddleware(under.cache, { provider: "house" }) });
  }

  const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "Will it rain?" }] }];

  async function generate(of: LanguageModelV4 = model()) {
    const { response: { headers, ...response } = {}, ...result } = await of.doGenerate({ prompt });
    return { result: { ...result, response }, mark: headers?.["x-warmcache"] };
  }

  async function stream(of: LanguageModelV4 = model()): Promise<LanguageModelV4StreamPart[]> {
    const parts: LanguageModelV4StreamPart[] = [];
    const reader = (await of.doStream({ prompt })).stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return parts;
      parts.push(value);
    }
  }

  it("gives dates, bytes and addresses back as what they are", async () => {
    for (const mark of ["miss", "hit"]) assert.deepEqual(await generate(), { result: RESULT, mark });
    assert.equal(calls, 1);
  });

  it("gives the parts of a stream back, one by one", async () => {
    for (let i = 0; i < 2; i++) assert.deepEqual(await stream(), PARTS);
    assert.equal(calls, 1);
  });

  it("puts a stream together to what would have been generated", async () => {
    await stream();
    assert.deepEqual((await generate()).result, RESULT);
    assert.equal(calls, 1);
  });

  it("makes a stream of what was generated", async () => {
    await generate();
    const parts = await stream();
    under = openTestCache();
    await stream(model(parts));
    assert.deepEqual((await generate()).result, RESULT, "put together, it is the same again");
    assert.equal(calls, 2);
  });

  it("keeps no stream whose end, or whose parts, nobody can vouch for", async () => {
    const finish = (unified: "interrupted" | "other"): LanguageModelV4StreamPart => ({
      type: "finish",
      finishReason: { unified } as LanguageModelV4GenerateResult["finishReason"],
      usage: USAGE,
    });
    const last = PARTS.length - 1;
    const streams: LanguageModelV4StreamPart[][] = [
      PARTS.slice(0, last),
      [...PARTS.slice(0, last), finish("interrupted")],
      [...PARTS.slice(0, last), finish("other")],
      PARTS.filter(({ type }) => type !== "text-end"),
      PARTS.filter(({ type }) => type !== "text-start"),
      [...PARTS.slice(0, 2), PARTS[3]!, ...PARTS.slice(3)],
      [...PARTS.slice(0, 2), { type: "unheard-of" } as unknown as LanguageModelV4StreamPart, ...PARTS.slice(2)],
      [...PARTS.slice(0, 2), { type: "error", error: new Error("overloaded") }, ...PARTS.slice(2)],
      [...PARTS.slice(0, 2), { type: "custom", kind: "a.b", providerMetadata: { a: { f() {} } } } as never],
    ];
    for (const parts of streams) assert.deepEqual(await stream(model(parts)), parts);
    await settled();
    assert.equal(under.store.puts.length, 0);
    assert.equal(calls, streams.length);
  });

  it("passes an error on as it was thrown, and to whoever reads along as what it was", async () => {
    const error = Object.assign(new Error("overloaded"), { name: "AI_APICallError", statusCode: 529, secret: {} });
    const of = model([PARTS[0]!, { type: "error", error }]);
    const [own, other] = await Promise.all([stream(of), stream(of)]);
    assert.equal((own[1] as { error: unknown }).error, error);
    const { name, message, statusCode, secret } =
      (other[1] as { error: Error & { statusCode: number; secret?: object } })
        .error;
    assert.deepEqual([name, message, statusCode, secret], ["AI_APICallError", "overloaded", 529, undefined]);
    assert.equal(calls, 1);
  });

  it("returns what is no JSON, and lets everybody ask for his own", async () => {
    const odd = { ...RESULT, providerMetadata: { house: { f() {} } } } as unknown as LanguageModelV4GenerateResult;
    for (let i = 0; i < 2; i++) assert.equal(await model(PARTS, odd).doGenerate({ prompt }), odd);
    assert.equal(calls, 2);
    assert.equal(under.store.puts.length, 0);
  });

  it("stores nothing that ended in an error or was interrupted", async () => {
    for (const unified of ["error", "interrupted"] as const) {
      const failed = { ...RESULT, finishReason: { unified, raw: undefined } };
      for (let i = 0; i < 2; i++) assert.equal((await generate(model(PARTS, failed))).mark, "miss");
    }
    assert.equal(calls, 4);
  });

  it("tells the model when nobody reads any more", async () => {
    let cancelled = false;
    const endless = new ReadableStream<LanguageModelV4StreamPart>({
      start: (controller) => controller.enqueue(PARTS[0]!),
      cancel: () => void (cancelled = true),
    });
    const inner = { ...model(), doStream: () => Promise.resolve({ stream: endless }) };
    const { stream } = await wrapLanguageModel({
      model: inner,
      middleware: cacheMiddleware(under.cache, { provider: "house" }),
    })
      .doStream({ prompt });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    assert.ok(cancelled);
    assert.equal(under.store.puts.length, 0);
  });
});

describe("toJson, fromJson", () => {
  it("give back what went in, whatever it looks like", () => {
    const values: unknown[] = [
      null,
      [undefined, 1],
      { $type: "bytes", bytes: "!" },
      { $type: { $type: "object", object: {} } },
      { __proto__: null, a: new Date(5) },
      [NaN, Infinity, -Infinity],
      Uint8Array.from({ length: 100_000 }, (_, at) => at % 256),
    ];
    for (const value of values) {
      const plain = Array.isArray(value) && value[0] === undefined ? [null, 1] : value;
      const back = fromJson(JSON.parse(JSON.stringify(toJson(value))));
      assert.deepEqual(
        back,
        plain instanceof Uint8Array || Array.isArray(plain) || plain === null ? plain : { ...plain },
      );
    }
  });

  it("refuses what has no JSON", () => {
    for (const value of [() => {}, Symbol("x"), 1n, new Map(), [new WeakSet()]]) {
      assert.throws(() => toJson(value), /Cannot write a value as JSON/);
    }
  });
});
