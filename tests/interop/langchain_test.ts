/** `LangChainCache`, and `cachedFetch` in its place, under LangChain's own OpenAI classes and a local provider. */

import { AIMessage, AIMessageChunk, ChatMessageChunk, HumanMessage, SystemMessage } from "@langchain/core/messages";
import type { ChatGeneration, Generation } from "@langchain/core/outputs";
import { tool } from "@langchain/core/tools";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { ChatOpenAI, type ChatOpenAIFields, OpenAI } from "@langchain/openai";
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { z } from "zod";
import { openCache } from "../../mod.ts";
import type { ResponseCache, ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { LangChainCache, type LangChainCacheOptions } from "../../src/interop/langchain.ts";
import { CacheError } from "../../src/store/error.ts";
import { type CacheUnderTest, openTestCache } from "../cache/support.ts";
import { gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";

let upstream: Upstream;
before(async () => void (upstream = await startUpstream()));
beforeEach(() => {
  upstream.reset();
  upstream.mock.onMessage(/.*/, { content: "It will rain." });
});
after(() => upstream.close());

type Fields = Partial<ChatOpenAIFields>;

function chat(cache: ResponseCache | LangChainCache, { configuration, ...fields }: Fields = {}): ChatOpenAI {
  return new ChatOpenAI({
    model: "gpt-4o-mini",
    apiKey: "sk-one",
    maxRetries: 0,
    cache: cache instanceof LangChainCache ? cache : new LangChainCache(cache),
    configuration: { baseURL: `${upstream.url}/v1`, ...configuration },
    ...fields,
  });
}

function open(options: Partial<ResponseCacheOptions> = {}, own: LangChainCacheOptions = {}, fields: Fields = {}):
  & CacheUnderTest
  & { readonly model: ChatOpenAI } {
  const parts = openTestCache(options);
  return { ...parts, model: chat(new LangChainCache(parts.cache, own), fields) };
}

/** What is stored of the requests, as text. */
async function storedText({ store }: CacheUnderTest): Promise<string> {
  let text = "";
  for await (const { request } of store.list()) text += new TextDecoder().decode(request.body);
  return text;
}

const weather = tool(() => "rain", {
  name: "weather",
  description: "Tells the weather",
  schema: z.object({ city: z.string() }),
});
const traffic = tool(() => "dense", { name: "traffic", description: "Tells the traffic", schema: z.object({}) });

describe("LangChainCache under ChatOpenAI", () => {
  it("asks the provider once", async () => {
    const { model, cache } = open();
    const first = await model.invoke("Will it rain?");
    const second = await model.invoke("Will it rain?");
    assert.equal(second.content, "It will rain.");
    assert.equal(second.id, first.id);
    assert.equal(upstream.asked.length, 1);
    const { hits, misses, writes } = await cache.stats();
    assert.deepEqual({ hits, misses, writes }, { hits: 1, misses: 1, writes: 1 });
  });

  it("still knows when the program is started again", async () => {
    const directory = await temporaryFolder();
    const ids: unknown[] = [];
    for (let run = 0; run < 2; run++) {
      await using cache = await openCache({ directory });
      ids.push((await chat(cache).invoke("Will it rain?")).id);
    }
    assert.equal(ids[1], ids[0]);
    assert.equal(upstream.asked.length, 1);
  });

  it("gives tool calls and metadata back", async () => {
    upstream.mock.reset();
    upstream.mock.onMessage(/.*/, { toolCalls: [{ name: "weather", arguments: '{"city":"Rome"}' }] });
    const { model } = open();
    const bound = model.bindTools([weather]);
    const [first, second] = [await bound.invoke("Weather in Rome?"), await bound.invoke("Weather in Rome?")];
    assert.equal(upstream.asked.length, 1);
    assert.deepEqual(second.tool_calls!.map(({ name, args }) => [name, args]), [["weather", { city: "Rome" }]]);
    const { usage_metadata: paid, ...told } = dataOf(first);
    const { usage_metadata: again, ...retold } = dataOf(second);
    assert.deepEqual(retold, told);
    assert.ok((paid as { total_tokens: number }).total_tokens > 0);
    assert.equal((again as { total_tokens: number }).total_tokens, 0, "LangChain sets it to 0");
  });

  it("knows what was used, which LangChain forgets", async () => {
    const { model, cache } = open({ priceOf: () => 5 });
    upstream.answer = () => chatAnswer(["It will rain."]);
    for (let call = 0; call < 3; call++) await model.invoke("Will it rain?");
    const { saved, spentMicrodollars } = await cache.stats();
    assert.deepEqual([saved.promptTokens, saved.completionTokens], [2 * 3, 2 * 4]);
    assert.deepEqual([saved.costMicrodollars, spentMicrodollars], [0, 0], "nobody knows the cost");
  });

  it("gives all generations back", async () => {
    const { model } = open({}, {}, { n: 2 });
    upstream.answer = () => chatAnswer(["rain", "sun"]);
    const prompts = [[new HumanMessage("Tomorrow?")]];
    const [first, second] = [await model.generate(prompts), await model.generate(prompts)];
    assert.deepEqual(second.generations[0]!.map(({ text }) => text), ["rain", "sun"]);
    assert.deepEqual(
      second.generations[0]!.map(({ generationInfo }) => generationInfo!.finish_reason),
      first.generations[0]!.map(({ generationInfo }) => generationInfo!.finish_reason),
    );
    assert.equal(upstream.asked.length, 1);
  });

  it("takes another question for another question", async () => {
    const { cache, model } = open();
    const ask = [
      () => model.invoke("Will it rain?"),
      () => model.invoke("Will it snow?"),
      () => model.invoke([new SystemMessage("Be brief."), new HumanMessage("Will it rain?")]),
      () => chat(cache, { model: "gpt-4o" }).invoke("Will it rain?"),
      () => chat(cache, { temperature: 0 }).invoke("Will it rain?"),
      () => chat(cache, { temperature: 1 }).invoke("Will it rain?"),
      () => chat(cache, { maxTokens: 5 }).invoke("Will it rain?"),
      () => chat(cache, { modelKwargs: { seed: 7 } }).invoke("Will it rain?"),
      () => chat(cache, { configuration: { baseURL: `${upstream.url}/v1/` } }).invoke("Will it rain?"),
      () => chat(cache, { configuration: { defaultHeaders: { "X-Beta": "on" } } }).invoke("Will it rain?"),
      () => model.invoke("Will it rain?", { stop: ["\n"] }),
      () => model.bindTools([weather]).invoke("Will it rain?"),
      () => model.bindTools([traffic]).invoke("Will it rain?"),
      () => model.bindTools([weather], { tool_choice: "weather" }).invoke("Will it rain?"),
      () => model.invoke("Will it rain?", { response_format: { type: "json_object" } }),
    ];
    for (const one of ask) await one();
    assert.equal(upstream.asked.length, ask.length);
    for (const one of ask) await one();
    assert.equal(upstream.asked.length, ask.length);
  });

  it("tells two schemas of structured output apart", async () => {
    const { model } = open();
    upstream.answer = () => chatAnswer(['{"a":1}']);
    for (const describe of ["yes", "no", "yes"]) {
      const asked = model.withStructuredOutput(z.object({ a: z.number().describe(describe) }));
      assert.deepEqual(await asked.invoke("Give me a"), { a: 1 });
    }
    assert.equal(upstream.asked.length, 2);
  });

  it("answers a batch in order, and asks only for what is missing", async () => {
    const { model } = open();
    upstream.answer = ({ body }) => chatAnswer([`re ${(body.messages as { content: string }[])[0]!.content}`]);
    await model.invoke("b");
    const answers = await model.batch(["a", "b", "c"]);
    assert.deepEqual(answers.map(({ content }) => content), ["re a", "re b", "re c"]);
    assert.equal(upstream.asked.length, 3);
  });

  it("finds the entry whoever asks, and keeps secrets out of it", async () => {
    const parts = open();
    const headers = { configuration: { defaultHeaders: { "X-Auth": "secret-one" } } };
    for (const apiKey of ["sk-one", "sk-two"]) {
      await chat(parts.cache, { apiKey }).invoke("Will it rain?");
      await chat(parts.cache, { apiKey, ...headers }).invoke("Will it rain?");
    }
    assert.equal(upstream.asked.length, 2);
    const text = await storedText(parts);
    assert.match(text, /Will it rain\?/);
    assert.doesNotMatch(text, /sk-one|sk-two|secret-one/);
  });

  it("keeps namespaces apart", async () => {
    const { cache } = open();
    for (const namespace of ["one", "two", "one"]) {
      await chat(new LangChainCache(cache, { namespace })).invoke("Will it rain?");
    }
    assert.equal(upstream.asked.length, 2);
  });

  it("asks again when its time has come", async () => {
    const { model, clock } = open({}, { ttl: 1000 });
    for (const wait of [0, 999, 2]) {
      clock.advance(wait);
      await model.invoke("Will it rain?");
    }
    assert.equal(upstream.asked.length, 2);
  });

  it("does not take one picture for another, of which LangChain says only that they are pictures", async () => {
    const { model, cache, events } = open();
    for (const data of ["AAAA", "BBBB", "AAAA"]) {
      const image = { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } };
      await model.invoke([new HumanMessage({ content: [{ type: "text", text: "What is it?" }, image] })]);
    }
    assert.equal(upstream.asked.length, 3);
    assert.equal((await cache.stats()).writes, 0);
    assert.deepEqual(events.filter(({ type }) => type === "bypassed").length, 3);
  });

  it("does not take one tool for another, of which LangChain says only that they are tools", async () => {
    const { model } = open();
    for (const tools of [[weather], [traffic]]) await model.invoke("Will it rain?", { tools } as object);
    assert.equal(upstream.asked.length, 2);
    const names = upstream.asked.map(({ body }) => (body.tools as { function: { name: string } }[])[0]!.function.name);
    assert.deepEqual(names, ["weather", "traffic"]);
  });

  it("does not keep failures, nor answers that say nothing", async () => {
    const { model, cache } = open();
    upstream.answer = () => refusal(429, "slow down");
    await assert.rejects(model.invoke("Will it rain?"), /slow down/);
    upstream.answer = () => chatAnswer([""]);
    await model.invoke("Will it rain?");
    upstream.answer = () => undefined;
    assert.equal((await model.invoke("Will it rain?")).content, "It will rain.");
    assert.equal((await cache.stats()).writes, 1);
  });

  it("marks an answer that was cut off", async () => {
    const { model, cache } = open({ policy: { length: "never" } });
    upstream.answer = () => chatAnswer(["It will r"], "length");
    await model.invoke("Will it rain?");
    assert.equal((await cache.stats()).writes, 0);
  });

  it("never asks the provider in the mode replay, not even what it cannot tell apart", async () => {
    const { cache, model } = open();
    await model.invoke("Will it rain?");
    const replayed = chat(new LangChainCache(cache, { mode: "replay" }));
    assert.equal((await replayed.invoke("Will it rain?")).content, "It will rain.");
    for (const prompt of ["Will it snow?", "What is [image]?"]) {
      await assert.rejects(replayed.invoke(prompt), (error) => (error as CacheError).code === "replay_miss");
    }
    assert.equal(upstream.asked.length, 1);
  });

  it("returns the answer also where it cannot be stored", async () => {
    const { model, store, events } = open();
    store.beforePut = () => {
      throw new CacheError("unavailable", "the disk is full");
    };
    assert.equal((await model.invoke("Will it rain?")).content, "It will rain.");
    assert.ok(events.some(({ type }) => type === "write_failed"));
  });

  it("returns the answer also where the cache was closed meanwhile", async () => {
    const { model, cache } = open();
    upstream.answer = async () => {
      await cache.close();
      return undefined;
    };
    assert.equal((await model.invoke("Will it rain?")).content, "It will rain.");
    await assert.rejects(model.invoke("Will it rain?"), { code: "closed" });
  });

  it("leaves streams alone, as LangChain does", async () => {
    const { model, cache } = open();
    for (let call = 0; call < 2; call++) {
      let text = "";
      for await (const chunk of await model.stream("Will it rain?")) text += chunk.content;
      assert.equal(text, "It will rain.");
    }
    assert.equal(upstream.asked.length, 2);
    assert.equal((await cache.stats()).writes, 0);
  });
});

describe("LangChainCache", () => {
  it("gives a chunk put together from a stream back as a message", async () => {
    const { cache } = openTestCache();
    const store = new LangChainCache(cache);
    await store.update("Human: Hi", 'model:"m"', [{ text: "rain", message: new AIMessageChunk("rain") } as Generation]);
    const [generation] = (await store.lookup("Human: Hi", 'model:"m"'))!;
    assert.ok((generation as ChatGeneration).message instanceof AIMessage);
    assert.equal(generation!.text, "rain");
  });

  it("does not store what LangChain could not restore, and buys anew what it cannot", async () => {
    const { cache, events } = openTestCache();
    const store = new LangChainCache(cache);
    const ofNobody = new ChatMessageChunk({ content: "rain" } as unknown as { content: string; role: string });
    await store.update("Human: Hi", 'model:"m"', [{ text: "rain", message: ofNobody } as Generation]);
    assert.equal(await store.lookup("Human: Hi", 'model:"m"'), null);
    assert.ok(events.some(({ type }) => type === "not_stored"));
    const body = { model: "m", prompt: "Human: Hi", llm: { model: "m" } };
    const later = { choices: [{ text: "rain", message: { type: "of the future" } }] };
    await cache.put(body, later, { provider: "langchain", endpoint: "langchain" });
    assert.equal(await store.lookup("Human: Hi", 'model:"m"'), null);
    await store.update("Human: Hi", 'model:"m"', [{ text: "sun" }]);
    assert.deepEqual(await store.lookup("Human: Hi", 'model:"m"'), [{ text: "sun" }]);
  });

  it("does not store what JSON would change", async () => {
    const store = new LangChainCache(openTestCache().cache);
    await store.update("Human: Hi", 'model:"m"', [{ text: "rain", generationInfo: { at: new Date(0) } }]);
    assert.equal(await store.lookup("Human: Hi", 'model:"m"'), null);
  });

  it("has a prompt that is no Unicode answered, and does not keep it", async () => {
    const { cache } = openTestCache({ mode: "refresh" });
    const store = new LangChainCache(cache);
    assert.equal(await store.lookup("Human: \ud83d", 'model:"m"'), null);
    await store.update("Human: \ud83d", 'model:"m"', [{ text: "rain" }]);
    assert.equal((await cache.stats()).writes, 0);
  });

  it("refuses an option that makes no sense before anything is paid for", () => {
    const { cache } = openTestCache();
    assert.throws(() => new LangChainCache(cache, { ttl: -1 }), RangeError);
    assert.throws(() => new LangChainCache(cache, { tags: "x" } as object), TypeError);
    assert.throws(() => new LangChainCache(cache, { mode: "on" } as object), TypeError);
  });

  it("refuses an option that it does not know", () => {
    assert.throws(() => new LangChainCache(openTestCache().cache, { directory: "x" } as object), {
      name: "TypeError",
      message: "Cannot make a cache for LangChain: unknown option (known: mode, ttl, maxAge, tags, namespace, " +
        "identity): directory",
    });
  });
});

describe("LangChainCache under other classes", () => {
  it("caches completions, whose prompt is the text itself", async () => {
    const { cache } = openTestCache();
    upstream.answer = () =>
      Response.json({
        model: "davinci",
        choices: [{ index: 0, text: " rain", finish_reason: "stop", logprobs: null }],
      });
    const configuration = { baseURL: `${upstream.url}/v1` };
    const model = new OpenAI({
      model: "davinci-002",
      apiKey: "sk-one",
      configuration,
      cache: new LangChainCache(cache),
    });
    for (let call = 0; call < 2; call++) assert.equal(await model.invoke("In [brackets]: it will"), " rain");
    assert.equal(upstream.asked.length, 1);
  });

  it("does not cache a class that does not tell which model it is, unless the caller does", async () => {
    const { cache } = openTestCache();
    const answers = async (own: LangChainCacheOptions): Promise<unknown[]> => {
      const model = new FakeListChatModel({ responses: ["one", "two"] });
      model.cache = new LangChainCache(cache, own);
      return [(await model.invoke("Hi")).content, (await model.invoke("Hi")).content];
    };
    assert.deepEqual(await answers({}), ["one", "two"]);
    assert.deepEqual(await answers({ identity: "fake, of two answers" }), ["one", "one"]);
    assert.deepEqual(await answers({ identity: "another" }), ["one", "one"]);
  });
});

describe("cachedFetch under ChatOpenAI", () => {
  const model = (cache: ResponseCache): ChatOpenAI =>
    new ChatOpenAI({
      model: "gpt-4o-mini",
      apiKey: "sk-one",
      maxRetries: 0,
      configuration: { baseURL: `${upstream.url}/v1`, fetch: cachedFetch(cache) },
    });

  it("asks the provider once, and leaves the usage as it was", async () => {
    const chat = model(openTestCache().cache);
    const [first, second] = [await chat.invoke("Will it rain?"), await chat.invoke("Will it rain?")];
    assert.deepEqual(dataOf(second), dataOf(first));
    assert.equal(upstream.asked.length, 1);
  });

  it("replays streams", async () => {
    const chat = model(openTestCache().cache);
    for (let call = 0; call < 2; call++) {
      let text = "";
      for await (const chunk of await chat.stream("Will it rain?")) text += chunk.content;
      assert.equal(text, "It will rain.");
    }
    assert.equal(upstream.asked.length, 1);
  });

  it("tells pictures and tools apart", async () => {
    const chat = model(openTestCache().cache);
    for (const data of ["AAAA", "BBBB", "AAAA"]) {
      const image = { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } };
      await chat.invoke([new HumanMessage({ content: [{ type: "text", text: "What is it?" }, image] })]);
    }
    for (const tools of [[weather], [traffic], [weather]]) await chat.invoke("Will it rain?", { tools } as object);
    assert.equal(upstream.asked.length, 4);
  });

  it("pays once for what is asked twice at the same time", async () => {
    const chat = model(openTestCache().cache);
    const door = gate();
    upstream.answer = async () => {
      await door.pass();
      return undefined;
    };
    const both = Promise.all([chat.invoke("Will it rain?"), chat.invoke("Will it rain?")]);
    await door.reached;
    door.open();
    const [one, two] = await both;
    assert.equal(one.id, two.id);
    assert.equal(upstream.asked.length, 1);
  });
});

function chatAnswer(texts: readonly string[], finish_reason = "stop"): Response {
  return Response.json({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model: "gpt-4o-mini-2024-07-18",
    choices: texts.map((content, index) => ({ index, finish_reason, message: { role: "assistant", content } })),
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  });
}

/** What LangChain serialises of a message. */
function dataOf(message: AIMessage): Record<string, unknown> {
  return JSON.parse(JSON.stringify(message.toDict().data));
}
