import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { ResponseCache } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Found } from "../../src/store/store.ts";
import { gate } from "../support/gate.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { pick } from "./pick.ts";
import { ask, openTestCache, Provider, saidBy, sha256, tearRows, TestStore } from "./support.ts";

describe("ResponseCache", () => {
  const clock = new ManualClock();
  const store = openMemoryStore({ clock, maxBytes: 1000 });

  it("refuses options it does not have, by name, and values that mean nothing", () => {
    const wrong: [options: object, message: RegExp][] = [
      [{ namespaces: "" }, /namespaces/],
      [{ ttl: 0 }, /ttl/],
      [{ ttl: -1 }, /ttl/],
      [{ ttl: NaN }, /ttl/],
      [{ ttl: Infinity }, /ttl/],
      [{ refusedStore: "ignore" }, /refusedStore/],
      [{ namespace: 7 }, /namespace/],
      [{ ignore: { "/e": "user" } }, /\/e/],
      [{ ignore: { "/e": [1] } }, /\/e/],
      [{ ignore: { "/e": ["user", "n"] } }, /samples/],
      [{ mode: "readonly" }, /read-only/],
      [{ staleWhileRevalidate: -1 }, /staleWhileRevalidate/],
      [{ staleIfError: Infinity }, /staleIfError/],
      [{ negativeTtl: -1 }, /negativeTtl/],
      [{ claimDuration: NaN }, /claimDuration/],
      [{ claimDuration: 3_600_001 }, /claimDuration/],
      [{ policy: { finished: "store" } }, /finished/],
      [{ policy: { length: "sometimes" } }, /length/],
      [{ policy: { length: { ttl: 0 } } }, /length/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => new ResponseCache({ store, clock, sha256, ...options }), message);
    }
  });

  it("ignores the fields it is told to, at their endpoint", async () => {
    const { cache, provider } = openTestCache({ ignore: { "/v1/chat/completions": ["trace_id"] } });
    await cache.wrap({ ...ask("cats"), trace_id: 1 }, provider.answer);
    assert.ok(await cache.get({ ...ask("cats"), trace_id: 2 }));
    assert.equal(await cache.get({ ...ask("cats"), trace: 2 }), undefined);
  });

  it("keeps its namespace apart, whatever clear text it has", async () => {
    const shared = openMemoryStore({ clock, maxBytes: 10_000 });
    const open = (namespace: string) => new ResponseCache({ store: shared, clock, sha256, namespace });
    await open("a").put(ask("cats"), new Provider().choices(1));
    assert.ok(await open("a").get(ask("cats")));
    assert.equal(await open("ab").get(ask("cats")), undefined);
    assert.ok(await open("ab").get(ask("cats"), { namespace: "a" }));
  });

  it("lets answers expire", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000 });
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(999);
    assert.ok(await cache.get(ask("cats")));
    clock.advance(1);
    const status: CacheStatus = {};
    assert.equal(await cache.get(ask("cats"), { status }), undefined);
    assert.equal(status.outcome, "expired");
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { status })), ["text 2"]);
    assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
      outcome: "expired",
      stored: true,
      shared: false,
      why: undefined,
    });
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 2"]);
  });

  describe("put", () => {
    it("stores what get then gives", async () => {
      const { cache, provider } = openTestCache();
      const answer = provider.choices(1);
      assert.equal(await cache.get(ask("cats")), undefined);
      await cache.put(ask("cats"), answer);
      assert.deepEqual((await cache.get(ask("cats")))!.json(), answer);
      assert.equal((await cache.get(ask("cats")))!.latency, null);
    });

    it("replaces what was there", async () => {
      const { cache, provider } = openTestCache();
      await cache.put(ask("cats"), provider.choices(2));
      await cache.put(ask("cats"), provider.choices(1));
      assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))!.json()), ["text 3", "text 2"]);
    });

    it("stores raw bytes byte for byte, and choices as samples", async () => {
      const { cache, provider } = openTestCache();
      const raw = ` ${JSON.stringify(provider.choices(1), null, 4)} `;
      await cache.put(ask("cats"), new TextEncoder().encode(raw));
      assert.equal((await cache.get(ask("cats")))!.text(), raw);
      await cache.put(ask("dogs"), new TextEncoder().encode(JSON.stringify(provider.choices(3))));
      assert.equal((await cache.get(ask("dogs", { n: 3 })))!.samples, 3);
    });

    it("stores no error, no empty answer, and says why", async () => {
      const { cache, store, events } = openTestCache();
      const status: CacheStatus = {};
      await cache.put(ask("cats"), { error: { message: "quota" } }, { status });
      assert.deepEqual(pick(status, "stored", "shared", "why"), {
        stored: false,
        shared: false,
        why: "the outcome is error",
      });
      await cache.put(ask("cats"), { choices: [] });
      assert.equal(store.puts.length, 0);
      assert.deepEqual(events.map(({ type }) => type), ["not_stored", "not_stored"]);
    });

    it("refuses what is not JSON", async () => {
      const { cache } = openTestCache();
      const answers = ["text", null, undefined, new Map(), new TextEncoder().encode("{"), { toJSON: () => "x" }];
      for (const answer of answers) await assert.rejects(cache.put(ask("cats"), answer as object), TypeError);
    });

    it("rejects when the store cannot write: the answer is in the caller's hands", async () => {
      const { cache, store, provider } = openTestCache();
      const failure = new CacheError("unavailable", "the disk is full");
      store.beforePut = () => Promise.reject(failure);
      await assert.rejects(cache.put(ask("cats"), provider.choices(1)), (error) => error === failure);
      assert.equal((await cache.stats()).failedWrites, 1);
    });
  });

  describe("getMany", () => {
    it("keeps order and identity for every pattern of hits and misses", async () => {
      const topics = ["a", "b", "c", "d", "e"];
      for (let mask = 0; mask < 2 ** topics.length; mask++) {
        const { cache, provider } = openTestCache();
        const stored = topics.filter((_, index) => mask & (1 << index));
        for (const topic of stored) await cache.put(ask(topic), { ...provider.choices(1), id: topic });
        const entries = await cache.getMany(topics.map((topic) => ask(topic)));
        const found = entries.map((entry) => (entry?.json() as { id: string } | undefined)?.id);
        assert.deepEqual(found, topics.map((topic) => (stored.includes(topic) ? topic : undefined)), `mask ${mask}`);
        const { hits, misses } = await cache.stats();
        assert.deepEqual({ hits, misses }, { hits: stored.length, misses: topics.length - stored.length });
      }
    });

    it("asks the store once for each model", async () => {
      const { cache, store } = openTestCache();
      const models = ["m1", "m2", "m1", "m3", "m2"];
      await cache.getMany(models.map((model, index) => ask(`topic ${index}`, { model })));
      assert.equal(store.lookups, 3);
    });

    it("answers duplicates each, also where they want different numbers of samples", async () => {
      const { cache, provider } = openTestCache();
      await cache.put(ask("cats"), provider.choices(2));
      const bodies = [ask("cats"), ask("cats", { n: 2 }), ask("dogs"), ask("cats", { n: 3 }), ask("cats")];
      const entries = await cache.getMany(bodies);
      assert.deepEqual(entries.map((entry) => entry?.samples), [1, 2, undefined, undefined, 1]);
      const { hits, misses } = await cache.stats();
      assert.deepEqual({ hits, misses }, { hits: 3, misses: 2 });
    });

    it("gives duplicates bytes of their own", async () => {
      const { cache, provider, store } = openTestCache();
      const answer = provider.choices(1);
      await cache.put(ask("cats"), answer);
      const lookup = store.lookup.bind(store);
      store.lookup = async (model, wants) =>
        (await lookup(model, wants)).map((found) => ({
          ...found,
          entries: found.entries.map((entry) => {
            const bytes = entry.bytes();
            return { ...entry, bytes: () => bytes };
          }),
        }));
      const [first, second] = await cache.getMany([ask("cats"), ask("cats")]);
      first!.bytes().fill(0);
      assert.deepEqual(second!.json(), answer);
    });

    it("of nothing is nothing", async () => {
      const { cache, store } = openTestCache();
      assert.deepEqual(await cache.getMany([]), []);
      assert.equal(store.lookups, 0);
    });

    it("takes one model's failed lookup as misses, and answers the others", async () => {
      const { cache, store, provider } = openTestCache();
      await cache.put(ask("cats", { model: "good" }), provider.choices(1));
      const lookup = store.lookup.bind(store);
      store.lookup = async (model, wants) => {
        if (model === "bad") throw new CacheError("corrupt", "no database");
        return await lookup(model, wants);
      };
      const bodies = [ask("cats", { model: "bad" }), ask("cats", { model: "good" }), ask("dogs", { model: "bad" })];
      assert.deepEqual((await cache.getMany(bodies)).map((entry) => entry?.samples), [undefined, 1, undefined]);
      const { failedLookups, misses, hits, perModel } = await cache.stats();
      assert.deepEqual({ failedLookups, misses, hits }, { failedLookups: 2, misses: 2, hits: 1 });
      assert.equal(perModel.bad?.failedLookups, 2);
      assert.equal(perModel.good?.failedLookups, 0);
    });
  });

  describe("with rows that are there but no good", () => {
    const flags = { stale: false, expired: false, corrupt: false };

    for (const outcome of ["stale", "expired", "corrupt"] as const) {
      it(`counts ${outcome} once, and as nothing else`, async () => {
        const { cache, store, provider, events } = openTestCache();
        const dead = (): Promise<Found[]> => Promise.resolve([{ ...flags, [outcome]: true, entries: [] }]);
        store.lookup = dead;
        const status: CacheStatus = {};
        assert.equal(await cache.get(ask("cats"), { status }), undefined);
        assert.equal(status.outcome, outcome);
        await cache.getMany([ask("cats")]);
        await cache.wrap(ask("cats"), provider.answer, { status });
        assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
          outcome,
          stored: true,
          shared: false,
          why: undefined,
        });
        const counts = await cache.stats();
        assert.equal(counts[outcome], 3);
        assert.equal(counts.lookups, 3);
        assert.equal(counts.misses + counts.hits, 0);
        assert.equal(events.filter(({ type }) => type === "corrupt").length, outcome === "corrupt" ? 3 : 0);
        assert.equal(store.puts[0]?.placement, "append", "the store knows which rows give way");
      });
    }

    it("serves what is sound in front of them", async () => {
      const { cache, store, provider } = openTestCache();
      await cache.put(ask("cats"), provider.choices(2));
      const lookup = store.lookup.bind(store);
      store.lookup = async (model, wants) => (await lookup(model, wants)).map((found) => ({ ...found, corrupt: true }));
      assert.equal((await cache.get(ask("cats", { n: 2 })))?.samples, 2);
      assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 3 }), provider.answer)), [
        "text 1",
        "text 2",
        "text 3",
      ]);
    });

    it("keeps what another process buys in their place at the same time", async () => {
      const [one, two] = [openTestCache({ ttl: 1000 }), new Provider()];
      await one.cache.wrap(ask("cats"), one.provider.answer);
      one.clock.advance(1000);
      const { store, clock } = one;
      const other = new ResponseCache({ store, clock, sha256, ttl: 1000 });
      const bought = Promise.withResolvers<void>();
      const wrapped = one.cache.wrap(ask("cats"), async (body) => {
        await bought.promise;
        return await one.provider.answer(body);
      });
      await other.wrap(ask("cats"), two.answer);
      bought.resolve();
      await wrapped;
      const kept = await other.get(ask("cats", { n: 2 }));
      assert.equal(kept?.samples, 2);
      await other.close();
    });

    it("buys anew what does not decompress, in its place", async () => {
      const { cache, store, provider } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      const mend = tearRows(store);
      const status: CacheStatus = {};
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { status })), ["text 2"]);
      assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
        outcome: "corrupt",
        stored: true,
        shared: false,
        why: "the frame is torn",
      });
      mend();
      assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 1 })))!.json()), ["text 2"]);
      assert.equal(await cache.get(ask("cats", { n: 2 })), undefined);
    });
  });

  describe("stats", () => {
    it("of an unused cache is all zero", async () => {
      const { cache } = openTestCache();
      const { summary: _, ...stats } = await cache.stats();
      assert.deepEqual(stats, {
        lookups: 0,
        hits: 0,
        misses: 0,
        stale: 0,
        expired: 0,
        corrupt: 0,
        bypassed: 0,
        shared: 0,
        writes: 0,
        failedWrites: 0,
        failedLookups: 0,
        expiredServed: 0,
        failedCalls: 0,
        unclaimed: 0,
        hitRate: 0,
        spentMicrodollars: 0,
        saved: { promptTokens: 0, completionTokens: 0, costMicrodollars: 0, latency: 0 },
        perModel: {},
        store: {
          name: "memory",
          location: "memory",
          entries: 0,
          bodyBytes: 0,
          storedBytes: 0,
          totalBytes: 0,
          ratio: null,
        },
        lastError: null,
        allTime: null,
      });
    });

    it("counts what was done and saved, by model and together", async () => {
      const { cache, provider, clock } = openTestCache();
      const slow = (body: ReturnType<typeof ask>) => {
        clock.advance(100);
        return provider.answer(body);
      };
      await cache.wrap(ask("cats"), slow);
      for (let hit = 0; hit < 3; hit++) await cache.wrap(ask("cats"), slow);
      await cache.wrap(ask("cats", { model: "other", n: 2 }), slow);
      await cache.get(ask("cats", { model: "other", n: 2 }));
      const { perModel, store, ...total } = await cache.stats();
      assert.equal(total.hits, 4);
      assert.equal(total.misses, 2);
      assert.equal(total.writes, 2);
      assert.equal(total.hitRate, 4 / 6);
      assert.deepEqual(total.saved, { promptTokens: 40, completionTokens: 25, costMicrodollars: 0, latency: 400 });
      assert.deepEqual(Object.keys(perModel), ["gpt-4o-mini", "other"]);
      assert.equal(perModel["gpt-4o-mini"]?.hitRate, 0.75);
      assert.deepEqual(perModel.other?.saved, {
        promptTokens: 10,
        completionTokens: 10,
        costMicrodollars: 0,
        latency: 100,
      });
      assert.equal(store.entries, 3);
      assert.ok(store.bodyBytes! > 0);
    });

    it("counts models of any name", async () => {
      const { cache } = openTestCache();
      for (const model of ["__proto__", "constructor", ""]) await cache.get(ask("cats", { model }));
      const { perModel, misses } = await cache.stats();
      assert.deepEqual(Object.keys(perModel), ["__proto__", "constructor", ""]);
      assert.equal(misses, 3);
    });

    it("says so when the store cannot say how much it holds", async () => {
      const { cache, store } = openTestCache();
      store.beforeSize = () => {
        throw new CacheError("unavailable", "gone");
      };
      const stats = await cache.stats();
      assert.deepEqual(stats.store, {
        name: "memory",
        location: "memory",
        entries: null,
        bodyBytes: null,
        storedBytes: null,
        totalBytes: null,
        ratio: null,
      });
      assert.equal(stats.lastError?.message, "gone");
    });
  });

  describe("close", () => {
    const isClosed = (error: unknown): boolean => error instanceof CacheError && error.code === "closed";

    it("closes the store, and may be called twice", async () => {
      const { cache, store } = openTestCache();
      await cache.close();
      await cache.close();
      await assert.rejects(store.lookup("m", []), isClosed);
    });

    it("makes everything else fail with `closed`, before anything is bought", async () => {
      const { cache, provider } = openTestCache();
      await cache.close();
      await assert.rejects(cache.get(ask("cats")), isClosed);
      await assert.rejects(cache.getMany([ask("cats")]), isClosed);
      await assert.rejects(cache.put(ask("cats"), provider.choices(1)), isClosed);
      await assert.rejects(cache.wrap(ask("cats"), provider.answer), isClosed);
      await assert.rejects(cache.wrapEntry(ask("cats"), provider.answer), isClosed);
      await assert.rejects(cache.stats(), isClosed);
      await assert.rejects(cache.delete(ask("cats")), isClosed);
      await assert.rejects(cache.clear(), isClosed);
      await assert.rejects(cache.prune(), isClosed);
      await assert.rejects(cache.invalidateTag("a"), isClosed);
      await assert.rejects(cache.explain(ask("cats")), isClosed);
      assert.equal(provider.calls.length, 0);
    });

    it("waits for calls under way, and stores what they bring", async () => {
      const clock = new ManualClock();
      const store = new TestStore(openMemoryStore({ clock, maxBytes: 10_000 }));
      const cache = new ResponseCache({ store, clock, sha256 });
      const provider = new Provider();
      const door = gate();
      const asked = cache.wrap(ask("cats"), async (body) => {
        await door.pass();
        return await provider.answer(body);
      });
      await door.reached;
      const closed = cache.close();
      door.open();
      await asked;
      await closed;
      assert.equal(store.puts.length, 1);
    });

    it("waits for those too who wait for such a call, to buy what it did not bring", async () => {
      const { cache, provider, store } = openTestCache();
      const door = gate();
      const asked = [1, 3].map((n) =>
        cache.wrap(ask("cats", { n }), async (body) => {
          await door.pass();
          return await provider.answer(body);
        })
      );
      await door.reached;
      const closed = cache.close();
      door.open();
      assert.deepEqual((await Promise.all(asked)).map((answer) => saidBy(answer).length), [1, 3]);
      await closed;
      assert.deepEqual(store.puts.map(({ entries }) => entries), [1, 2]);
    });

    it("waits for everything else under way as well", async () => {
      const { cache, provider, store } = openTestCache();
      const door = gate();
      store.beforePut = () => door.pass();
      store.beforeLookup = () => door.pass();
      const put = cache.put(ask("cats"), provider.choices(1));
      const others = [
        cache.get(ask("cats")),
        cache.getMany([ask("cats")]),
        cache.explain(ask("cats")),
        cache.delete(ask("dogs")),
        cache.clear("another"),
        cache.prune({ olderThan: 1000 }),
        cache.invalidateTag("a"),
        cache.stats(),
      ];
      await door.reached;
      const closed = cache.close();
      door.open();
      await put;
      await Promise.all(others);
      await closed;
      assert.equal(store.puts.length, 1);
    });

    it("waits for a call that everybody has left, and stores what it brings", async () => {
      const { cache, provider, store } = openTestCache();
      const door = gate();
      const aborter = new AbortController();
      const asked = cache.wrap(ask("cats"), async (body) => {
        await door.pass();
        return await provider.answer(body);
      }, { signal: aborter.signal });
      await door.reached;
      aborter.abort();
      await assert.rejects(asked, { name: "AbortError" });
      const closed = cache.close();
      door.open();
      await closed;
      assert.equal(store.puts.length, 1);
    });

    it("closes the store though calls failed", async () => {
      const { cache, store } = openTestCache();
      const asked = cache.wrap(ask("cats"), () => Promise.reject(new Error("503")));
      const closed = cache.close();
      await assert.rejects(asked, /503/);
      await closed;
      await assert.rejects(store.lookup("m", []), isClosed);
    });

    it("is what `await using` does", async () => {
      const { cache } = openTestCache();
      {
        await using used = cache;
        await used.get(ask("cats"));
      }
      await assert.rejects(cache.get(ask("cats")), isClosed);
    });
  });
});
