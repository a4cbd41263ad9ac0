/** What may be said about a stream: its pace, modes, how long it is kept, and what goes round the cache. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { settled } from "./shared_memory.ts";
import { openTestCache, saidBy } from "./support.ts";
import { all, CHAT, chatChunks, chatText, inPieces, said, Source, Streams, textOf } from "./streams.ts";

const CHUNKS = chatChunks(["It", " will", " rain."]);
const never = (): Promise<never> => Promise.reject(new Error("nobody may be asked"));
/** A provider that says `text 1`, `text 2`, … */
const counting = (): Streams<JsonObject> => new Streams((call) => new Source(chatChunks([`text ${call + 1}`])));
const GEMINI = { provider: "google", endpoint: "/v1beta/models/gemini-2.5-flash:streamGenerateContent" };
const QUESTION = { contents: [{ parts: [{ text: "Will it rain?" }] }] };

describe("A stored stream", () => {
  /** Records a stream whose chunks came 100 ms after each other. */
  async function recorded() {
    const under = openTestCache();
    const { cache, clock } = under;
    async function* slow(): AsyncGenerator<JsonObject> {
      for (const chunk of CHUNKS) {
        clock.advance(100);
        yield await Promise.resolve(chunk);
      }
    }
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(slow())));
    return under;
  }

  it("comes at once, or at the pace at which it was recorded", async () => {
    const { cache, clock } = await recorded();
    const began = clock.monotonic();
    assert.deepEqual(await all(await cache.wrapStream(CHAT, never)), CHUNKS);
    assert.equal(clock.monotonic(), began);
    const paced = await cache.wrapStream(CHAT, never, { pace: "recorded" });
    const came: number[] = [];
    const reading = (async () => {
      for await (const _ of paced) came.push(clock.monotonic() - began);
    })();
    for (let i = 0; i < 12; i++) {
      await settled();
      clock.advance(50);
    }
    await reading;
    assert.deepEqual(came, [100, 200, 300, 400, 500]);
  });

  it("is left at once while it waits for its pace, or ended by a signal", async () => {
    const { cache } = await recorded();
    const reader = (await cache.wrapEvents(CHAT, never, { pace: "recorded" })).getReader();
    const first = reader.read();
    await settled();
    await reader.cancel();
    assert.equal((await first).done, true);
    const controller = new AbortController();
    const options = { pace: "recorded", signal: controller.signal } as const;
    const reading = all(await cache.wrapStream(CHAT, never, options));
    await settled();
    controller.abort(new Error("enough"));
    await assert.rejects(reading, /enough/);
  });

  it("lets others have their turn while a long one is read", async () => {
    const { cache, clock } = openTestCache();
    const long = chatChunks(Array.from({ length: 2000 }, (_, at) => `word ${at} `));
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(new Source(long))));
    const { afterTurn } = clock;
    let turns = 0;
    clock.afterTurn = (run) => {
      turns++;
      afterTurn(run);
    };
    assert.deepEqual(await all(await cache.wrapStream(CHAT, never)), long);
    assert.ok(turns >= 5, `${turns} turns for ${JSON.stringify(long).length} bytes`);
  });

  it("is refused at a pace that does not exist", async () => {
    const { cache } = openTestCache();
    const options = { pace: "fast" as "at_once" };
    await assert.rejects(cache.wrapStream(CHAT, never, options), { name: "TypeError", message: /pace.*: fast/ });
    await assert.rejects(cache.wrapEvents(CHAT, never, { pase: 1 } as object), { name: "TypeError", message: /pase/ });
  });
});

describe("The mode of a stream", () => {
  const modes: [mode: "replay" | "read-only" | "write-only" | "refresh" | "off", said: string[], entries: number][] = [
    ["read-only", ["text 1", "text 2"], 0],
    ["off", ["text 1", "text 2"], 0],
    ["write-only", ["text 1", "text 2"], 2],
    ["refresh", ["text 1", "text 2"], 1],
  ];
  for (const [mode, expected, entries] of modes) {
    it(`${mode} does to the cache what it does for other calls`, async () => {
      const { cache } = openTestCache();
      const streams = counting();
      const texts: string[] = [];
      for (let i = 0; i < 2; i++) texts.push(said(await all(await cache.wrapStream(CHAT, streams.answer, { mode }))));
      assert.deepEqual(texts, expected);
      assert.equal((await cache.stats()).store.entries, entries);
      if (mode === "refresh") assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["text 2"]);
    });
  }

  it("replay serves what is stored, and calls for nothing", async () => {
    const { cache } = openTestCache();
    await assert.rejects(cache.wrapStream(CHAT, never, { mode: "replay" }), { code: "replay_miss" });
    await assert.rejects(cache.wrapEvents(QUESTION, never, { mode: "replay", ...GEMINI }), { code: "replay_miss" });
    await all(await cache.wrapStream(CHAT, counting().answer));
    assert.equal(said(await all(await cache.wrapStream(CHAT, never, { mode: "replay" }))), "text 1");
  });
});

describe("How long a stream is kept", () => {
  it("is said by ttl, tags and maxAge, as for other answers", async () => {
    const { cache, clock } = openTestCache();
    const streams = counting();
    const buy = async (options: object): Promise<string> =>
      said(await all(await cache.wrapStream(CHAT, streams.answer, options)));
    assert.equal(await buy({ ttl: 1000, tags: ["weather"] }), "text 1");
    clock.advance(999);
    assert.equal(await buy({}), "text 1");
    assert.equal(await buy({ maxAge: 500 }), "text 2");
    clock.advance(1000);
    assert.equal(await buy({ ttl: 1000, tags: ["weather"] }), "text 2", "it was kept for ever");
    await cache.clear();
    assert.equal(await buy({ tags: ["weather"] }), "text 3");
    assert.equal((await cache.invalidateTag("weather")).entries, 1);
    assert.equal(await buy({}), "text 4");
  });

  it("may be past its time when nothing newer can be had", async () => {
    const { cache, clock } = openTestCache();
    await all(await cache.wrapStream(CHAT, counting().answer, { ttl: 1000 }));
    clock.advance(1500);
    const status: CacheStatus = {};
    assert.equal(said(await all(await cache.wrapStream(CHAT, never, { staleIfError: 1000, status }))), "text 1");
    assert.equal(status.expiredServed, true);
    await assert.rejects(cache.wrapStream(CHAT, never), /nobody may be asked/);
  });

  it("may be past its time while a new one is bought, whether anybody reads that or not", async () => {
    const { cache, clock } = openTestCache();
    const streams = counting();
    const options = { ttl: 1000, staleWhileRevalidate: 1000 };
    await all(await cache.wrapStream(CHAT, streams.answer, options));
    clock.advance(1500);
    assert.equal(said(await all(await cache.wrapStream(CHAT, streams.answer, options))), "text 1");
    await settled();
    assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "text 2");
  });

  it("is not at all when isValid refuses it, but its caller has it", async () => {
    const { cache } = openTestCache();
    const streams = counting();
    const isValid = (answer: JsonObject): boolean => saidBy(answer)[0] === "text 2";
    const texts: string[] = [];
    for (let i = 0; i < 3; i++) texts.push(said(await all(await cache.wrapStream(CHAT, streams.answer, { isValid }))));
    assert.deepEqual(texts, ["text 1", "text 2", "text 2"]);
  });

  it("is as the policy says for its outcome", async () => {
    const { cache } = openTestCache({ policy: { length: "never" } });
    const status: CacheStatus = {};
    const cut = new Source(chatChunks(["It will"], { finish: "length" }));
    assert.equal(said(await all(await cache.wrapStream(CHAT, () => Promise.resolve(cut), { status }))), "It will");
    assert.deepEqual([status.stored, status.why], [false, "the outcome is length"]);
    const empty = new Source(chatChunks([]));
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(empty), { status }));
    assert.deepEqual([status.stored, status.why], [false, "the outcome is empty"]);
  });

  it("is nothing to the caller when it cannot be stored", async () => {
    const { cache, store, events } = openTestCache();
    store.beforePut = () => Promise.reject(new Error("disk full"));
    const status: CacheStatus = {};
    assert.equal(said(await all(await cache.wrapStream(CHAT, counting().answer, { status }))), "text 1");
    assert.deepEqual([status.stored, status.why], [false, "disk full"]);
    assert.equal((await cache.stats()).failedWrites, 1);
    assert.equal(events[0]!.type, "write_failed");
  });
});

describe("More samples than are stored, as a stream", () => {
  const choices = (words: readonly string[]): JsonObject[] =>
    words.flatMap((word, index) => chatChunks([word], { index }));

  it("are topped up by a call for the missing ones", async () => {
    const { cache } = openTestCache();
    const bought = [["a", "b", "c"], ["d", "e"]];
    const streams = new Streams((call) => new Source(choices(bought[call]!)));
    await all(await cache.wrapStream({ ...CHAT, n: 3 }, streams.answer));
    const status: CacheStatus = {};
    const five = await all(await cache.wrapStream({ ...CHAT, n: 5 }, streams.answer, { status }));
    assert.deepEqual([0, 1, 2, 3, 4].map((choice) => said(five, choice)), ["a", "b", "c", "d", "e"]);
    assert.deepEqual(streams.bodies.map((body) => (body as JsonObject).n), [3, 2]);
    assert.equal(status.stored, true);
    assert.deepEqual(saidBy((await cache.get({ ...CHAT, n: 5 }))!.json()), ["a", "b", "c", "d", "e"]);
  });

  it("are given up by a signal while they are bought", async () => {
    const { cache } = openTestCache();
    await all(await cache.wrapStream(CHAT, counting().answer));
    const source = new Source(choices(["d"]), { stop: 1 });
    const controller = new AbortController();
    let given: AbortSignal | undefined;
    const stream = cache.wrapStream({ ...CHAT, n: 2 }, (_, { signal }) => {
      given = signal;
      return Promise.resolve(source);
    }, { signal: controller.signal });
    await source.door.reached;
    controller.abort(new Error("enough"));
    await assert.rejects(stream, /enough/);
    await settled();
    assert.deepEqual([source.wasLeft, given!.aborted], [true, true]);
    assert.equal((await cache.stats()).store.entries, 1);
  });
});

describe("A stream that goes round the cache", () => {
  it("is passed on untouched where nobody here knows how the endpoint streams", async () => {
    const { cache, events } = openTestCache();
    const source = new Source([{ candidates: [] }]);
    const status: CacheStatus = {};
    for (let i = 0; i < 2; i++) {
      const stream = await cache.wrapStream(QUESTION, () => Promise.resolve(source), { ...GEMINI, status });
      assert.equal(stream, source);
    }
    const body = new ReadableStream<Uint8Array>();
    assert.equal(await cache.wrapEvents(QUESTION, () => Promise.resolve(body), GEMINI), body);
    assert.equal(status.outcome, "bypass");
    assert.deepEqual(events.map(({ type }) => type), ["bypassed", "bypassed", "bypassed"]);
    assert.deepEqual([(await cache.stats()).bypassed, (await cache.stats()).store.entries], [3, 0]);
  });

  it("does not meet a stored answer to the same request", async () => {
    const { cache } = openTestCache();
    await cache.put(QUESTION, { candidates: [{ content: { parts: [{ text: "Yes." }] } }] }, GEMINI);
    const source = new Source([{ candidates: [] }]);
    assert.equal(await cache.wrapStream(QUESTION, () => Promise.resolve(source), GEMINI), source);
  });

  it("is the caller's own to give up, by his signal too", async () => {
    const { cache } = openTestCache();
    const chunks = new Source([...CHUNKS], { stop: 1 });
    const controller = new AbortController();
    const options = { mode: "off", signal: controller.signal } as const;
    let given: AbortSignal | undefined;
    const stream = await cache.wrapStream(CHAT, (_, { signal }) => {
      given = signal;
      return Promise.resolve(chunks);
    }, options);
    const reading = all(stream);
    await chunks.door.reached;
    controller.abort(new Error("enough"));
    await assert.rejects(reading, /enough/);
    assert.deepEqual([chunks.wasLeft, given!.aborted], [true, true]);
  });

  it("becomes bytes of events where chunks are given, and a stream where JSON is", async () => {
    const { cache, provider } = openTestCache();
    const off = { mode: "off" } as const;
    const chunks = (): Promise<Source<JsonObject>> => Promise.resolve(new Source(CHUNKS));
    assert.equal(await textOf(await cache.wrapEvents(CHAT, chunks, off)), chatText(CHUNKS));
    const bytes = new Source(inPieces(chatText(CHUNKS), 9));
    assert.equal(await textOf(await cache.wrapEvents(CHAT, () => Promise.resolve(bytes), off)), chatText(CHUNKS));
    const whole = (): Promise<never> => Promise.resolve(provider.choices(1) as never);
    assert.equal(said(await all(await cache.wrapStream(CHAT, whole, off))), "text 1");
  });

  it("is left when its reader leaves", async () => {
    const { cache } = openTestCache();
    const source = new Source(CHUNKS);
    const reader = (await cache.wrapEvents(CHAT, () => Promise.resolve(source), { mode: "off" })).getReader();
    await reader.read();
    await reader.cancel();
    assert.equal(source.wasLeft, true);
  });
});

describe("what is bought in the background", () => {
  it("is bought for a copy of the request, whatever the caller does to his", async () => {
    const { cache, clock } = openTestCache();
    const streams = counting();
    const options = { ttl: 1000, staleWhileRevalidate: 1000 };
    const request = { ...CHAT, messages: [...CHAT.messages] };
    await all(await cache.wrapStream(request, streams.answer, options));
    clock.advance(1500);
    const stale = await cache.wrapStream(request, streams.answer, options);
    request.messages.push({ role: "assistant", content: "text 1" });
    assert.equal(said(await all(stale)), "text 1");
    await settled();
    assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "text 2");
  });
});
