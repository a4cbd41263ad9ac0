/** One stream for all who want it at the same time, in whatever form. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { gate } from "../support/gate.ts";
import { settled } from "./shared_memory.ts";
import { openTestCache, saidBy } from "./support.ts";
import {
  all,
  CHAT,
  chatChunks,
  chatText,
  inPieces,
  said,
  Source,
  Streams,
  textOf,
  USAGE,
  WITH_USAGE,
} from "./streams.ts";

const RAIN = ["It", " will", " rain."];
const CHUNKS = chatChunks(RAIN);
const TEXT = chatText(CHUNKS);
const never = (): Promise<never> => Promise.reject(new Error("somebody else has called"));

/** A provider whose streams stand still before their third chunk. */
const halting = (chunks: readonly JsonObject[] = CHUNKS): Streams<JsonObject> =>
  new Streams(() => new Source(chunks, { stop: 2 }));

/** The next `count` chunks of a stream. */
async function take<T>(stream: AsyncIterator<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  while (items.length < count) items.push((await stream.next()).value);
  return items;
}

const iterate = <T>(stream: AsyncIterable<T>): AsyncIterator<T> => stream[Symbol.asyncIterator]();

describe("A stream under way", () => {
  it("is read along by whoever asks for the same, from its first chunk on, while it comes", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const first = iterate(await cache.wrapStream(CHAT, streams.answer));
    assert.deepEqual(await take(first, 2), CHUNKS.slice(0, 2));
    const second = iterate(await cache.wrapStream<JsonObject>(CHAT, never));
    assert.deepEqual(await take(second, 2), CHUNKS.slice(0, 2));
    streams.sources[0]!.door.open();
    assert.deepEqual(await take(second, 3), CHUNKS.slice(2));
    assert.deepEqual(await take(first, 3), CHUNKS.slice(2));
    for (const reader of [first, second]) assert.equal((await reader.next()).done, true);
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
  });

  it("is one for those who ask in the same moment, before it has begun", async () => {
    const { cache } = openTestCache();
    const door = gate();
    const streams = halting();
    const answer: typeof streams.answer = async (body, context) => {
      await door.pass();
      return await streams.answer(body, context);
    };
    const opened = Promise.all([
      cache.wrapStream(CHAT, answer),
      cache.wrapStream(CHAT, answer),
      cache.wrapEvents(CHAT, answer),
    ]);
    await door.reached;
    const late = cache.wrapStream(CHAT, answer);
    door.open();
    const [one, two, bytes] = await opened;
    const readers = [one, two, await late].map((stream) => iterate(stream));
    for (const reader of readers) assert.deepEqual(await take(reader, 2), CHUNKS.slice(0, 2));
    streams.sources[0]!.door.open();
    assert.equal(await textOf(bytes), TEXT);
    for (const reader of readers) assert.deepEqual(await take(reader, 3), CHUNKS.slice(2));
    assert.equal(streams.calls, 1);
  });

  it("gives chunks and bytes of either source to all", async () => {
    for (const items of [CHUNKS, inPieces(TEXT, 50)]) {
      const { cache } = openTestCache();
      const streams = new Streams<unknown>(() => new Source<unknown>(items, { stop: 2 }));
      const answer = streams.answer as unknown as () => Promise<AsyncIterable<JsonObject>>;
      const chunks = await Promise.all([cache.wrapStream(CHAT, answer), cache.wrapStream(CHAT, answer)]);
      const bytes = await Promise.all([cache.wrapEvents(CHAT, answer), cache.wrapEvents(CHAT, answer)]);
      streams.sources[0]!.door.open();
      for (const stream of chunks) assert.deepEqual(await all(stream), CHUNKS);
      for (const stream of bytes) assert.equal(await textOf(stream), TEXT);
      assert.equal(streams.calls, 1);
    }
  });

  it("is not spoilt for others by what one does to his chunks", async () => {
    const { cache } = openTestCache();
    const streams = halting(structuredClone(CHUNKS));
    const first = iterate(await cache.wrapStream<JsonObject>(CHAT, streams.answer));
    for (const chunk of await take(first, 2)) chunk.choices = "mine";
    const others = await Promise.all([1, 2].map(() => cache.wrapStream<JsonObject>(CHAT, never)));
    streams.sources[0]!.door.open();
    for (const other of others) {
      for await (const chunk of other) assert.notEqual(chunk.choices, "mine"), chunk.choices = "his";
    }
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
  });

  it("is not spoilt by a source that uses its buffer again", async () => {
    const { cache } = openTestCache();
    const buffer = new Uint8Array(20);
    async function* reusing(): AsyncGenerator<Uint8Array> {
      for (const piece of inPieces(TEXT, 20)) {
        buffer.set(piece);
        yield buffer.subarray(0, piece.length);
      }
    }
    const streams = await Promise.all([1, 2].map(() => cache.wrapEvents(CHAT, () => Promise.resolve(reusing()))));
    for (const stream of streams) assert.equal(await textOf(stream), TEXT);
  });

  it("counts those who read along as answered by another's call, when it has ended", async () => {
    const { cache } = openTestCache();
    const streams = halting(chatChunks(RAIN, { usage: USAGE }));
    const statuses: CacheStatus[] = [{}, {}, {}];
    const opened = await Promise.all(statuses.map((status) => cache.wrapStream(CHAT, streams.answer, { status })));
    assert.deepEqual(statuses, [{}, {}, {}], "nobody knows yet what comes of it");
    streams.sources[0]!.door.open();
    await Promise.all(opened.map((stream) => all(stream)));
    assert.deepEqual(statuses.map(({ shared }) => shared), [false, true, true]);
    assert.deepEqual(statuses.map(({ stored }) => stored), [true, true, true]);
    const { misses, shared, writes, lookups } = await cache.stats();
    assert.deepEqual({ misses, shared, writes, lookups }, { misses: 1, shared: 2, writes: 1, lookups: 3 });
  });

  it("goes on for the others when the one who bought it leaves, and is stored", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const first = iterate(await cache.wrapStream(CHAT, streams.answer));
    await take(first, 1);
    const second = await cache.wrapStream(CHAT, never);
    await first.return!();
    streams.sources[0]!.door.open();
    assert.deepEqual(await all(second), CHUNKS);
    assert.equal(streams.sources[0]!.wasLeft, false);
    assert.equal(streams.signals[0]!.aborted, false);
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
  });

  it("goes on for the others when the one who bought it gives up before it has begun", async () => {
    const { cache } = openTestCache();
    const door = gate();
    const streams = new Streams(() => new Source(CHUNKS));
    const controller = new AbortController();
    const first = cache.wrapStream(CHAT, async (body, context) => {
      await door.pass();
      return await streams.answer(body, context);
    }, { signal: controller.signal });
    await door.reached;
    const others = [cache.wrapStream(CHAT, never), cache.wrapStream(CHAT, never)];
    const whole = cache.wrap({ ...CHAT, stream: false }, never);
    await settled();
    controller.abort(new Error("enough"));
    await assert.rejects(first, /enough/);
    door.open();
    for (const other of others) assert.deepEqual(await all(await other), CHUNKS);
    assert.deepEqual(saidBy(await whole), ["It will rain."]);
    assert.equal(streams.calls, 1);
  });

  it("ends for one by his signal alone, and at once", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const controller = new AbortController();
    const first = iterate(await cache.wrapStream(CHAT, streams.answer, { signal: controller.signal }));
    const second = await cache.wrapStream(CHAT, never);
    await take(first, 2);
    const third = first.next();
    await streams.sources[0]!.door.reached;
    controller.abort(new Error("enough"));
    await assert.rejects(third, /enough/);
    await assert.rejects(first.next(), /enough/, "who gave up has not come to the end");
    streams.sources[0]!.door.open();
    assert.deepEqual(await all(second), CHUNKS);
  });

  it("is given up when all have left, and the next one buys anew", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const readers = (await Promise.all([1, 2, 3].map(() => cache.wrapStream(CHAT, streams.answer)))).map(iterate);
    for (const reader of readers) await take(reader, 2);
    for (const reader of readers) {
      assert.equal(streams.sources[0]!.wasLeft, false);
      await reader.return!();
    }
    assert.equal(streams.sources[0]!.wasLeft, true);
    assert.equal(streams.signals[0]!.aborted, true);
    const next = iterate(await cache.wrapStream(CHAT, streams.answer));
    streams.sources[1]!.door.open();
    assert.deepEqual(await take(next, 5), CHUNKS);
    assert.equal(streams.calls, 2);
  });

  it("is given up by those who leave before they have read anything", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    await (await cache.wrapEvents(CHAT, streams.answer)).cancel();
    await iterate(await cache.wrapStream(CHAT, streams.answer)).return!();
    await settled();
    assert.deepEqual(streams.sources.map(({ wasLeft }) => wasLeft), [true, true]);
    assert.deepEqual(streams.signals.map(({ aborted }) => aborted), [true, true]);
    assert.equal((await cache.stats()).store.entries, 0);
  });

  it("is given up while the provider says nothing", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const events = await cache.wrapEvents(CHAT, streams.answer);
    const reader = events.getReader();
    for (let i = 0; i < 2; i++) await reader.read();
    const third = reader.read();
    await streams.sources[0]!.door.reached;
    await reader.cancel();
    assert.equal((await third).done, true);
    assert.equal(streams.signals[0]!.aborted, true);
    assert.equal(streams.sources[0]!.wasLeft, true);
  });

  it("cancels the body that it comes from", async () => {
    const { cache } = openTestCache();
    const cancelled: unknown[] = [];
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(inPieces(TEXT, 50)[0]!),
      cancel: (reason) => void cancelled.push(reason),
    });
    const reader = (await cache.wrapEvents(CHAT, () => Promise.resolve(body))).getReader();
    await reader.read();
    const pending = reader.read();
    await reader.cancel();
    assert.equal((await pending).done, true);
    await settled();
    assert.equal(cancelled.length, 1);
  });

  it("answers those who want it whole, and goes on for them", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const first = iterate(await cache.wrapStream(CHAT, streams.answer));
    const whole = cache.wrap({ ...CHAT, stream: false }, never);
    const entry = cache.wrapEntry({ ...CHAT, stream: false }, never);
    await settled();
    await first.return!();
    streams.sources[0]!.door.open();
    assert.deepEqual(saidBy(await whole), ["It will rain."]);
    assert.deepEqual(saidBy((await entry).json()), ["It will rain."]);
    assert.equal((await cache.stats()).writes, 1);
  });

  it("is given up when the last who waits for the whole gives up", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const first = iterate(await cache.wrapStream(CHAT, streams.answer));
    const controller = new AbortController();
    const whole = cache.wrap({ ...CHAT, stream: false }, never, { signal: controller.signal });
    await settled();
    await first.return!();
    assert.equal(streams.signals[0]!.aborted, false);
    controller.abort(new Error("enough"));
    await assert.rejects(whole, /enough/);
    assert.equal(streams.signals[0]!.aborted, true);
  });

  it("goes on for one who reads along when the last who waits for the whole gives up", async () => {
    const { cache } = openTestCache();
    const door = gate();
    const streams = halting();
    const [early, late] = [new AbortController(), new AbortController()];
    const first = cache.wrapStream(CHAT, async (body, context) => {
      await door.pass();
      return await streams.answer(body, context);
    }, { signal: early.signal });
    await door.reached;
    const whole = cache.wrap({ ...CHAT, stream: false }, never, { signal: late.signal });
    await settled();
    early.abort(new Error("enough"));
    await assert.rejects(first);
    door.open();
    await settled();
    const along = await cache.wrapStream(CHAT, never);
    late.abort(new Error("enough"));
    await assert.rejects(whole);
    streams.sources[0]!.door.open();
    assert.deepEqual(await all(along), CHUNKS);
    assert.equal(streams.signals[0]!.aborted, false);
  });

  it("keeps the chunk with the usage from those who did not ask for it", async () => {
    const { cache } = openTestCache();
    const counted = chatChunks(RAIN, { usage: USAGE });
    const streams = halting(counted);
    const first = await cache.wrapStream({ ...CHAT, ...WITH_USAGE }, streams.answer);
    const second = await cache.wrapStream(CHAT, never);
    const bytes = await cache.wrapEvents(CHAT, never);
    const third = await cache.wrapStream({ ...CHAT, ...WITH_USAGE }, never);
    streams.sources[0]!.door.open();
    assert.deepEqual(await all(first), counted);
    assert.deepEqual(await all(second), CHUNKS);
    assert.deepEqual(await all(third), counted);
    assert.equal(await textOf(bytes), TEXT);
  });

  it("is waited for by those who want fewer of its choices, and by those who want more", async () => {
    const { cache } = openTestCache();
    const both = ["Yes.", "No."].flatMap((word, index) => chatChunks([word], { index }));
    const streams = new Streams((call) => new Source(call === 0 ? both : chatChunks(["Perhaps."]), { stop: 2 }));
    const two = cache.wrapStream({ ...CHAT, n: 2 }, streams.answer).then((stream) => all(stream));
    await settled();
    const one = cache.wrapStream(CHAT, never).then((stream) => all(stream));
    const three = cache.wrapStream({ ...CHAT, n: 3 }, streams.answer).then((stream) => all(stream));
    await settled();
    streams.sources[0]!.door.open();
    assert.deepEqual([said(await two, 0), said(await two, 1)], ["Yes.", "No."]);
    assert.equal(said(await one), "Yes.");
    while (streams.calls < 2) await settled();
    streams.sources[1]!.door.open();
    const chunks = await three;
    assert.deepEqual([said(chunks, 0), said(chunks, 1), said(chunks, 2)], ["Yes.", "No.", "Perhaps."]);
    assert.deepEqual((streams.bodies[1] as JsonObject).n, 1);
  });

  it("comes to those who wanted a stream of what was being bought whole", async () => {
    const { cache, provider } = openTestCache();
    const door = gate();
    const whole = cache.wrap({ ...CHAT, stream: false }, async () => {
      await door.pass();
      return provider.choices(1);
    });
    await door.reached;
    const stream = cache.wrapStream(CHAT, never);
    await settled();
    door.open();
    assert.equal(said(await all(await stream)), "text 1");
    assert.deepEqual(saidBy(await whole), ["text 1"]);
  });

  it("is not pulled by itself, nor held up by one who stands still", async () => {
    const { cache } = openTestCache();
    const streams = new Streams(() => new Source(CHUNKS));
    const [slow, fast] = (await Promise.all([1, 2].map(() => cache.wrapStream(CHAT, streams.answer)))).map(iterate);
    await settled();
    assert.equal(streams.sources[0]!.pulls, 0);
    await take(fast!, 2);
    await settled();
    assert.equal(streams.sources[0]!.pulls, 2);
    await take(fast!, 3);
    assert.equal((await fast!.next()).done, true);
    assert.deepEqual(await take(slow!, 5), CHUNKS);
  });

  it("has thousands of readers", async () => {
    const { cache } = openTestCache();
    const streams = halting();
    const opened = Promise.all(Array.from({ length: 3000 }, () => cache.wrapStream(CHAT, streams.answer)));
    const readers = (await opened).map((stream) => all(stream));
    streams.sources[0]!.door.open();
    for (const chunks of await Promise.all(readers)) assert.equal(said(chunks), "It will rain.");
    assert.equal(streams.calls, 1);
    const { shared, writes } = await cache.stats();
    assert.deepEqual({ shared, writes }, { shared: 2999, writes: 1 });
  });

  it("is shared only with those whose mode does the same to the cache", async () => {
    const { cache } = openTestCache();
    const streams = new Streams(() => new Source(CHUNKS));
    const modes = ["read-write", "refresh", "read-only", "write-only", "write-only", "off"] as const;
    const opened = await Promise.all(modes.map((mode) => cache.wrapStream(CHAT, streams.answer, { mode })));
    for (const stream of opened) assert.deepEqual(await all(stream), CHUNKS);
    assert.equal(streams.calls, modes.length);
  });
});
