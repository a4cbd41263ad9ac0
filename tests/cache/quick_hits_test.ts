/** Hits from a store that answers at once: they wait for nobody, and are told and counted as all others are. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { ResponseCache } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Found, Store } from "../../src/store/store.ts";
import { gate } from "../support/gate.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { CHAT, chatChunks } from "./streams.ts";
import { ask, Provider, saidBy, sha256 } from "./support.ts";

function openQuick(): { cache: ResponseCache; store: Store; clock: ManualClock; provider: Provider } {
  const clock = new ManualClock();
  const store = openMemoryStore({ clock, maxBytes: 1 << 20 });
  return { cache: new ResponseCache({ store, clock, sha256 }), store, clock, provider: new Provider() };
}

/** Has each lookup of a store pass through `change`, at once as before. */
function changing(store: Store, change: (found: Found) => Found): void {
  const lookup = store.lookup.bind(store);
  store.lookup = (model, wants) => (lookup(model, wants) as readonly Found[]).map(change);
}

const never = (): never => {
  throw new Error("the provider was asked");
};

describe("a hit from a store that answers at once", () => {
  it("is no other's: each who asks at the same time gets it by himself, and is counted", async () => {
    const { cache, provider } = openQuick();
    await cache.wrap(ask("cats"), provider.answer);
    const statuses: CacheStatus[] = [{}, {}, {}];
    const answers = await Promise.all(statuses.map((status) => cache.wrap(ask("cats"), never, { status })));
    assert.deepEqual(answers.map(saidBy), [["text 1"], ["text 1"], ["text 1"]]);
    assert.notEqual(answers[0], answers[1]);
    for (const status of statuses) {
      assert.deepEqual([status.outcome, status.shared, status.stored, status.billedMicrodollars], [
        "hit",
        false,
        false,
        0,
      ]);
    }
    const { hits, misses, shared } = await cache.stats();
    assert.deepEqual([hits, misses, shared], [3, 1, 0]);
  });

  it("gives each his own bytes", async () => {
    const { cache, provider } = openQuick();
    await cache.wrapEntry(ask("cats"), provider.answer);
    const first = (await cache.wrapEntry(ask("cats"), never)).bytes();
    const before = first.slice();
    first.fill(0);
    assert.deepEqual((await cache.wrapEntry(ask("cats"), never)).bytes(), before);
  });

  it("is not there for whoever has given up before he asked", async () => {
    const { cache, provider } = openQuick();
    await cache.wrap(ask("cats"), provider.answer);
    const reason = new Error("gone");
    await assert.rejects(cache.wrap(ask("cats"), never, { signal: AbortSignal.abort(reason) }), (e) => e === reason);
    assert.equal((await cache.stats()).hits, 0);
  });

  it("is there at once while the same is being bought anew", async () => {
    const { cache, provider } = openQuick();
    await cache.wrap(ask("cats"), provider.answer);
    const door = gate();
    const refreshing = cache.wrap(ask("cats"), async (body) => {
      await door.pass();
      return await provider.answer(body);
    }, { mode: "refresh" });
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), never)), ["text 1"]);
    door.open();
    assert.deepEqual(saidBy(await refreshing), ["text 2"]);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), never)), ["text 2"]);
  });

  it("has what isValid throws thrown, and buys nothing", async () => {
    const { cache, provider } = openQuick();
    await cache.wrap(ask("cats"), provider.answer);
    const mistake = new RangeError("a mistake");
    const isValid = (): never => {
      throw mistake;
    };
    await assert.rejects(cache.wrap(ask("cats"), never, { isValid }), (error) => error === mistake);
  });

  const broken = (): never => {
    throw new CacheError("corrupt", "the frame is torn");
  };

  it("is none when its bytes cannot be had: it is bought again", async () => {
    const { cache, store, provider } = openQuick();
    await cache.wrap(ask("cats"), provider.answer);
    changing(store, (found) => ({
      ...found,
      entries: found.entries.map((entry) => ({ ...entry, bytes: broken, read: broken })),
    }));
    const status: CacheStatus = {};
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { status })), ["text 2"]);
    assert.equal(status.outcome, "corrupt");
  });

  it("is none when a recorded stream cannot be had", async () => {
    const { cache, store } = openQuick();
    const produce = async function* (): AsyncGenerator<object> {
      yield* chatChunks(["It ", "will rain."]);
    };
    const read = async (status: CacheStatus): Promise<number> => {
      const stream = await cache.wrapStream(CHAT, () => Promise.resolve(produce()), { status });
      let chunks = 0;
      for await (const _ of stream) chunks++;
      return chunks;
    };
    const [first, second, third]: CacheStatus[] = [{}, {}, {}];
    const chunks = await read(first!);
    await read(second!);
    changing(store, (found) => ({
      ...found,
      entries: found.entries.map((entry) => ({ ...entry, bytes: broken, read: broken })),
    }));
    assert.equal(await read(third!), chunks);
    assert.deepEqual([first!.outcome, second!.outcome, third!.outcome], ["miss", "hit", "corrupt"]);
  });
});
