import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { CacheError } from "../../src/store/error.ts";
import { gate } from "../support/gate.ts";
import { pick } from "./pick.ts";
import { passTime, settled, SharedMemory, type Sharer } from "./shared_memory.ts";
import { ask, type ChatAnswer, type ChatRequest, openTestCache, saidBy } from "./support.ts";

/** A call that waits at a door. */
function slowly({ provider }: Sharer) {
  const door = gate();
  const call = async (body: ChatRequest): Promise<ChatAnswer> => {
    await door.pass();
    return await provider.answer(body);
  };
  return { door, call };
}

describe("two caches that share a store", () => {
  it("make one call between them, and the other one gets what it brought", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const { door, call } = slowly(one);
    const status: CacheStatus = {};
    const first = one.cache.wrap(ask("cats"), call);
    await door.reached;
    const others = [1, 2, 3].map(() => two.cache.wrap(ask("cats"), two.provider.answer, { status }));
    await settled();
    shared.clock.advance(25_000);
    await settled();
    door.open();
    await first;
    const answers = await passTime(shared.clock, Promise.all(others));
    for (const answer of answers) assert.deepEqual(saidBy(answer), ["text 1"]);
    assert.equal(two.provider.calls.length, 0);
    assert.deepEqual(pick(status, "outcome", "shared", "billedMicrodollars"), {
      outcome: "miss",
      shared: true,
      billedMicrodollars: 0,
    });
    assert.deepEqual(pick(await two.cache.stats(), "lookups", "shared", "misses"), {
      lookups: 3,
      shared: 3,
      misses: 0,
    });
    assert.deepEqual(shared.claims.expiries, [], "the claim was given up");
  });

  it("serve what the other one stored", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    await one.cache.wrap(ask("cats"), one.provider.answer);
    assert.deepEqual(saidBy(await two.cache.wrap(ask("cats"), two.provider.answer)), ["text 1"]);
    assert.equal(two.provider.calls.length, 0);
    assert.equal(shared.claims.asked, 1, "a hit claims nothing");
  });

  it("renew a claim for as long as the call takes, and not after", async () => {
    const shared = new SharedMemory();
    const one = shared.open({ claimDuration: 900 });
    const { door, call } = slowly(one);
    const asked = one.cache.wrap(ask("cats"), call);
    await door.reached;
    for (let renewed = 0; renewed < 20; renewed++) {
      shared.clock.advance(300);
      await settled();
      assert.deepEqual(shared.claims.expiries, [shared.clock.now() + 900]);
    }
    door.open();
    await asked;
    const { asked: times } = shared.claims;
    shared.clock.advance(5000);
    await settled();
    assert.equal(shared.claims.asked, times);
    assert.deepEqual(shared.claims.expiries, []);
  });

  it("give up a claim that was just being renewed", async () => {
    const shared = new SharedMemory();
    const one = shared.open({ claimDuration: 900 });
    const { door, call } = slowly(one);
    const asked = one.cache.wrap(ask("cats"), call);
    await door.reached;
    shared.clock.advance(300);
    door.open();
    await asked;
    await settled();
    assert.deepEqual(shared.claims.expiries, []);
  });

  it("do not wait for a dead holder for longer than his claim lasts", async () => {
    const shared = new SharedMemory();
    const { cache, provider } = shared.open();
    const { key } = await cache.explain(ask("cats"));
    const bytes = key!.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
    await shared.claims.claim("gpt-4o-mini", new Uint8Array(bytes), "a process that is no more", 900);
    const began = shared.clock.now();
    let waited = 0;
    const wrapped = cache.wrap(ask("cats"), async (body) => {
      waited = shared.clock.now() - began;
      return await provider.answer(body);
    });
    assert.deepEqual(saidBy(await passTime(shared.clock, wrapped)), ["text 1"]);
    assert.equal(waited, 900);
  });

  it("share the failure of a call", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const door = gate();
    const failing = async (): Promise<never> => {
      await door.pass();
      throw Object.assign(new Error("overloaded"), { status: 503 });
    };
    const first = one.cache.wrap(ask("cats"), failing);
    await door.reached;
    const second = two.cache.wrap(ask("cats"), two.provider.answer);
    await settled();
    door.open();
    await assert.rejects(first, { status: 503 });
    await assert.rejects(passTime(shared.clock, second), (error) => {
      assert.ok(error instanceof CacheError && error.code === "call_failed");
      assert.match(error.message, /overloaded/);
      return (error.cause as { status?: number }).status === 503;
    });
    assert.equal(two.provider.calls.length, 0);
    assert.deepEqual(saidBy(await two.cache.wrap(ask("cats"), two.provider.answer)), ["text 1"], "he comes later");
  });

  it("do not take an old failure for that of the call they wait for", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    await assert.rejects(two.cache.wrap(ask("cats"), () => Promise.reject(new Error("busy"))));
    const { door, call } = slowly(one);
    const first = one.cache.wrap(ask("cats"), call);
    await door.reached;
    const second = two.cache.wrap(ask("cats"), two.provider.answer);
    await settled();
    shared.clock.advance(1000);
    await settled();
    door.open();
    await first;
    assert.deepEqual(saidBy(await passTime(shared.clock, second)), ["text 1"]);
  });

  it("do not share that somebody gave up: the next one calls", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const door = gate();
    const given = async (): Promise<never> => {
      await door.pass();
      throw new DOMException("gave up", "AbortError");
    };
    const first = one.cache.wrap(ask("cats"), given);
    await door.reached;
    const second = two.cache.wrap(ask("cats"), two.provider.answer);
    await settled();
    door.open();
    await assert.rejects(first, { name: "AbortError" });
    assert.deepEqual(saidBy(await passTime(shared.clock, second)), ["text 1"]);
    assert.equal(two.provider.calls.length, 1);
  });

  it("call each for themselves, all at once, where an answer is none to keep", async () => {
    const shared = new SharedMemory();
    const sharers = [shared.open(), shared.open(), shared.open()];
    const doors = sharers.map(() => gate());
    const calls = sharers.map(({ cache }, index) =>
      cache.wrap<object>(ask("cats"), async () => {
        await doors[index]!.pass();
        return { choices: [], of: index };
      })
    );
    await doors[0]!.reached;
    doors[0]!.open();
    await calls[0];
    await passTime(shared.clock, Promise.all([doors[1]!.reached, doors[2]!.reached]));
    doors[1]!.open();
    doors[2]!.open();
    assert.deepEqual(await Promise.all(calls), [0, 1, 2].map((of) => ({ choices: [], of })));
  });

  it("never collapse samples that they buy at the same time", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open({ claimDuration: 0 }), shared.open({ claimDuration: 0 })];
    two.provider.choices(100);
    const [mine, yours] = await Promise.all([
      one.cache.wrap(ask("cats", { n: 3 }), one.provider.answer),
      two.cache.wrap(ask("cats", { n: 2 }), two.provider.answer),
    ]);
    const all = saidBy((await one.cache.get(ask("cats", { n: 5 })))!.json());
    assert.deepEqual([...all].sort(), [...saidBy(mine), ...saidBy(yours)].sort());
    assert.equal(new Set(all).size, 5);
  });

  it("top up what the other one bought meanwhile, and buy only what is missing then", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const { door, call } = slowly(one);
    const few = one.cache.wrap(ask("cats", { n: 2 }), call);
    await door.reached;
    two.provider.choices(100);
    const many = two.cache.wrap(ask("cats", { n: 5 }), two.provider.answer);
    await settled();
    door.open();
    await few;
    const answer = await passTime(shared.clock, many);
    assert.deepEqual(saidBy(answer).slice(0, 2), ["text 1", "text 2"]);
    assert.deepEqual(two.provider.calls.map(({ n }) => n), [3]);
  });

  it("wait for nobody in the modes that do not ask the cache, or do not write", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const { door, call } = slowly(one);
    const first = one.cache.wrap(ask("cats"), call);
    await door.reached;
    for (const mode of ["read-only", "write-only", "refresh", "off"] as const) {
      await two.cache.wrap(ask("cats"), two.provider.answer, { mode });
    }
    assert.equal(shared.claims.asked, 1);
    door.open();
    await first;
  });

  it("end a caller's waiting when he gives up", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    const { door, call } = slowly(one);
    const first = one.cache.wrap(ask("cats"), call);
    await door.reached;
    const aborter = new AbortController();
    const second = two.cache.wrap(ask("cats"), two.provider.answer, { signal: aborter.signal });
    await settled();
    aborter.abort(new Error("enough"));
    await assert.rejects(second, /enough/);
    door.open();
    await first;
    await passTime(shared.clock, two.cache.close());
    assert.equal(two.provider.calls.length, 0);
  });
});

describe("claims that cannot be had", () => {
  it("let everybody call, and are counted", async () => {
    const shared = new SharedMemory();
    const [one, two] = [shared.open(), shared.open()];
    shared.claims.beforeClaim = () => {
      throw new CacheError("unavailable", "the folder is read-only");
    };
    const { door, call } = slowly(one);
    const first = one.cache.wrap(ask("cats"), call);
    await door.reached;
    await two.cache.wrap(ask("cats"), two.provider.answer);
    door.open();
    await first;
    const { unclaimed, lastError } = await two.cache.stats();
    assert.equal(unclaimed, 1);
    assert.equal(lastError?.message, "the folder is read-only");
  });

  it("are counted once for a call, however often they could not be renewed", async () => {
    const shared = new SharedMemory();
    const one = shared.open({ claimDuration: 900 });
    const { door, call } = slowly(one);
    const asked = one.cache.wrap(ask("cats"), call);
    await door.reached;
    shared.claims.beforeClaim = () => {
      throw new CacheError("unavailable", "the disk is full");
    };
    for (let tried = 0; tried < 5; tried++) {
      shared.clock.advance(300);
      await settled();
    }
    door.open();
    await asked;
    assert.deepEqual(pick(await one.cache.stats(), "unclaimed", "writes"), { unclaimed: 0, writes: 1 });
  });

  it("are given up when what was claimed turns out not to be needed, or cannot be looked up", async () => {
    const shared = new SharedMemory();
    const one = shared.open();
    let lookups = 0;
    one.store.beforeLookup = () => {
      if (++lookups === 2) throw new CacheError("locked", "somebody else has it");
    };
    await assert.rejects(one.cache.wrap(ask("cats"), one.provider.answer), { code: "locked" });
    assert.equal(one.provider.calls.length, 0);
    assert.deepEqual(shared.claims.expiries, []);
  });

  it("are not asked for where their duration is 0, nor of a store that has none", async () => {
    const shared = new SharedMemory();
    const one = shared.open({ claimDuration: 0 });
    await one.cache.wrap(ask("cats"), one.provider.answer);
    assert.equal(shared.claims.asked, 0);
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    assert.equal((await cache.stats()).unclaimed, 0);
  });
});
