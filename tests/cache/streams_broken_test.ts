/** Streams that break off: nothing half is stored, and nothing half is served. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { RECORDED_MEDIA_TYPE } from "../../src/cache/stream/recording.ts";
import type { NewEntry } from "../../src/store/store.ts";
import { gate } from "../support/gate.ts";
import { settled } from "./shared_memory.ts";
import { openTestCache, saidBy } from "./support.ts";
import {
  all,
  CHAT,
  chatChunks,
  chatText,
  inPieces,
  messageEvents,
  responseEvents,
  said,
  Source,
  textOf,
  typedText,
  USAGE,
} from "./streams.ts";

const RAIN = ["It", " will", " rain."];
const CHUNKS = chatChunks(RAIN);
const TEXT = chatText(CHUNKS);
const ANSWERS = { endpoint: "/v1/responses" };
const MESSAGES = { provider: "anthropic", endpoint: "/v1/messages" };

const never = (): Promise<never> => Promise.reject(new Error("nobody may be asked"));
const giving = <T>(items: readonly T[], error?: unknown) => (): Promise<Source<T>> =>
  Promise.resolve(new Source(items, { error }));

async function isEmpty(cache: ResponseCache): Promise<boolean> {
  return (await cache.stats()).store.entries === 0;
}

describe("A stream that breaks off", () => {
  for (let cut = 0; cut < CHUNKS.length - 1; cut++) {
    it(`leaves nothing when its reader stops after chunk ${cut}, or gives up there`, async () => {
      for (const givesUp of [false, true]) {
        const { cache } = openTestCache();
        const source = new Source(CHUNKS);
        const controller = new AbortController();
        const { signal } = controller;
        const opened = await cache.wrapStream(CHAT, () => Promise.resolve(source), { signal });
        const stream = opened[Symbol.asyncIterator]();
        for (let i = 0; i < cut; i++) await stream.next();
        if (givesUp) controller.abort();
        else await stream.return!();
        assert.equal(source.wasLeft, true);
        if (givesUp) await assert.rejects(stream.next(), { name: "AbortError" });
        else assert.equal((await stream.next()).done, true);
        await settled();
        assert.equal(await isEmpty(cache), true);
        assert.equal(await cache.get(CHAT), undefined);
        await assert.rejects(cache.wrapStream(CHAT, never), /nobody may be asked/);
      }
    });

    it(`leaves nothing when it ends after chunk ${cut}, whatever the source makes of it`, async () => {
      for (const error of [undefined, new Error("connection reset")]) {
        const { cache } = openTestCache();
        const stream = await cache.wrapStream(CHAT, giving(CHUNKS.slice(0, cut), error));
        if (error === undefined) assert.equal((await all(stream)).length, cut, "as the provider gave it");
        else await assert.rejects(all(stream), error);
        assert.equal(await isEmpty(cache), true);
      }
    });
  }

  it("leaves nothing wherever its bytes are cut", async () => {
    const end = TEXT.indexOf("data: [DONE]");
    const start = TEXT.lastIndexOf("data: ", end - 1);
    for (const cut of [0, 1, 7, start - 1, start, start + 30, end - 3]) {
      const { cache } = openTestCache();
      const text = TEXT.slice(0, cut);
      assert.equal(await textOf(await cache.wrapEvents(CHAT, giving(inPieces(text)))), text);
      assert.equal(await isEmpty(cache), true, `${cut} of ${TEXT.length}`);
    }
  });

  it("leaves nothing when its reader's signal is aborted, and ends with the reason", async () => {
    const { cache } = openTestCache();
    const source = new Source(CHUNKS);
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const stream = (await cache.wrapEvents(CHAT, () => Promise.resolve(source), options)).getReader();
    await stream.read();
    controller.abort(new Error("enough"));
    assert.equal(source.wasLeft, true, "at once, whether anybody reads on or not");
    await assert.rejects(stream.read(), /enough/);
    await settled();
    assert.equal(await isEmpty(cache), true);
  });

  it("is not even begun for a signal that was aborted before", async () => {
    const { cache } = openTestCache();
    const options = { signal: AbortSignal.abort(new Error("enough")) };
    await assert.rejects(cache.wrapStream(CHAT, never, options), /enough/);
    await assert.rejects(cache.wrapEvents(CHAT, never, options), /enough/);
  });

  it("is stored when its reader stops with the last word, for what follows is read by the cache", async () => {
    for (
      const items of [chatChunks(RAIN, { usage: USAGE }), inPieces(chatText(chatChunks(RAIN, { usage: USAGE })), 90)]
    ) {
      const { cache } = openTestCache();
      const reader = (await cache.wrapStream(CHAT, giving<JsonObject>(items as JsonObject[])))[Symbol.asyncIterator]();
      let reason: unknown = null;
      while (reason === null) {
        const { choices } = (await reader.next()).value as { choices: JsonObject[] };
        reason = choices[0]!.finish_reason;
      }
      await reader.return!();
      await settled();
      const entry = (await cache.get(CHAT))!;
      assert.deepEqual(saidBy(entry.json()), ["It will rain."]);
      assert.equal(entry.usage.completionTokens, 4);
    }
  });

  it("is stored when its reader stops with the last event of a kind that ends streams", async () => {
    const { cache } = openTestCache();
    const reader = (await cache.wrapEvents(CHAT, giving(inPieces(typedText(messageEvents()))), MESSAGES)).getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    assert.equal((await cache.get(CHAT, MESSAGES))!.outcome, "tool_calls");
  });

  it("does not wait for ever for an end that does not come after a complete answer", async () => {
    const { cache, clock } = openTestCache();
    const source = new Source(CHUNKS, { stop: CHUNKS.length });
    const reader = (await cache.wrapStream(CHAT, () => Promise.resolve(source)))[Symbol.asyncIterator]();
    for (const _ of CHUNKS) await reader.next();
    await reader.return!();
    await source.door.reached;
    assert.equal(source.wasLeft, false);
    clock.advance(10_000);
    await settled();
    assert.equal(source.wasLeft, true);
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
  });

  it("is a failure, in the provider's words, for those who waited for the whole", async () => {
    const { cache } = openTestCache();
    const broken = [...CHUNKS.slice(0, 2), { error: { message: "The server is overloaded", code: 503 } }];
    const source = new Source<JsonObject>(broken, { stop: 2 });
    const reading = all(await cache.wrapStream(CHAT, () => Promise.resolve(source)));
    const whole = cache.wrap({ ...CHAT, stream: false }, never);
    await source.door.reached;
    source.door.open();
    assert.deepEqual(await reading, broken, "who reads along sees what came");
    await assert.rejects(whole, { name: "CacheError", code: "call_failed", message: /The server is overloaded/ });
    assert.equal(await isEmpty(cache), true);
    assert.match((await cache.explain(CHAT)).failures!.message, /overloaded/);
  });

  const errors: [name: string, scope: object, text: string][] = [
    ["chat completions", {}, chatText([...CHUNKS.slice(0, 2), { error: { message: "no" } }])],
    ["messages", MESSAGES, typedText([...messageEvents().slice(0, 5), { type: "error", error: { message: "no" } }])],
    ["responses", ANSWERS, typedText([...responseEvents().slice(0, 5), { type: "error", message: "no" }])],
    ["failed responses", ANSWERS, typedText([{ type: "response.failed", response: { error: { message: "no" } } }])],
  ];
  for (const [name, scope, text] of errors) {
    it(`leaves nothing when an error comes in the middle: ${name}`, async () => {
      const { cache } = openTestCache();
      assert.equal(await textOf(await cache.wrapEvents(CHAT, giving(inPieces(text)), scope)), text);
      assert.equal(await isEmpty(cache), true);
    });
  }

  it("leaves nothing when it is no UTF-8, or no JSON, but is passed on", async () => {
    for (const piece of [new Uint8Array([0xff]), new TextEncoder().encode("x")]) {
      const { cache } = openTestCache();
      const items = [inPieces('data: {"choices": [{"index": 0, "delta": {"content": "')[0]!, piece];
      const rest = inPieces('"}, "finish_reason": "stop"}]}\n\ndata: {"no JSON\n\ndata: [DONE]\n\n');
      assert.equal((await all(await cache.wrapEvents(CHAT, giving([...items, ...rest])))).length, 3);
      assert.equal(await isEmpty(cache), true);
    }
  });

  it("breaks off for all who read along", async () => {
    const { cache } = openTestCache();
    const source = new Source(CHUNKS.slice(0, 3), { stop: 2, error: new Error("connection reset") });
    const answer = (): Promise<Source<JsonObject>> => Promise.resolve(source);
    const opened = [await cache.wrapStream(CHAT, answer), await cache.wrapStream(CHAT, never)];
    source.door.open();
    for (const stream of opened) await assert.rejects(all(stream), /connection reset/);
    assert.equal(await isEmpty(cache), true);
  });

  it("is not met by whoever tries again as soon as he sees it", async () => {
    const failures: [items: JsonObject[], error?: Error][] = [
      [[...CHUNKS.slice(0, 2), { error: { message: "overloaded" } }, ...CHUNKS.slice(2)]],
      [CHUNKS.slice(0, 2), new Error("connection reset")],
      [CHUNKS.slice(0, 2)],
    ];
    for (const [items, error] of failures) {
      const { cache } = openTestCache();
      const first = (await cache.wrapStream(CHAT, giving(items, error)))[Symbol.asyncIterator]();
      try {
        for (let next = await first.next(); !next.done && !next.value.error; next = await first.next());
      } catch (thrown) {
        assert.equal(thrown, error);
      }
      assert.equal(said(await all(await cache.wrapStream(CHAT, giving(CHUNKS)))), "It will rain.");
    }
  });

  it("goes on for those who read it after an error in the middle, but keeps nobody waiting", async () => {
    const { cache } = openTestCache();
    const items = [CHUNKS[0]!, { error: { message: "overloaded" } }, ...CHUNKS.slice(1)];
    const source = new Source(items, { stop: 3 });
    const reader = (await cache.wrapStream(CHAT, () => Promise.resolve(source)))[Symbol.asyncIterator]();
    for (let i = 0; i < 2; i++) await reader.next();
    await cache.close();
    source.door.open();
    for (const item of items.slice(2)) assert.deepEqual((await reader.next()).value, item);
    assert.equal((await reader.next()).done, true);
  });

  it("is not stored when it is longer than 64 MiB, but read to its end", async () => {
    const { cache } = openTestCache();
    const [first, piece, ...rest] = chatChunks(["x".repeat(1 << 22)]);
    const items = [first!, ...Array.from({ length: 17 }, () => piece!), ...rest];
    const source = new Source(items, { stop: 1 });
    const opened = await cache.wrapStream(CHAT, () => Promise.resolve(source));
    const whole = cache.wrap({ ...CHAT, stream: false }, never);
    await settled();
    source.door.open();
    let count = 0;
    for await (const _ of opened) count++;
    assert.equal(count, items.length);
    await assert.rejects(whole, { name: "CacheError", code: "unavailable" });
    assert.equal(await isEmpty(cache), true);
  });
});

describe("What is no stream", () => {
  it("is a failure of the call, for all who wait, when produce throws", async () => {
    const { cache } = openTestCache();
    const down = new Error("down");
    const door = gate();
    const first = cache.wrapStream(CHAT, async () => {
      await door.pass();
      throw down;
    });
    await door.reached;
    const calls = [first, cache.wrapEvents(CHAT, never), cache.wrap({ ...CHAT, stream: false }, never)];
    const failed = Promise.all(calls.map((call) => assert.rejects(call, down)));
    door.open();
    await failed;
    assert.equal(await isEmpty(cache), true);
  });

  it("is refused by name, and not stored: a Response, a text, nothing", async () => {
    for (
      const [value, name] of [[new Response("data: {}"), "Response"], ["data: {}", "String"], [undefined, "Object"]]
    ) {
      for (const mode of ["read-write", "off"] as const) {
        const { cache } = openTestCache();
        const answer = (): Promise<never> => Promise.resolve(value as never);
        const refused = { name: "TypeError", message: new RegExp(`Cannot make a stream of .*: ${name}$`) };
        await assert.rejects(cache.wrapStream(CHAT, answer, { mode }), refused);
        await assert.rejects(cache.wrapEvents(CHAT, answer, { mode }), refused);
        assert.equal(await isEmpty(cache), true);
      }
    }
  });

  it("is refused when texts come out of it, and the source is left", async () => {
    for (const mode of ["read-write", "off"] as const) {
      const { cache } = openTestCache();
      const source = new Source(["data: {}"]);
      const stream = await cache.wrapEvents(CHAT, () => Promise.resolve(source), { mode });
      await assert.rejects(all(stream), { name: "TypeError", message: /bytes or JSON objects are needed\): string/ });
      assert.equal(source.wasLeft, true);
    }
  });

  it("is refused when somebody else reads it", async () => {
    const { cache } = openTestCache();
    const stream = new ReadableStream();
    stream.getReader();
    await assert.rejects(cache.wrapEvents(CHAT, () => Promise.resolve(stream)), TypeError);
  });

  it("comes as one chunk when it is the provider's error, and is not stored", async () => {
    const { cache } = openTestCache();
    const error = { error: { message: "no such model" } };
    const status: CacheStatus = {};
    const answer = (): Promise<never> => Promise.resolve(error as never);
    assert.deepEqual(await all(await cache.wrapStream(CHAT, answer, { status })), [error]);
    assert.equal(status.stored, false);
    assert.equal(await textOf(await cache.wrapEvents(CHAT, answer)), chatText([error]));
    assert.equal(await isEmpty(cache), true);
  });

  it("comes as one chunk, word for word, when it is stored and no answer of its protocol", async () => {
    const { cache } = openTestCache();
    const text = '{"id": 12345678901234567890, "said": "It will rain."}';
    await cache.put(CHAT, new TextEncoder().encode(text));
    assert.equal(await textOf(await cache.wrapEvents(CHAT, never)), `data: ${text}\n\ndata: [DONE]\n\n`);
  });

  it("is a miss for who wants it whole when it was recorded, but is not whole", async () => {
    for (const text of ["no events", TEXT.slice(0, 200), chatText([{ error: { message: "no" } }])]) {
      const { cache, store, events, provider } = openTestCache();
      const put = store.put.bind(store);
      store.put = (model, request, [entry], placement) => {
        const broken: NewEntry = { ...entry!, mediaType: RECORDED_MEDIA_TYPE, body: new TextEncoder().encode(text) };
        return put(model, request, [broken], placement);
      };
      await all(await cache.wrapStream(CHAT, giving(CHUNKS)));
      store.put = put;
      const status: CacheStatus = {};
      const { stream: _, ...whole } = CHAT;
      await cache.wrap(whole, provider.answer, { status });
      assert.equal(status.outcome, "corrupt");
      assert.equal(events.some(({ type }) => type === "corrupt"), true);
      assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "text 1");
    }
  });
});
