/** The middleware of the AI SDK below the real SDK and its providers, against a server that speaks their wire formats. */

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import {
  APICallError,
  defaultSettingsMiddleware,
  generateText,
  isStepCount,
  type LanguageModel,
  Output,
  streamText,
  tool,
  wrapLanguageModel,
} from "ai";
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { z } from "zod";
import { type AiSdkCacheOptions, cacheMiddleware } from "../../src/interop/ai_sdk.ts";
import type { PricedCall } from "../../src/cache/ledger/prices.ts";
import { settled } from "../cache/shared_memory.ts";
import { chatChunks, chatText, USAGE } from "../cache/streams.ts";
import { type CacheUnderTest, openTestCache } from "../cache/support.ts";
import { gate } from "../support/gate.ts";
import { refusal, startUpstream, streaming, type Upstream } from "../support/upstream/upstream.ts";

const WHOLE = {
  id: "chatcmpl-7",
  object: "chat.completion",
  created: 1767225600,
  choices: [{ index: 0, message: { role: "assistant", content: "It will rain." }, finish_reason: "stop" }],
  usage: USAGE,
};

describe("cacheMiddleware", () => {
  let upstream: Upstream;
  let under: CacheUnderTest;
  before(async () => {
    upstream = await startUpstream();
  });
  after(() => upstream.close());
  beforeEach(() => {
    upstream.reset();
    under = openTestCache();
    upstream.mock.onMessage("rain", {
      content: "It will rain tomorrow, and then it will not.",
      reasoning: "Clouds, hence rain.",
      usage: {
        prompt_tokens: 11,
        completion_tokens: 7,
        total_tokens: 18,
        input_tokens: 11,
        output_tokens: 7,
        promptTokenCount: 11,
        candidatesTokenCount: 7,
        totalTokenCount: 18,
      },
    });
    upstream.mock.onMessage("umbrella", { toolCalls: [{ name: "umbrella", arguments: '{"open":true}' }] });
  });

  /** What the providers' models are, each behind the cache. */
  const MODELS: Record<string, (id?: string) => LanguageModelV4> = {
    "OpenAI's chat completions": (id = "gpt-4o-mini") =>
      createOpenAI({ baseURL: `${upstream.url}/v1`, apiKey: "unused" }).chat(id),
    "OpenAI's responses": (id = "gpt-4o-mini") =>
      createOpenAI({ baseURL: `${upstream.url}/v1`, apiKey: "unused" }).responses(id),
    "Anthropic's messages": (id = "claude-haiku-4-5") =>
      createAnthropic({ baseURL: `${upstream.url}/v1`, apiKey: "unused" })(id),
    "Gemini": (id = "gemini-2.5-flash") => createGoogle({ baseURL: `${upstream.url}/v1beta`, apiKey: "unused" })(id),
  };

  const cached = (model: LanguageModelV4, options: AiSdkCacheOptions = {}): LanguageModelV4 =>
    wrapLanguageModel({ model, middleware: cacheMiddleware(under.cache, options) });

  const RAIN = { prompt: "Will it rain?", maxRetries: 0 };
  const TOOLS = { umbrella: tool({ inputSchema: z.object({ open: z.boolean() }) }) };

  async function generated(model: LanguageModel, rest: object = {}) {
    const {
      text,
      reasoningText,
      toolCalls,
      usage,
      finishReason,
      response,
      providerMetadata,
      warnings,
      sources,
      files,
    } = await generateText({ model, ...RAIN, ...rest });
    const { headers, id, timestamp, modelId } = response;
    return {
      answer: {
        text,
        reasoningText,
        toolCalls,
        usage,
        finishReason,
        providerMetadata,
        warnings,
        sources,
        files,
        id,
        timestamp,
        modelId,
      },
      mark: headers?.["x-warmcache"],
    };
  }

  async function streamed(model: LanguageModel, rest: object = {}) {
    const result = streamText({ model, ...RAIN, onError() {}, ...rest });
    const parts: unknown[] = [];
    for await (const part of result.fullStream) parts.push(part);
    const { headers, id, timestamp, modelId } = await result.response;
    return {
      parts,
      answer: {
        text: await result.text,
        reasoningText: await result.reasoningText,
        toolCalls: await result.toolCalls,
        usage: await result.usage,
        finishReason: await result.finishReason,
        providerMetadata: await result.providerMetadata,
        warnings: await result.warnings,
        sources: await result.sources,
        files: await result.files,
        id,
        timestamp,
        modelId,
      },
      mark: headers?.["x-warmcache"],
    };
  }

  /** What the SDK makes up where the provider does not say it is another every time. */
  const stable = ({ id, timestamp, ...answer }: Awaited<ReturnType<typeof generated>>["answer"]) =>
    id.startsWith("aitxt-") ? answer : { ...answer, id, said: timestamp instanceof Date };

  const essence = ({ text, toolCalls, usage, finishReason }: Awaited<ReturnType<typeof generated>>["answer"]) => ({
    text,
    calls: toolCalls.map(({ toolName, input }) => ({ toolName, input })),
    tokens: [usage.inputTokens, usage.outputTokens],
    finishReason,
  });

  for (const [name, model] of Object.entries(MODELS)) {
    describe(`with ${name}`, () => {
      for (const prompt of ["Will it rain?", "The umbrella, please."]) {
        const about = prompt.includes("rain") ? "a text" : "a tool's call";
        const rest = { prompt, tools: TOOLS };

        it(`generates ${about} once: the second answer is the first`, async () => {
          const first = await generated(cached(model()), rest);
          const second = await generated(cached(model()), rest);
          assert.equal(upstream.asked.length, 1);
          assert.deepEqual(stable(second.answer), stable(first.answer));
          assert.deepEqual([first.mark, second.mark], ["miss", "hit"]);
        });

        it(`streams ${about} once: the second stream brings what the first did`, async () => {
          const first = await streamed(cached(model()), rest);
          const second = await streamed(cached(model()), rest);
          assert.equal(upstream.asked.length, 1);
          assert.deepEqual(stable(second.answer), stable(first.answer));
          assert.deepEqual(second.parts.length, first.parts.length);
          assert.deepEqual([first.mark, second.mark], ["miss", "hit"]);
        });

        it(`streams ${about} that was generated, and generates what was streamed`, async () => {
          const whole = await generated(cached(model()), rest);
          const stream = await streamed(cached(model()), rest);
          assert.deepEqual(essence(stream.answer), essence(whole.answer));
          assert.equal(upstream.asked.length, 1);
          const other = { ...rest, temperature: 0.5 };
          const first = await streamed(cached(model()), other);
          const second = await generated(cached(model()), other);
          assert.deepEqual(essence(second.answer), essence(first.answer));
          assert.equal(upstream.asked.length, 2);
        });
      }
    });
  }

  const openai = (id?: string) => MODELS["OpenAI's chat completions"]!(id);

  it("runs the steps of a loop with tools once", async () => {
    upstream.mock.prependFixture({ match: { hasToolResult: true }, response: { content: "It is open." } });
    const opened: unknown[] = [];
    const tools = {
      umbrella: tool({
        inputSchema: z.object({ open: z.boolean() }),
        execute: (input) => {
          opened.push(input);
          return "done";
        },
      }),
    };
    const run = async (): Promise<string[]> => {
      const { steps, text } = await generateText({
        model: cached(openai()),
        prompt: "The umbrella, please.",
        tools,
        stopWhen: isStepCount(3),
      });
      return [String(steps.length), text];
    };
    assert.deepEqual(await run(), ["2", "It is open."]);
    assert.deepEqual(await run(), ["2", "It is open."]);
    assert.equal(upstream.asked.length, 2, "one for each step");
    assert.deepEqual(opened, [{ open: true }, { open: true }], "tools are the caller's own, and are run");
  });

  it("answers with objects, whole and as they are written", async () => {
    upstream.mock.onMessage("forecast", { content: { rain: true, degrees: 7 } });
    const output = Output.object({ schema: z.object({ rain: z.boolean(), degrees: z.number() }) });
    const asked = { model: cached(openai()), prompt: "The forecast.", output };
    for (let i = 0; i < 2; i++) {
      assert.deepEqual((await generateText(asked)).output, { rain: true, degrees: 7 });
      assert.deepEqual(await streamText(asked).output, { rain: true, degrees: 7 });
    }
    assert.equal(upstream.asked.length, 1);
  });

  it("asks once for those who ask at the same time, whatever form they want", async () => {
    const model = cached(openai());
    const [first, ...others] = await Promise.all([
      streamed(model),
      streamed(model),
      generated(model),
      generated(model),
    ]);
    for (const { answer } of others) assert.deepEqual(essence(answer), essence(first.answer));
    assert.equal(upstream.asked.length, 1);
  });

  describe("keeps apart", () => {
    it("models, interfaces and servers", async () => {
      const elsewhere = createOpenAI({ baseURL: `${upstream.url}/openai/v1`, apiKey: "unused" }).chat("gpt-4o-mini");
      upstream.answer = () => undefined;
      for (let i = 0; i < 2; i++) {
        for (const model of [openai(), openai("gpt-4o"), MODELS["OpenAI's responses"]!()]) {
          await generated(cached(model));
        }
        await generated(cached(openai(), { provider: "house" }));
        await generated(cached(elsewhere)).catch(() => {});
      }
      assert.deepEqual(upstream.asked.map(({ path }) => path), [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/chat/completions",
        "/openai/v1/chat/completions",
      ]);
    });

    it("what is asked, whichever part of it differs", async () => {
      const model = cached(openai());
      const questions: object[] = [
        {},
        { prompt: "Will it rain here?" },
        { instructions: "Be brief: rain or not." },
        { temperature: 0 },
        { topP: 0.5 },
        { seed: 7 },
        { maxOutputTokens: 99 },
        { stopSequences: ["not"] },
        { tools: TOOLS },
        { tools: TOOLS, toolChoice: "none" },
        { providerOptions: { openai: { user: "somebody" } } },
      ];
      for (let i = 0; i < 2; i++) for (const question of questions) await generated(model, question);
      assert.equal(upstream.asked.length, questions.length);
      const { params } = await paramsOf();
      for (let i = 0; i < 2; i++) {
        await model.doGenerate(params);
        await model.doGenerate({ ...params, unheardOf: 1 } as typeof params);
      }
      assert.equal(upstream.asked.length, questions.length + 1, "the first is the SDK's own first question");
    });

    it("files by what is in them", async () => {
      const model = cached(openai());
      const ask = (data: Uint8Array | URL) =>
        generated(model, {
          prompt: undefined,
          messages: [{
            role: "user",
            content: [{ type: "text", text: "Is that rain?" }, { type: "file", mediaType: "image/png", data }],
          }],
        });
      const picture = (...bytes: number[]): Uint8Array => new Uint8Array([0x89, 0x50, 0x4e, 0x47, ...bytes]);
      const marks = [];
      for (const data of [picture(1), picture(1), picture(2), picture(1), new URL("https://example.com/a.png")]) {
        marks.push((await ask(data)).mark);
      }
      assert.deepEqual(marks, ["miss", "hit", "miss", "hit", "miss"]);
    });
  });

  describe("knows a model by what it was made with", () => {
    const marksOf = async (models: readonly LanguageModelV4[], options?: AiSdkCacheOptions): Promise<unknown[]> => {
      const marks: unknown[] = [];
      for (const model of models) marks.push((await generated(cached(model, options))).mark);
      return marks;
    };
    const made = (settings: object): LanguageModelV4 =>
      createAnthropic({ baseURL: `${upstream.url}/v1`, apiKey: "unused", ...settings })("claude-haiku-4-5");
    /** As many providers have them that are not the SDK's own: with settings and a configuration in plain sight. */
    const withOwn = (own: object): LanguageModelV4 => Object.assign(Object.create(openai()), own);
    const asking = (query: string): object => ({
      config: { ...Object(openai()).config, url: () => `${upstream.url}/v1/chat/completions${query}` },
    });

    it("the headers that may change answers, the model's own and those of a call", async () => {
      const beta = { "anthropic-beta": "one" };
      const version = (named: string): object => ({ headers: { "anthropic-version": named, "x-title": "A" } });
      const models = [{}, { headers: beta }, version("2023-06-01"), version("2026-10-21")];
      assert.deepEqual(await marksOf(models.map(made)), ["miss", "miss", "hit", "miss"]);
      const { mark } = await generated(cached(made({})), { headers: { "Anthropic-Beta": "one" } });
      assert.equal(mark, "hit", "it does not matter who names it");
      assert.equal((await generated(cached(made({})), { headers: { "x-tenant": "a" } })).mark, "miss");
      const { asked } = upstream;
      assert.equal(asked.length, 4);
      await generated(cached(made({}), { ignoreHeaders: ["X-Job"] }), { headers: { "x-job": "7" } });
      assert.equal(asked.length, 4);
    });

    it("its keys not, even where it costs a call to get one, or none can be had", async () => {
      let tokens = 0;
      const authToken = () => Promise.resolve(`token ${++tokens}`);
      assert.deepEqual(await marksOf([made({}), made({ apiKey: undefined, authToken })]), ["miss", "hit"]);
      const none = () => Promise.reject(new Error("no token to be had"));
      const model = made({ apiKey: undefined, authToken: none });
      assert.deepEqual(await marksOf([model, model]), ["hit", "hit"], "an answer that is there needs none");
      assert.equal(upstream.asked.length, 1);
    });

    it("its settings, and what it adds to every request", async () => {
      const models = [
        withOwn({}),
        withOwn({ settings: { reasoning: "low" } }),
        withOwn({ settings: { reasoning: "high" } }),
        withOwn({ settings: { reasoning: "low" } }),
        withOwn({ config: { ...Object(openai()).config, extraBody: { route: "fast" } } }),
        withOwn({ settings: { onAnswer() {} } }),
      ];
      assert.deepEqual(await marksOf(models), ["miss", "miss", "miss", "hit", "miss", "bypass"]);
    });

    it("the version in its address, and does not guess what another query means", async () => {
      const models = ["?api-version=1", "?api-version=2", "?api-version=1", "?route=fast"].map(asking).map(withOwn);
      assert.deepEqual(await marksOf(models), ["miss", "miss", "hit", "bypass"]);
      const [, , , unknown] = models;
      assert.deepEqual(await marksOf([unknown!, unknown!], { identity: "the fast one" }), ["miss", "hit"]);
    });

    it("and caches none that shows nothing, unless it is named", async () => {
      const hot = (temperature: number): LanguageModelV4 =>
        wrapLanguageModel({ model: openai(), middleware: defaultSettingsMiddleware({ settings: { temperature } }) });
      assert.deepEqual(await marksOf([hot(0), hot(1), hot(0)]), ["bypass", "bypass", "bypass"]);
      assert.deepEqual(await marksOf([hot(0), hot(0)], { identity: "cold" }), ["miss", "hit"]);
      assert.deepEqual(await marksOf([hot(1), hot(1)], { provider: "the hot one" }), ["miss", "hit"]);
    });

    it("and refuses one of another version of the interface, which it would misread", async () => {
      const { provider, modelId, supportedUrls } = openai();
      const old = { specificationVersion: "v2", provider, modelId, supportedUrls, doGenerate: () => Promise.reject() };
      const call = cacheMiddleware(under.cache).wrapGenerate({ params: (await paramsOf()).params, model: old });
      await assert.rejects(call, { name: "TypeError", message: /another interface than v4 .*: v2$/ });
    });
  });

  it("goes round the cache for what has no JSON, and for credentials, which are not to be stored", async () => {
    const model = cached(openai());
    const { params } = await paramsOf();
    const calls: Partial<LanguageModelV4CallOptions>[] = [
      { providerOptions: { openai: { onEvent: (() => {}) as never } } },
      { prompt: [{ role: "user", content: [{ type: "text", text: "Will it rain? \ud83c" }] }] },
      { providerOptions: { house: { deep: JSON.parse(`${"[".repeat(600)}${"]".repeat(600)}`) } } },
      { tools: [{ type: "provider", id: "openai.mcp", name: "mcp", args: { authorization: "Bearer secret" } }] },
      { providerOptions: { anthropic: { mcpServers: [{ type: "url", authorizationToken: "secret" }] } } },
    ];
    for (const call of calls) {
      for (let i = 0; i < 2; i++) {
        const { response } = await model.doGenerate({ ...params, ...call });
        assert.equal(response?.headers?.["x-warmcache"], "bypass");
      }
    }
    assert.equal(under.store.puts.length, 0);
  });

  /** What the SDK calls a model with. */
  async function paramsOf() {
    const seen = Promise.withResolvers<
      LanguageModelV4CallOptions
    >();
    const model = openai();
    const doGenerate: typeof model.doGenerate = (params) => {
      seen.resolve(params);
      return Promise.reject(new Error("only asked"));
    };
    const { provider, modelId, supportedUrls, doStream } = model;
    const spy: typeof model = { specificationVersion: "v4", provider, modelId, supportedUrls, doGenerate, doStream };
    await generateText({ model: spy, ...RAIN }).catch(() => {});
    return { params: await seen.promise };
  }

  it("does not ask again for what only says who asks, and how", async () => {
    const { params } = await paramsOf();
    assert.match(params.headers?.["user-agent"] ?? "", /^ai\//, "the SDK names its release");
    const model = cached(openai());
    await generated(model);
    const others = [
      { headers: { "user-agent": "ai/99.0.0" } },
      { headers: undefined },
      { abortSignal: new AbortController().signal },
      { includeRawChunks: true },
    ];
    for (const other of others) await model.doGenerate({ ...params, ...other } as typeof params);
    assert.equal(upstream.asked.length, 1);
  });

  describe("and what goes wrong", () => {
    it("leaves it to the SDK to try again, and stores no failure", async () => {
      let refused = 0;
      upstream.answer = () => refused++ < 2 ? refusal(429, "slow down", { "Retry-After-Ms": "1" }) : undefined;
      const { answer, mark } = await generated(cached(openai()), { maxRetries: 2 });
      assert.match(answer.text, /rain/);
      assert.equal(mark, "miss");
      assert.equal(upstream.asked.length, 3);
    });

    it("does not send again for a while what the provider refused as such, and tells it as the provider did", async () => {
      upstream.answer = () => refusal(400, "no such thing");
      for (let i = 0; i < 2; i++) {
        for (const ask of [generated, streamed]) {
          const error = await failureOf(ask, cached(openai()));
          assert.ok(APICallError.isInstance(error), String(error));
          assert.deepEqual([error.statusCode, error.isRetryable], [400, false]);
          assert.match(error.message, /no such thing/);
        }
      }
      assert.equal(upstream.asked.length, 1);
      under.clock.advance(10_000);
      upstream.answer = () => undefined;
      assert.equal((await generated(cached(openai()))).mark, "miss");
    });

    const failureOf = async (ask: typeof generated | typeof streamed, model: LanguageModel): Promise<unknown> => {
      const errors: unknown[] = [];
      await ask(model, { onError: ({ error }: { error: unknown }) => errors.push(error) }).catch((error) => {
        if (errors.length === 0) errors.push(error);
      });
      return errors[0];
    };

    it("keeps no stream that broke off, and passes on what came of it", async () => {
      const chunks = chatChunks(["It", " will"]);
      const texts = [
        chatText(chunks.slice(0, 3)).replace("data: [DONE]\n\n", ""),
        chatText([...chunks.slice(0, 2), { error: { message: "overloaded", type: "server_error" } }]),
      ];
      for (const text of texts) {
        upstream.answer = () => streaming(text, { size: 7 });
        await streamed(cached(openai()));
      }
      await settled();
      assert.equal(under.store.puts.length, 0);
      upstream.answer = () => undefined;
      assert.equal((await streamed(cached(openai()))).mark, "miss");
    });

    it("tells the provider when the last reader has left, and keeps nothing", async () => {
      const left = gate();
      upstream.answer = ({ signal }) => {
        signal.addEventListener("abort", left.open);
        return streaming(chatText(chatChunks(["It", " will"])), { stop: 6 });
      };
      const controller = new AbortController();
      const { textStream } = streamText({ model: cached(openai()), ...RAIN, abortSignal: controller.signal });
      for await (const text of textStream) if (text !== "") controller.abort();
      await left.pass();
      await settled();
      assert.equal(under.store.puts.length, 0);
    });

    it("stores no answer that says nothing, and marks one that was cut off", async () => {
      upstream.mock.onMessage("nothing", { content: "" });
      upstream.mock.onMessage("long story", { content: "Once upon a", finishReason: "length" });
      for (const [prompt, mark] of [["nothing", "miss"], ["long story", "hit"]] as const) {
        await generated(cached(openai()), { prompt });
        const second = await generated(cached(openai()), { prompt });
        assert.equal(second.mark, mark, prompt);
        if (mark === "hit") assert.equal(second.answer.finishReason, "length");
      }
    });

    it("serves an answer whose time has come, when there is none to be had, and tells nothing of the failure", async () => {
      for (const keep of ["staleIfError", "staleWhileRevalidate"]) {
        under = openTestCache({ ttl: 1000, [keep]: 60_000 });
        upstream.answer = () => undefined;
        const { answer } = await generated(cached(openai()));
        under.clock.advance(2000);
        upstream.answer = () => refusal(503, "down", { "X-Request-Id": "8" });
        for (const ask of [generated, streamed]) {
          const again = await ask(cached(openai()));
          assert.deepEqual(essence(again.answer), essence(answer));
          assert.equal(again.mark, "expired");
        }
        const { response } = await generateText({ model: cached(openai()), ...RAIN });
        assert.deepEqual(response.headers, { "x-warmcache": "expired" });
        // What goes on in the background is not to reach the next test.
        await under.cache.close();
      }
    });

    it("fails in the mode replay before anything is asked", async () => {
      await assert.rejects(generated(cached(openai(), { mode: "replay" })), { code: "replay_miss" });
      assert.equal(upstream.asked.length, 0);
    });
  });

  describe("for one call", () => {
    const per = (warmcache: object) => ({ providerOptions: { warmcache, openai: { user: "somebody" } } });

    it("takes the options of the call before those of the middleware, and keeps them from the provider", async () => {
      const model = cached(openai(), { namespace: "all" });
      const marks = [];
      for (
        const options of [{}, {}, { mode: "off" }, { namespace: "other" }, { namespace: "all" }, { mode: "refresh" }]
      ) {
        marks.push((await generated(model, per(options))).mark);
      }
      assert.deepEqual(marks, ["miss", "hit", "bypass", "miss", "hit", "bypass"]);
      assert.equal(upstream.asked.length, 4, "a refresh asks");
      for (const { body } of upstream.asked) assert.doesNotMatch(JSON.stringify(body), /warmcache|namespace/);
      assert.equal(upstream.asked[0]!.body.user, "somebody");
    });

    it("stores with a time and with tags", async () => {
      const model = cached(openai());
      const tagged = per({ ttl: 1000, tags: ["weather"] });
      const mark = async () => (await streamed(model, tagged)).mark;
      assert.deepEqual([await mark(), await mark()], ["miss", "hit"]);
      under.clock.advance(1001);
      assert.deepEqual([await mark(), await mark()], ["miss", "hit"]);
      await under.cache.invalidateTag("weather");
      assert.equal(await mark(), "miss");
    });

    it("refuses an option that does not exist, there and for all calls", async () => {
      await assert.rejects(generated(cached(openai()), per({ tll: 1 })), /unknown option .*: tll$/);
      assert.throws(() => cacheMiddleware(under.cache, { tll: 1 } as object), /unknown option .*: tll$/);
      assert.equal(upstream.asked.length, 0);
    });
  });

  it("goes round the cache for a conversation that the provider keeps", async () => {
    const model = cached(MODELS["OpenAI's responses"]!());
    for (let i = 0; i < 2; i++) {
      const { mark } = await generated(model, { providerOptions: { openai: { conversation: "conv_1" } } });
      assert.equal(mark, "bypass");
    }
    assert.equal(upstream.asked.length, 2);
  });

  it("passes raw chunks on to the one whose call it is, and shares the entry with those who want none", async () => {
    const parts = async (includeRawChunks: boolean): Promise<string[]> => {
      const types: string[] = [];
      const { fullStream } = streamText({ model: cached(openai()), ...RAIN, include: { rawChunks: includeRawChunks } });
      for await (const { type } of fullStream) types.push(type);
      return types;
    };
    const first = await parts(true);
    assert.ok(first.includes("raw"));
    const second = await parts(true);
    assert.deepEqual(second, first.filter((type) => type !== "raw"));
    assert.deepEqual(await parts(false), second);
    assert.equal(upstream.asked.length, 1);
  });

  it("has the provider's headers on a miss, and stores them not", async () => {
    upstream.answer = () =>
      Response.json({ ...WHOLE, model: "gpt-4o-mini" }, { headers: { "Set-Cookie": "secret=1", "X-Request-Id": "7" } });
    const headers = async () => (await generateText({ model: cached(openai()), ...RAIN })).response.headers ?? {};
    assert.equal((await headers())["x-request-id"], "7");
    assert.deepEqual(await headers(), { "x-warmcache": "hit" });
  });

  it("knows what an answer cost, by what the provider billed", async () => {
    const priced: PricedCall[] = [];
    under = openTestCache({ priceOf: (call) => (priced.push(call), 42) });
    for (const model of Object.values(MODELS)) await generated(cached(model()));
    for (const { usage } of priced) assert.deepEqual([usage.inputTokens, usage.outputTokens], [11, 7]);
    assert.deepEqual(priced.map(({ modelAsked }) => modelAsked), [
      "gpt-4o-mini",
      "gpt-4o-mini",
      "claude-haiku-4-5",
      "gemini-2.5-flash",
    ]);
  });
});
