import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { PriceOf } from "../../src/cache/ledger/prices.ts";
import { CacheError } from "../../src/store/error.ts";
import { pick } from "./pick.ts";
import { settled, SharedMemory } from "./shared_memory.ts";
import { ask, openTestCache } from "./support.ts";

const DAY = 86_400_000;
/** A microdollar for each token. */
const priceOf: PriceOf = ({ usage }) => {
  const { prompt_tokens, completion_tokens } = usage as { prompt_tokens?: number; completion_tokens?: number };
  return Promise.resolve((prompt_tokens ?? 0) + (completion_tokens ?? 0));
};

describe("what an answer costs", () => {
  it("is told by a miss as billed, and by a hit as saved, with the usage and latency of the call it saved", async () => {
    const { cache, provider, clock } = openTestCache();
    const status: CacheStatus = {};
    const slow = (body: ReturnType<typeof ask>) => {
      clock.advance(250);
      return provider.answer(body);
    };
    await cache.wrap(ask("cats"), slow, { status, costMicrodollars: 42 });
    assert.deepEqual(pick(status, "costMicrodollars", "billedMicrodollars", "latency"), {
      costMicrodollars: 42,
      billedMicrodollars: 42,
      latency: 250,
    });
    const entry = await cache.wrapEntry(ask("cats"), slow, { status });
    assert.deepEqual(pick(status, "costMicrodollars", "billedMicrodollars", "latency"), {
      costMicrodollars: 42,
      billedMicrodollars: 0,
      latency: 250,
    });
    assert.deepEqual(pick(entry, "usage", "latency", "costMicrodollars"), {
      usage: { promptTokens: 10, completionTokens: 5 },
      latency: 250,
      costMicrodollars: 42,
    });
    await cache.get(ask("cats"), { status });
    assert.deepEqual(pick(status, "costMicrodollars", "billedMicrodollars", "latency"), {
      costMicrodollars: 42,
      billedMicrodollars: 0,
      latency: 250,
    });
    const { saved, spentMicrodollars } = await cache.stats();
    assert.deepEqual({ ...saved, spentMicrodollars }, {
      promptTokens: 20,
      completionTokens: 10,
      costMicrodollars: 84,
      latency: 500,
      spentMicrodollars: 42,
    });
  });

  it("comes from the price table, and nobody knows it without one", async () => {
    const status: CacheStatus = {};
    const priced = openTestCache({ priceOf });
    await priced.cache.wrap(ask("cats"), priced.provider.answer, { status });
    assert.equal(typeof status.costMicrodollars, "number");
    assert.equal(status.billedMicrodollars, status.costMicrodollars);
    const unpriced = openTestCache();
    await unpriced.cache.wrap(ask("cats"), unpriced.provider.answer, { status });
    assert.deepEqual(pick(status, "costMicrodollars", "billedMicrodollars"), {
      costMicrodollars: null,
      billedMicrodollars: null,
    });
    assert.equal((await unpriced.cache.stats()).spentMicrodollars, 0);
  });

  it("is said by the caller as an amount, or as a function of the answer", async () => {
    const { cache, provider } = openTestCache({ priceOf });
    const costs: [CacheStatus["costMicrodollars"] | ((answer: unknown) => number | null), number | null][] = [
      [0, 0],
      [1.5, 1.5],
      [(answer) => (answer as { usage: { total_tokens: number } }).usage.total_tokens * 2, 30],
      [() => null, null],
      [() => -1, null],
      [() => NaN, null],
      [() => "7" as unknown as number, null],
      [() => {
        throw new Error("no such model");
      }, null],
    ];
    for (const [index, [costMicrodollars, expected]] of costs.entries()) {
      const status: CacheStatus = {};
      const options = { status, costMicrodollars: costMicrodollars as number };
      await cache.wrap(ask(`topic ${index}`), provider.answer, options);
      assert.equal(status.costMicrodollars, expected, `cost ${index}`);
      assert.equal(status.stored, true, "a price is worth no answer");
    }
    for (const wrong of [-1, NaN, Infinity, "7", null]) {
      const options = { costMicrodollars: wrong as number };
      await assert.rejects(cache.wrap(ask("wrong"), provider.answer, options), /costMicrodollars/);
      await assert.rejects(cache.put(ask("wrong"), provider.choices(1), options), /costMicrodollars/);
    }
  });

  it("of several samples is divided among them, and adds up again", async () => {
    const { cache, provider } = openTestCache();
    const status: CacheStatus = {};
    await cache.wrap(ask("cats", { n: 3 }), provider.answer, { status, costMicrodollars: 30 });
    assert.equal(status.billedMicrodollars, 30);
    await cache.wrap(ask("cats", { n: 2 }), provider.answer, { status });
    assert.equal(status.costMicrodollars, 20);
    await cache.wrap(ask("cats", { n: 5 }), provider.answer, { status, costMicrodollars: 16 });
    assert.deepEqual(pick(status, "costMicrodollars", "billedMicrodollars"), {
      costMicrodollars: 46,
      billedMicrodollars: 16,
    });
    assert.equal((await cache.get(ask("cats", { n: 5 })))?.costMicrodollars, 46);
    assert.equal((await cache.stats()).spentMicrodollars, 46);
  });

  it("is billed to the one who called, and to nobody who waited for him", async () => {
    const { cache, provider } = openTestCache();
    const statuses: CacheStatus[] = [{}, {}, {}];
    const wrapped = statuses.map((status) =>
      cache.wrap(ask("cats"), provider.answer, { status, costMicrodollars: 42 })
    );
    await Promise.all(wrapped);
    assert.deepEqual(statuses.map(({ billedMicrodollars }) => billedMicrodollars), [42, 0, 0]);
    assert.deepEqual(statuses.map(({ costMicrodollars }) => costMicrodollars), [42, 42, 42]);
    const { spentMicrodollars, saved } = await cache.stats();
    assert.deepEqual([spentMicrodollars, saved.costMicrodollars], [42, 84]);
  });

  it("is spent though the answer was none to keep, or could not be written", async () => {
    const { cache, provider, store } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer, { costMicrodollars: 1, isValid: () => false });
    store.beforePut = () => {
      throw new CacheError("unavailable", "the disk is full");
    };
    await cache.wrap(ask("cats"), provider.answer, { costMicrodollars: 2 });
    assert.equal((await cache.stats()).spentMicrodollars, 3);
  });

  it("is spent in the background as well", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000, staleWhileRevalidate: 1000 });
    const status: CacheStatus = {};
    await cache.wrap(ask("cats"), provider.answer, { costMicrodollars: 1 });
    clock.advance(1500);
    await cache.wrap(ask("cats"), provider.answer, { costMicrodollars: 2, status });
    assert.equal(status.billedMicrodollars, 0);
    await settled();
    assert.equal((await cache.stats()).spentMicrodollars, 3);
  });
});

describe("ResponseCache.stats, of all time,", () => {
  it("adds up what all processes did, by model and by day", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    await one.cache.wrap(ask("cats"), one.provider.answer, { costMicrodollars: 5 });
    await two.cache.wrap(ask("cats"), two.provider.answer);
    await two.cache.close();
    shared.clock.advance(DAY);
    await one.cache.get(ask("cats", { model: "other" }));
    const { allTime, ...process } = await one.cache.stats();
    assert.deepEqual(pick(process, "hits", "misses"), { hits: 0, misses: 2 });
    assert.deepEqual(pick(allTime!, "lookups", "hits", "misses", "writes", "hitRate", "spentMicrodollars"), {
      lookups: 3,
      hits: 1,
      misses: 2,
      writes: 1,
      hitRate: 1 / 3,
      spentMicrodollars: 5,
    });
    assert.equal(allTime!.saved.costMicrodollars, 5);
    assert.deepEqual(Object.keys(allTime!.perModel), ["gpt-4o-mini", "other"]);
    assert.equal(allTime!.perModel.other?.misses, 1);
    assert.deepEqual(allTime!.perDay.map((day) => pick(day, "day", "hits", "misses")), [
      { day: "2026-01-01", hits: 1, misses: 1 },
      { day: "2026-01-02", hits: 0, misses: 1 },
    ]);
  });

  it("puts what happened just before midnight on the day that ended", async () => {
    const shared = new SharedMemory();
    const one = shared.open();
    shared.clock.advance(DAY - 1);
    await one.cache.get(ask("cats"));
    shared.clock.advance(1);
    await one.cache.get(ask("cats"));
    await one.cache.get(ask("cats"));
    const { perDay } = (await one.cache.stats()).allTime!;
    assert.deepEqual(perDay.map((day) => pick(day, "day", "misses")), [
      { day: "2026-01-01", misses: 1 },
      { day: "2026-01-02", misses: 2 },
    ]);
  });

  it("is told of what happened within a second, and before the cache is closed", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const misses = async (): Promise<number | undefined> => (await two.cache.stats()).allTime?.misses;
    await one.cache.get(ask("cats"));
    assert.equal(await misses(), 0);
    shared.clock.advance(1000);
    await settled();
    assert.equal(await misses(), 1);
    await one.cache.get(ask("cats"));
    await one.cache.close();
    assert.equal(await misses(), 2);
    shared.clock.advance(10_000);
    await settled();
    assert.equal(await misses(), 2);
  });

  it("is null where the store keeps none, or cannot say", async () => {
    assert.equal((await openTestCache().cache.stats()).allTime, null);
    const shared = new SharedMemory();
    const one = shared.open();
    shared.ledger.read = () => {
      throw new CacheError("unavailable", "the file is gone");
    };
    const { allTime, store, lastError } = await one.cache.stats();
    assert.equal(allTime, null);
    assert.equal(store.entries, 0);
    assert.equal(lastError?.message, "the file is gone");
  });

  it("survives a ledger that takes nothing", async () => {
    const shared = new SharedMemory();
    const one = shared.open();
    shared.ledger.add = () => {
      throw new CacheError("unavailable", "the file is gone");
    };
    await one.cache.wrap(ask("cats"), one.provider.answer);
    shared.clock.advance(1000);
    await settled();
    assert.equal((await one.cache.stats()).lastError?.message, "the file is gone");
    await one.cache.close();
  });
});

describe("CacheStatistics.summary", () => {
  it("is one line for people", async () => {
    const { cache, provider, clock } = openTestCache();
    const slow = (body: ReturnType<typeof ask>) => {
      clock.advance(1500);
      return provider.answer(body);
    };
    assert.equal(
      (await cache.stats()).summary(),
      "0 hits of 0 lookups (0.0 %), 0 writes; saved $0.0000, 0 tokens, 0.0 s; spent $0.0000",
    );
    await Promise.all([1, 2].map(() => cache.wrap(ask("cats"), slow, { costMicrodollars: 12_345 })));
    await cache.wrap(ask("cats"), slow);
    assert.equal(
      (await cache.stats()).summary(),
      "1 hit of 3 lookups (33.3 %), 1 shared, 1 write; saved $0.0247, 30 tokens, 3.0 s; spent $0.0123",
    );
  });
});
