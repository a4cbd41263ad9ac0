import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { Mode } from "../../src/cache/mode.ts";
import { CacheError } from "../../src/store/error.ts";
import { gate } from "../support/gate.ts";
import { pick } from "./pick.ts";
import { ask, type CacheUnderTest, openTestCache, saidBy } from "./support.ts";

const isMiss = (error: unknown): error is CacheError => error instanceof CacheError && error.code === "replay_miss";

/** A cache with two samples in it: `text 1` and `text 2`. */
async function stored(): Promise<CacheUnderTest> {
  const test = openTestCache();
  await test.cache.wrap(ask("cats", { n: 2 }), test.provider.answer);
  return test;
}

describe("the mode", () => {
  it("is the cache's, unless the call has its own", async () => {
    const { cache, provider, store } = openTestCache({ mode: "off" });
    await cache.wrap(ask("cats"), provider.answer);
    assert.equal(store.puts.length, 0);
    await cache.wrap(ask("cats"), provider.answer, { mode: "read-write" });
    assert.equal(store.puts.length, 1);
    assert.equal(await cache.get(ask("cats")), undefined);
    assert.ok(await cache.get(ask("cats"), { mode: "read-only" }));
  });

  it("is one of six words", async () => {
    const { cache, provider } = openTestCache();
    for (const mode of ["readonly", "", null, 1, "toString"]) {
      const options = { mode: mode as Mode };
      await assert.rejects(cache.wrap(ask("cats"), provider.answer, options), /read-write, read-only/);
      await assert.rejects(cache.get(ask("cats"), options), TypeError);
      await assert.rejects(cache.put(ask("cats"), {}, options), TypeError);
    }
    assert.equal(provider.calls.length, 0);
  });

  describe("read-only", () => {
    it("serves what is there, and stores nothing", async () => {
      const { cache, provider, store } = await stored();
      const status: CacheStatus = {};
      const options = { mode: "read-only", status } as const;
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, options)), ["text 1"]);
      assert.equal(status.outcome, "hit");
      assert.deepEqual(saidBy(await cache.wrap(ask("dogs"), provider.answer, options)), ["text 3"]);
      assert.deepEqual(pick(status, "outcome", "stored"), { outcome: "miss", stored: false });
      assert.equal(store.puts.length, 1);
      await cache.put(ask("dogs"), provider.choices(1), options);
      assert.match(status.why ?? "", /read-only/);
      assert.equal(await cache.get(ask("dogs")), undefined);
    });

    it("tops up with what it does not keep", async () => {
      const { cache, provider } = await stored();
      const three = await cache.wrap(ask("cats", { n: 3 }), provider.answer, { mode: "read-only" });
      assert.deepEqual(saidBy(three), ["text 1", "text 2", "text 3"]);
      assert.equal(await cache.get(ask("cats", { n: 3 })), undefined);
    });
  });

  describe("write-only", () => {
    it("buys every time, and each answer is one more sample", async () => {
      const { cache, provider } = await stored();
      const status: CacheStatus = {};
      const options = { mode: "write-only", status } as const;
      await Promise.all([1, 2, 3].map(() => cache.wrap(ask("cats"), provider.answer, options)));
      assert.equal(provider.calls.length, 4);
      assert.equal((await cache.stats()).lookups, 1, "nothing was looked up");
      const texts = saidBy((await cache.get(ask("cats", { n: 5 })))!.json());
      assert.deepEqual(texts, ["text 1", "text 2", "text 3", "text 4", "text 5"]);
      assert.deepEqual(pick(status, "outcome", "stored"), { outcome: "bypass", stored: true });
    });
  });

  describe("refresh", () => {
    it("buys, and puts it in the place of what is there", async () => {
      const { cache, provider, store } = await stored();
      const fresh = await cache.wrap(ask("cats"), provider.answer, { mode: "refresh" });
      assert.deepEqual(saidBy(fresh), ["text 3"]);
      assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))!.json()), ["text 3", "text 2"]);
      assert.equal(store.puts.at(-1)?.placement, "replace");
    });

    it("is one call for all who refresh at the same time", async () => {
      const { cache, provider } = await stored();
      const refresh = () => cache.wrap(ask("cats"), provider.answer, { mode: "refresh" });
      const answers = await Promise.all([refresh(), refresh(), refresh()]);
      for (const answer of answers) assert.deepEqual(saidBy(answer), ["text 3"]);
    });

    it("leaves what is there alone when nothing good came", async () => {
      const { cache } = await stored();
      await cache.wrap<object>(ask("cats"), () => Promise.resolve({ choices: [] }), { mode: "refresh" });
      await assert.rejects(
        cache.wrap(ask("cats"), () => Promise.reject(new Error("503")), { mode: "refresh" }),
        /503/,
      );
      assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 1"]);
    });
  });

  describe("off", () => {
    it("neither reads nor stores, and is no cause for alarm", async () => {
      const { cache, provider, store, events } = await stored();
      const [lookups, puts] = [store.lookups, store.puts.length];
      const status: CacheStatus = {};
      const options = { mode: "off", status } as const;
      await cache.wrap(ask("cats"), provider.answer, options);
      assert.deepEqual(pick(status, "outcome", "stored", "why"), {
        outcome: "bypass",
        stored: false,
        why: "the mode is off",
      });
      await cache.wrapEntry(ask("cats"), provider.answer, options);
      await cache.put(ask("cats"), provider.choices(1), options);
      assert.equal(await cache.get(ask("cats"), options), undefined);
      assert.deepEqual(await cache.getMany([ask("cats")], { mode: "off" }), [undefined]);
      assert.equal(provider.calls.length, 3);
      assert.deepEqual([store.lookups, store.puts.length], [lookups, puts]);
      assert.deepEqual(events, []);
    });

    it("asks once for each caller", async () => {
      const { cache, provider } = openTestCache({ mode: "off" });
      await Promise.all([1, 2, 3].map(() => cache.wrap(ask("cats"), provider.answer)));
      assert.equal(provider.calls.length, 3);
    });
  });

  describe("replay", () => {
    it("serves what is there", async () => {
      const { cache, provider } = await stored();
      const answer = await cache.wrap(ask("cats"), provider.answer, { mode: "replay" });
      assert.deepEqual(saidBy(answer), ["text 1"]);
      assert.ok(await cache.get(ask("cats"), { mode: "replay" }));
    });

    it("fails with what comes nearest, and what differs, instead of calling", async () => {
      const { cache, provider } = await stored();
      const calls = [
        () => cache.wrap(ask("cats", { temperature: 0.7 }), provider.answer, { mode: "replay" }),
        () => cache.wrapEntry(ask("cats", { temperature: 0.7 }), provider.answer, { mode: "replay" }),
        () => cache.get(ask("cats", { temperature: 0.7 }), { mode: "replay" }),
        () => cache.getMany([ask("cats"), ask("cats", { temperature: 0.7 })], { mode: "replay" }),
      ];
      for (const call of calls) {
        await assert.rejects(call, (error) => {
          assert.ok(isMiss(error));
          assert.match(error.message, /gpt-4o-mini/);
          assert.match(error.message, /temperature/);
          assert.match(error.message, /0\.7/);
          return true;
        });
      }
      assert.equal(provider.calls.length, 1);
    });

    it("fails where fewer samples are there than asked for", async () => {
      const { cache, provider } = await stored();
      await assert.rejects(cache.wrap(ask("cats", { n: 3 }), provider.answer, { mode: "replay" }), isMiss);
      assert.equal(provider.calls.length, 1);
    });

    it("calls nobody for a request that the cache must not answer either", async () => {
      const { cache, provider } = await stored();
      const stream = { ...ask("cats"), stream: true };
      await assert.rejects(cache.wrap(stream, provider.answer, { mode: "replay" }), isMiss);
      await assert.rejects(cache.wrap(ask("cats"), provider.answer, { mode: "replay", bypass: "no key" }), isMiss);
      await assert.rejects(cache.wrapEntry(ask("cats"), provider.answer, { mode: "replay", bypass: "no key" }), isMiss);
      await assert.rejects(cache.get(ask("cats"), { mode: "replay", bypass: "no key" }), isMiss);
      await assert.rejects(cache.getMany([stream, ask("cats")], { mode: "replay", bypass: "no key" }), isMiss);
      assert.equal(provider.calls.length, 1);
    });

    it("calls nobody for a store that refuses itself, or cannot be read", async () => {
      const { cache, provider, store } = openTestCache({ refusedStore: "bypass", mode: "replay" });
      for (const code of ["locked", "unavailable"] as const) {
        store.beforeLookup = () => {
          throw new CacheError(code, `the disk is ${code}`);
        };
        await assert.rejects(cache.wrap(ask("cats"), provider.answer), (error) => {
          return isMiss(error) && error.message.includes(`the disk is ${code}`);
        });
      }
      assert.equal(provider.calls.length, 0);
    });

    it("buys nothing in the background, and serves what has expired where the cache may", async () => {
      for (const grace of [{ staleWhileRevalidate: 1000 }, { staleIfError: 1000 }]) {
        const { cache, provider, clock } = openTestCache({ ttl: 100, ...grace });
        await cache.wrap(ask("cats"), provider.answer);
        clock.advance(500);
        const status: CacheStatus = {};
        await cache.wrap(ask("cats"), provider.answer, { mode: "replay", status });
        assert.equal(status.expiredServed, true);
        clock.advance(600);
        await assert.rejects(cache.wrap(ask("cats"), provider.answer, { mode: "replay" }), isMiss);
        assert.equal(provider.calls.length, 1);
      }
    });
  });

  it("keeps callers of one mode from waiting for a call of another", async () => {
    const { cache, provider, store } = openTestCache();
    const door = gate();
    const slow = async (body: ReturnType<typeof ask>) => {
      await door.pass();
      return await provider.answer(body);
    };
    const reading = cache.wrap(ask("cats"), slow);
    await door.reached;
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { mode: "replay" }), isMiss);
    const modes: Mode[] = ["read-only", "write-only", "refresh", "off"];
    const status: CacheStatus = {};
    for (const mode of modes) {
      await cache.wrap(ask("cats"), provider.answer, { mode, status });
      assert.equal(status.shared, false, mode);
    }
    door.open();
    await reading;
    assert.equal(provider.calls.length, 5);
    assert.equal(store.puts.length, 3);
  });
});

describe("a store that is somebody else's", () => {
  const refused = (): never => {
    throw new CacheError("locked", "Cannot open the database: another process holds it");
  };

  for (const mode of ["refresh", "write-only"] as const) {
    it(`is found out in the mode ${mode} before anything is bought`, async () => {
      const { cache, store, provider } = openTestCache();
      store.beforeLookup = refused;
      await assert.rejects(cache.wrap(ask("cats"), provider.answer, { mode }), /another process holds it/);
      assert.equal(provider.calls.length, 0);
    });

    it(`is bypassed in the mode ${mode} if so asked, and nothing is written to it`, async () => {
      const { cache, store, provider } = openTestCache({ refusedStore: "bypass" });
      store.beforeLookup = refused;
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { mode })), ["text 1"]);
      assert.equal(store.puts.length, 0);
      assert.equal((await cache.stats()).bypassed, 1);
    });
  }
});
