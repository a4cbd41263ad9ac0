/** `cachedFetch` under the official clients, against a server that speaks their providers' wire formats. */

import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import type { JsonObject } from "../../src/cache/json.ts";
import type { Production } from "../../src/cache/flow/production.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { settled, SharedMemory } from "../cache/shared_memory.ts";
import {
  chatChunks,
  chatText,
  MESSAGE,
  messageEvents,
  RESPONSE,
  responseEvents,
  typedText,
  USAGE,
} from "../cache/streams.ts";
import { type CacheUnderTest, openTestCache, saidBy } from "../cache/support.ts";
import { type Gate, gate } from "../support/gate.ts";
import { startUpstream, streaming, type Upstream } from "../support/upstream/upstream.ts";

const MESSAGES = [{ role: "user" as const, content: "Will it rain?" }];
const CHAT = { model: "gpt-4o-mini", messages: MESSAGES };
const CHUNKS = chatChunks(["It", " will", " rain."]);
const WHOLE = {
  id: "chatcmpl-7",
  object: "chat.completion",
  created: 1767225600,
  model: "gpt-4o-mini-2024-07-18",
  choices: [{ index: 0, message: { role: "assistant", content: "It will rain." }, finish_reason: "stop" }],
  usage: USAGE,
};
const FUNCTION = { type: "function", function: { name: "umbrella", arguments: '{"open":true}' } };
const CALLING = {
  ...WHOLE,
  choices: [{
    index: 0,
    message: { role: "assistant", content: null, tool_calls: [0, 1].map((at) => ({ id: `call_${at}`, ...FUNCTION })) },
    finish_reason: "tool_calls",
  }],
};

describe("cachedFetch under the official clients", () => {
  let upstream: Upstream;
  let url: string;
  let answer: (body: JsonObject) => Response;
  let left: Gate;
  let under: CacheUnderTest;
  before(async () => {
    upstream = await startUpstream();
    url = upstream.url;
  });
  after(() => upstream.close());

  function clients(cache = openTestCache()) {
    under = cache;
    upstream.reset();
    left = gate();
    upstream.answer = ({ body, signal }) => {
      const { open } = left;
      signal.addEventListener("abort", open);
      return answer(body);
    };
    const fetch = cachedFetch(cache.cache, { upstreams: { [url]: "openai" } });
    const options = { apiKey: "unused", maxRetries: 0, fetch };
    return {
      openai: new OpenAI({ ...options, baseURL: `${url}/v1` }),
      anthropic: new Anthropic({ ...options, baseURL: url }),
    };
  }

  const stream = (openai: OpenAI, rest: object = {}, signal?: AbortSignal) =>
    openai.chat.completions.create({ ...CHAT, ...rest, stream: true }, signal ? { signal } : {}).withResponse();

  async function textOf(chunks: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>): Promise<string> {
    let text = "";
    for await (const { choices } of chunks) text += choices[0]?.delta.content ?? "";
    return text;
  }

  it("streams chunk by chunk while the provider does, and afterwards from the store", async () => {
    const { openai } = clients();
    const door = gate();
    answer = () => streaming(chatText(CHUNKS), { stop: 4, door });
    const { data, response } = await stream(openai);
    assert.equal(response.headers.get("X-Warmcache"), "miss");
    assert.equal(response.headers.get("X-Request-Id"), "req_7");
    const chunks = data[Symbol.asyncIterator]();
    assert.deepEqual((await chunks.next()).value, CHUNKS[0], "before the provider has said the last word");
    door.open();
    for (const chunk of CHUNKS.slice(1)) assert.deepEqual((await chunks.next()).value, chunk);
    assert.equal((await chunks.next()).done, true);
    const again = await stream(openai);
    assert.equal(again.response.headers.get("X-Warmcache"), "hit");
    assert.equal(again.response.headers.get("Content-Type"), "text/event-stream");
    assert.equal(await textOf(again.data), "It will rain.");
    assert.equal(upstream.asked.length, 1);
  });

  it("passes the provider's bytes on untouched", async () => {
    clients();
    const text = `: hello\r\n\r\n${chatText(CHUNKS).replaceAll("\n", "\r\n")}`;
    answer = () => streaming(text, { size: 7 });
    const cached = cachedFetch(under.cache);
    const init = { method: "POST", headers: { "Content-Type": "application/json" } };
    const body = JSON.stringify({ ...CHAT, stream: true });
    assert.equal(await (await cached(`${url}/v1/chat/completions`, { ...init, body })).text(), text);
    assert.equal(await (await cached(`${url}/v1/chat/completions`, { ...init, body })).text(), chatText(CHUNKS));
  });

  it("works below `wrapStream` on the same cache: the stream is bought once and stored once", async () => {
    const { newCallContext } = await loadRuntime();
    const { openai } = clients(openTestCache({ callContext: newCallContext!<Production>() }));
    answer = () => streaming(chatText(CHUNKS));
    for (let i = 0; i < 2; i++) {
      const chunks = await under.cache.wrapStream(
        { ...CHAT, stream: true as const },
        (body, { signal }) => openai.chat.completions.create(body, { signal }),
      );
      assert.equal(await textOf(chunks), "It will rain.");
    }
    assert.equal(upstream.asked.length, 1);
    assert.equal(under.store.puts.length, 1);
  });

  it("answers whole what was streamed, and streams what was answered whole", async () => {
    const { openai } = clients();
    answer = () => streaming(chatText(CHUNKS));
    await textOf((await stream(openai)).data);
    assert.deepEqual(saidBy(await openai.chat.completions.create(CHAT)), ["It will rain."]);
    answer = () => Response.json(WHOLE);
    const seeded = { ...CHAT, seed: 1 };
    await openai.chat.completions.create(seeded);
    assert.equal(await textOf((await stream(openai, seeded)).data), "It will rain.");
    assert.equal(upstream.asked.length, 2);
  });

  it("streams tool calls and usage to the client's own helper", async () => {
    const { openai } = clients();
    answer = () => Response.json(CALLING);
    await openai.chat.completions.create(CHAT);
    const helper = openai.chat.completions.stream({ ...CHAT, stream_options: { include_usage: true } });
    const whole = await helper.finalChatCompletion();
    assert.deepEqual(whole.choices[0]!.message.tool_calls?.map(({ id }) => id), ["call_0", "call_1"]);
    assert.deepEqual(whole.usage, USAGE);
    assert.equal(upstream.asked.length, 1);
  });

  it("shares one stream among clients, and leaves the others alone when one leaves", async () => {
    const { openai } = clients();
    const door = gate();
    answer = () => streaming(chatText(CHUNKS), { stop: 4, door });
    const controller = new AbortController();
    const first = await stream(openai, {}, controller.signal);
    const second = await stream(openai);
    const third = await stream(openai);
    const whole = openai.chat.completions.create(CHAT);
    const reading = first.data[Symbol.asyncIterator]();
    await reading.next();
    controller.abort();
    for await (const _ of third.data) break;
    door.open();
    assert.equal(await textOf(second.data), "It will rain.");
    assert.deepEqual(saidBy(await whole), ["It will rain."]);
    assert.equal(upstream.asked.length, 1);
    assert.equal(under.store.puts.length, 1);
  });

  it("tells the provider when the last one has left, and stores nothing", async () => {
    const { openai } = clients();
    answer = () => streaming(chatText(CHUNKS), { stop: 4 });
    for await (const _ of (await stream(openai)).data) break;
    await left.pass();
    await settled();
    assert.equal(under.store.puts.length, 0);
    answer = () => streaming(chatText(CHUNKS));
    assert.equal(await textOf((await stream(openai)).data), "It will rain.");
    assert.equal(upstream.asked.length, 2);
  });

  it("streams completions", async () => {
    const { openai } = clients();
    const request = { model: "gpt-3.5-turbo-instruct", prompt: "Will it rain?" };
    const chunks = ["It", " will."].map((text, at) => ({
      id: "cmpl-7",
      object: "text_completion",
      choices: [{ index: 0, text, logprobs: null, finish_reason: at === 1 ? "stop" : null }],
    }));
    answer = () => streaming(chatText(chunks));
    for (let i = 0; i < 2; i++) {
      let text = "";
      for await (const { choices } of await openai.completions.create({ ...request, stream: true })) {
        text += choices[0]!.text;
      }
      assert.equal(text, "It will.");
    }
    assert.equal((await openai.completions.create(request)).choices[0]!.text, "It will.");
    assert.equal(upstream.asked.length, 1);
  });

  it("answers responses, whole and as streams", async () => {
    const { openai } = clients();
    const request = { model: "gpt-4o-mini", input: "Will it rain?" };
    answer = ({ stream }) => stream ? streaming(typedText(responseEvents())) : Response.json(RESPONSE);
    for (let i = 0; i < 2; i++) {
      const types: string[] = [];
      for await (const { type } of await openai.responses.create({ ...request, stream: true })) types.push(type);
      assert.deepEqual(types, responseEvents().map(({ type }) => type));
    }
    assert.equal((await openai.responses.create(request)).output_text, "It will rain.");
    const other = { ...request, temperature: 0 };
    for (let i = 0; i < 2; i++) assert.equal((await openai.responses.create(other)).output_text, "It will rain.");
    const final = await openai.responses.stream(other).finalResponse();
    assert.equal(final.output_text, "It will rain.");
    assert.equal(upstream.asked.length, 2);
  });

  it("lets a response through that hangs on more than its request", async () => {
    const { openai } = clients();
    answer = ({ stream }) => stream ? streaming(typedText(responseEvents())) : Response.json(RESPONSE);
    const request = { model: "gpt-4o-mini", input: "Will it rain?", conversation: "conv_1" };
    for (let i = 0; i < 2; i++) {
      const { response } = await openai.responses.create(request).withResponse();
      assert.equal(response.headers.get("X-Warmcache"), "bypass");
      for await (const _ of await openai.responses.create({ ...request, stream: true }));
    }
    assert.equal(upstream.asked.length, 4);
  });

  it("answers Anthropic's messages, whole and as streams", async () => {
    const { anthropic } = clients();
    const request = { model: "claude-haiku-4-5", max_tokens: 99, messages: MESSAGES };
    answer = ({ stream }) => stream ? streaming(typedText(messageEvents())) : Response.json(MESSAGE);
    for (let i = 0; i < 2; i++) {
      const { content, stop_reason, usage } = await anthropic.messages.stream(request).finalMessage();
      assert.deepEqual({ content, stop_reason, usage }, {
        content: MESSAGE.content,
        stop_reason: "tool_use",
        usage: MESSAGE.usage,
      });
    }
    assert.deepEqual((await anthropic.messages.create(request)).content, MESSAGE.content);
    const other = { ...request, temperature: 0 };
    await anthropic.messages.create(other);
    assert.deepEqual((await anthropic.messages.stream(other).finalMessage()).content, MESSAGE.content);
    assert.equal(upstream.asked.length, 2);
  });

  it("buys only the samples that are missing, though a stream is asked for", async () => {
    const { openai } = clients();
    answer = ({ n }) =>
      streaming(
        chatText(Array.from({ length: Number(n ?? 1) }, (_, index) => chatChunks([`n=${n}`], { index })).flat()),
      );
    await textOf((await stream(openai, { n: 2 })).data);
    const texts: string[] = ["", "", ""];
    for await (const { choices } of (await stream(openai, { n: 3 })).data) {
      for (const { index, delta } of choices) texts[index] += delta.content ?? "";
    }
    assert.deepEqual(texts, ["n=2", "n=2", "n=1"]);
    assert.deepEqual(upstream.asked.map(({ body }) => body.n), [2, 1]);
  });

  it("passes on what is no stream, as it is, and never stores it", async () => {
    const { openai } = clients();
    const error = { error: { message: "slow down", type: "rate_limit", param: null, code: null } };
    answer = () => Response.json(error, { status: 429, headers: { "Retry-After": "7" } });
    for (let i = 0; i < 2; i++) {
      await assert.rejects(
        stream(openai),
        (error) => error instanceof OpenAI.RateLimitError && error.headers.get("Retry-After") === "7",
      );
    }
    answer = () => Response.json(WHOLE);
    const cached = cachedFetch(under.cache, { upstreams: { [url]: "openai" } });
    const init = { method: "POST", headers: { "Content-Type": "application/json" } };
    const body = JSON.stringify({ ...CHAT, stream: true });
    for (let i = 0; i < 2; i++) {
      const response = await cached(`${url}/v1/chat/completions`, { ...init, body });
      assert.match(response.headers.get("Content-Type")!, /^application\/json/);
      assert.deepEqual(await response.json(), WHOLE);
    }
    assert.equal(upstream.asked.length, 4);
    assert.equal(under.store.puts.length, 0);
  });

  it("passes an error on that comes in the middle, and a connection that breaks", async () => {
    const { openai } = clients();
    const broken = [...CHUNKS.slice(0, 2), { error: { message: "overloaded", type: "server_error" } }];
    answer = () => streaming(chatText(broken));
    await assert.rejects(async () => await textOf((await stream(openai)).data), OpenAI.APIError);
    answer = () => streaming(chatText(CHUNKS.slice(0, 2)).replace("data: [DONE]\n\n", ""));
    assert.equal(await textOf((await stream(openai)).data), "It", "as the client alone would have it");
    await settled();
    assert.equal(under.store.puts.length, 0);
  });

  it("does not send again for a while what the provider refused as such", async () => {
    const { openai } = clients();
    const error = { error: { message: "no such model", type: "invalid_request_error", param: "model", code: "gone" } };
    answer = () => Response.json(error, { status: 404 });
    for (let i = 0; i < 2; i++) {
      for (const call of [() => stream(openai), () => openai.chat.completions.create(CHAT)]) {
        await assert.rejects(call(), (error) => error instanceof OpenAI.NotFoundError && error.code === "gone");
      }
    }
    assert.equal(upstream.asked.length, 1);
    under.clock.advance(10_000);
    answer = () => streaming(chatText(CHUNKS));
    assert.equal(await textOf((await stream(openai)).data), "It will rain.");
  });

  it("asks for embeddings text by text", async () => {
    const { openai } = clients();
    answer = ({ input, model }) =>
      Response.json({
        object: "list",
        model,
        data: (input as string[]).map(({ length }, index) => ({
          object: "embedding",
          index,
          embedding: [length, 0.5],
        })),
        usage: { prompt_tokens: (input as string[]).length, total_tokens: (input as string[]).length },
      });
    const embed = async (input: string[]): Promise<number[]> => {
      const request = { model: "text-embedding-3-small", input, encoding_format: "float" as const };
      return (await openai.embeddings.create(request)).data.map(({ embedding }) => embedding[0]!);
    };
    assert.deepEqual(await embed(["a", "bb"]), [1, 2]);
    assert.deepEqual(await embed(["ccc", "bb", "a"]), [3, 2, 1]);
    assert.deepEqual(upstream.asked.map(({ body }) => body.input), [["a", "bb"], ["ccc"]]);
  });

  it("passes embeddings on untouched that cannot be told apart", async () => {
    const { openai } = clients();
    answer = () => Response.json({ data: "what", usage: {} });
    const request = { model: "text-embedding-3-small", input: "a", encoding_format: "int8" as "float" };
    for (let i = 0; i < 2; i++) {
      const { response } = await openai.embeddings.create(request).withResponse();
      assert.equal(response.headers.get("X-Warmcache"), "bypass");
    }
    assert.equal(upstream.asked.length, 2);
  });
});

describe("cachedFetch, when another process has asked", () => {
  it("passes on what that was answered: the status and the body of a failure", async () => {
    const shared = new SharedMemory();
    const door = gate();
    const error = { error: { message: "overloaded", type: "server_error", param: null, code: null } };
    const send = async (): Promise<Response> => {
      await door.pass();
      return Response.json(error, { status: 503 });
    };
    const never = (): Promise<never> => Promise.reject(new Error("the other one has asked"));
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(CHAT) };
    const ask = (fetch: typeof globalThis.fetch): Promise<Response> =>
      cachedFetch(shared.open().cache, { fetch })("https://api.openai.com/v1/chat/completions", init);
    const first = ask(send);
    await door.reached;
    const second = ask(never);
    await settled();
    door.open();
    assert.equal((await first).status, 503);
    let isAnswered = false;
    const response = second.finally(() => isAnswered = true);
    while (!isAnswered) {
      shared.clock.advance(10);
      await settled();
    }
    assert.equal((await response).status, 503);
    assert.deepEqual(await (await response).json(), error);
  });

  it("does not tell what that was refused with another key", async () => {
    for (const status of [401, 404, 429]) {
      const shared = new SharedMemory();
      const door = gate();
      const refused = async (): Promise<Response> => {
        await door.pass();
        return Response.json({ error: { message: "not you" } }, { status });
      };
      const answered = (): Promise<Response> => Promise.resolve(streaming(chatText(CHUNKS)));
      const ask = (fetch: typeof globalThis.fetch, key: string, stream = true): Promise<Response> => {
        const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
        const init = { method: "POST", headers, body: JSON.stringify({ ...CHAT, stream }) };
        return cachedFetch(shared.open().cache, { fetch })("https://api.openai.com/v1/chat/completions", init);
      };
      const first = ask(refused, "bad");
      await door.reached;
      const second = ask(answered, "good");
      await settled();
      door.open();
      assert.equal((await first).status, status);
      let isAnswered = false;
      const response = second.finally(() => isAnswered = true);
      while (!isAnswered) {
        shared.clock.advance(10);
        await settled();
      }
      assert.match(await (await response).text(), /rain/);
      await settled();
      const never = (): Promise<never> => Promise.reject(new Error("it is there"));
      assert.equal((await ask(never, "bad")).status, 200, "what the other bought was kept");
    }
  });

  it("makes an error of OpenAI's shape where the body was not kept", async () => {
    const { cache, clock } = openTestCache();
    const refused = Object.assign(new Error("no such model"), { status: 404, code: "gone" });
    await assert.rejects(cache.wrap(CHAT, () => Promise.reject(refused)), refused);
    const cached = cachedFetch(cache, { fetch: () => Promise.reject(new Error("asked too early")) });
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(CHAT) };
    const response = await cached("https://api.openai.com/v1/chat/completions", init);
    assert.equal(response.status, 404);
    assert.deepEqual(await response.json(), {
      error: { message: "no such model", type: null, param: null, code: "gone" },
    });
    clock.advance(10_000);
    await assert.rejects(cached("https://api.openai.com/v1/chat/completions", init), /asked too early/);
  });
});
