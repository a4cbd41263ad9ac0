/** Streams that somebody waits for: other processes, a cache that is being closed, and calls inside each other. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import type { Production } from "../../src/cache/flow/production.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { passTime, settled, SharedMemory } from "./shared_memory.ts";
import { openTestCache, saidBy } from "./support.ts";
import { all, CHAT, chatChunks, chatText, inPieces, said, Source, Streams, textOf } from "./streams.ts";

const CHUNKS = chatChunks(["It", " will", " rain."]);
const never = (): Promise<never> => Promise.reject(new Error("nobody may be asked"));

describe("A stream that another process buys", () => {
  it("is waited for, however long it takes, and then replayed", async () => {
    const shared = new SharedMemory();
    const [one, other] = [shared.open(), shared.open()];
    const source = new Source(CHUNKS, { stop: 3 });
    const first = all(await one.cache.wrapStream(CHAT, () => Promise.resolve(source)));
    await source.door.reached;
    const status: CacheStatus = {};
    const second = other.cache.wrapStream(CHAT, never, { status });
    const whole = other.cache.wrap({ ...CHAT, stream: false }, never);
    for (let i = 0; i < 60; i++) {
      await settled();
      shared.clock.advance(1000);
    }
    source.door.open();
    assert.deepEqual(await first, CHUNKS);
    assert.deepEqual(await all(await passTime(shared.clock, second)), CHUNKS);
    assert.deepEqual(saidBy(await passTime(shared.clock, whole)), ["It will rain."]);
    assert.equal(status.shared, true);
  });

  it("is bought by the next one when it was given up", async () => {
    const shared = new SharedMemory();
    const [one, other] = [shared.open(), shared.open()];
    const source = new Source(CHUNKS, { stop: 3 });
    const first = (await one.cache.wrapEvents(CHAT, () => Promise.resolve(source))).getReader();
    await first.read();
    const streams = new Streams(() => new Source(CHUNKS));
    const second = other.cache.wrapStream(CHAT, streams.answer);
    await settled();
    await first.cancel();
    assert.deepEqual(await all(await passTime(shared.clock, second)), CHUNKS);
    assert.equal(streams.calls, 1);
  });

  it("does not hang on a reader who neither reads on nor leaves", async () => {
    const shared = new SharedMemory();
    const [one, other] = [shared.open(), shared.open()];
    const source = new Source(CHUNKS);
    const first = (await one.cache.wrapStream(CHAT, () => Promise.resolve(source)))[Symbol.asyncIterator]();
    await first.next();
    const second = other.cache.wrapStream(CHAT, never);
    assert.deepEqual(await all(await passTime(shared.clock, second)), CHUNKS);
    assert.deepEqual((await first.next()).value, CHUNKS[1], "it has lost nothing");
  });
});

describe("A reader who does not read on", () => {
  it("is waited for, but not for ever: the stream is read to its end, and stored", async () => {
    const { cache, clock } = openTestCache();
    const source = new Source(CHUNKS);
    const reader = (await cache.wrapStream(CHAT, () => Promise.resolve(source)))[Symbol.asyncIterator]();
    await reader.next();
    clock.advance(9_999);
    await settled();
    assert.equal(source.pulls, 1);
    clock.advance(1);
    await settled();
    clock.advance(10_000);
    await settled();
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
    assert.equal(
      said([...CHUNKS.slice(0, 1), ...await all({ [Symbol.asyncIterator]: () => reader })]),
      "It will rain.",
    );
  });

  it("may still leave: what is read for nobody is given up", async () => {
    const { cache, clock } = openTestCache();
    const source = new Source(CHUNKS, { stop: 3 });
    const reader = (await cache.wrapStream(CHAT, () => Promise.resolve(source)))[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) {
      clock.advance(10_000);
      await settled();
    }
    assert.equal(source.pulls, 4);
    await reader.return!();
    assert.equal(source.wasLeft, true);
    await settled();
    assert.equal((await cache.stats()).store.entries, 0);
  });

  it("is none who waits for the provider", async () => {
    const { cache, clock } = openTestCache();
    const source = new Source(CHUNKS, { stop: 2 });
    const reading = all(await cache.wrapStream(CHAT, () => Promise.resolve(source)));
    await source.door.reached;
    for (let i = 0; i < 9; i++) {
      clock.advance(60_000);
      await settled();
    }
    source.door.open();
    assert.deepEqual(await reading, CHUNKS);
  });
});

describe("ResponseCache.close", () => {
  it("waits for a stream that is read, and stores it", async () => {
    const { cache, store } = openTestCache();
    const source = new Source(CHUNKS, { stop: 3 });
    const reading = all(await cache.wrapStream(CHAT, () => Promise.resolve(source)));
    await source.door.reached;
    let isClosed = false;
    const closed = cache.close().then(() => isClosed = true);
    await settled();
    assert.equal(isClosed, false);
    source.door.open();
    assert.deepEqual(await reading, CHUNKS);
    await closed;
    assert.equal(store.puts.length, 1);
  });

  it("reads a stream to its end that nobody reads on, and stores it; its readers lose nothing", async () => {
    const { cache, store } = openTestCache();
    const reader = (await cache.wrapStream(CHAT, () => Promise.resolve(new Source(CHUNKS))))[Symbol.asyncIterator]();
    await reader.next();
    const unread = await cache.wrapEvents({ ...CHAT, seed: 1 }, () => Promise.resolve(new Source(CHUNKS)));
    await cache.close();
    assert.equal(store.puts.length, 2);
    assert.deepEqual((await reader.next()).value, CHUNKS[1]);
    assert.equal(await textOf(unread), chatText(CHUNKS));
    await assert.rejects(cache.wrapStream(CHAT, never), { code: "closed" });
  });

  it("does so too for a stream that only begins while it waits", async () => {
    const { cache, store } = openTestCache();
    const begun = Promise.withResolvers<void>();
    const stream = cache.wrapStream(CHAT, async () => {
      await begun.promise;
      return new Source(CHUNKS);
    });
    await settled();
    const closed = cache.close();
    begun.resolve();
    await closed;
    assert.equal(store.puts.length, 1);
    assert.deepEqual(await all(await stream), CHUNKS);
  });

  it("does not wait for a stream that was given up, nor for one from the store", async () => {
    const { cache } = openTestCache();
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(new Source(CHUNKS))));
    const stored = await cache.wrapStream(CHAT, never);
    const source = new Source(CHUNKS, { stop: 1 });
    const left = await cache.wrapEvents({ ...CHAT, seed: 1 }, () => Promise.resolve(source));
    await left.cancel();
    await cache.close();
    assert.deepEqual(await all(stored), CHUNKS);
  });
});

describe("A stream within what produces it", () => {
  it("comes while it comes, and is stored once", async () => {
    const { newCallContext } = await loadRuntime();
    const { cache, store } = openTestCache({ callContext: newCallContext!<Production>() });
    const source = new Source(inPieces(chatText(CHUNKS), 90), { stop: 3 });
    const status: CacheStatus = {};
    const inner = (body: object): Promise<ReadableStream<Uint8Array>> =>
      cache.wrapEvents(body, () => Promise.resolve(source), { status });
    const events = (await cache.wrapEvents(CHAT, inner)).getReader();
    for (let i = 0; i < 3; i++) await events.read();
    assert.equal(status.outcome, "bypass");
    source.door.open();
    while (!(await events.read()).done);
    assert.equal(store.puts.length, 1);
  });

  it("does not wait for itself when it is made while it is read", async () => {
    const { newCallContext } = await loadRuntime();
    const { cache, store } = openTestCache({ callContext: newCallContext!<Production>() });
    async function* lazy(body: object): AsyncGenerator<JsonObject> {
      yield* await cache.wrapStream<JsonObject>(body, () => Promise.resolve(new Source(CHUNKS)));
    }
    assert.deepEqual(await all(await cache.wrapStream(CHAT, (body) => Promise.resolve(lazy(body)))), CHUNKS);
    assert.equal(store.puts.length, 1);
  });
});

describe("The request of a stream", () => {
  it("may not change between the asking and the call", async () => {
    const { cache, store } = openTestCache();
    const body: JsonObject = { ...CHAT };
    async function* lazy(): AsyncGenerator<JsonObject> {
      body.temperature = 1;
      yield* CHUNKS;
    }
    const status: CacheStatus = {};
    const chunks = await all(await cache.wrapStream(body, () => Promise.resolve(lazy()), { status }));
    assert.deepEqual(chunks, CHUNKS, "it was paid for");
    assert.match(status.why!, /changed while it was answered/);
    assert.equal(store.puts.length, 0);
    const eager = (): Promise<Source<JsonObject>> => {
      body.temperature = 0;
      return Promise.resolve(new Source(CHUNKS));
    };
    assert.deepEqual(await all(await cache.wrapStream(body, eager)), CHUNKS);
    assert.equal(store.puts.length, 0);
  });
});
