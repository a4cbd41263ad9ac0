import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { ManualClock } from "../store/manual_clock.ts";
import { gate } from "../support/gate.ts";
import { pick } from "./pick.ts";
import { settled } from "./shared_memory.ts";
import { ask, type ChatAnswer, type ChatRequest, openTestCache, saidBy, tearRows } from "./support.ts";

describe("ttl", () => {
  it("is the cache's, unless the call has its own", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000 });
    await cache.wrap(ask("short"), provider.answer);
    await cache.wrap(ask("long"), provider.answer, { ttl: 2000 });
    await cache.put(ask("put"), provider.choices(1), { ttl: 2000 });
    clock.advance(1000);
    const entries = await cache.getMany([ask("short"), ask("long"), ask("put")]);
    assert.deepEqual(entries.map((entry) => entry !== undefined), [false, true, true]);
  });

  it("is each sample's own: what has expired is bought anew, and what has not is kept", async () => {
    const { cache, provider, clock } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    await cache.wrap(ask("cats", { n: 2 }), provider.answer, { ttl: 1000 });
    clock.advance(1000);
    const two = await cache.wrap(ask("cats", { n: 2 }), provider.answer);
    assert.deepEqual(saidBy(two), ["text 1", "text 3"]);
    assert.equal((await cache.get(ask("cats", { n: 3 })))?.samples, undefined);
  });

  it("and every other duration has to be one", async () => {
    const { cache, provider } = openTestCache();
    const names = ["ttl", "maxAge", "staleWhileRevalidate", "staleIfError"];
    for (const name of names) {
      for (const value of [-1, NaN, Infinity, "1000", null]) {
        const options = { [name]: value };
        await assert.rejects(cache.wrap(ask("cats"), provider.answer, options), new RegExp(name));
      }
    }
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { ttl: 0 }), RangeError);
    assert.equal(provider.calls.length, 0);
  });
});

describe("maxAge", () => {
  it("passes over what is too old for this caller, and puts what he buys in its place", async () => {
    const { cache, provider, clock, store } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1000);
    const status: CacheStatus = {};
    await cache.wrap(ask("cats"), provider.answer, { maxAge: 1000, status });
    assert.equal(status.outcome, "hit", "it is just as old as it may be");
    clock.advance(1);
    assert.equal(await cache.get(ask("cats"), { maxAge: 1000, status }), undefined);
    assert.equal(status.outcome, "expired");
    assert.ok(await cache.get(ask("cats")));
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { maxAge: 1000 })), ["text 2"]);
    assert.equal(store.puts.at(-1)?.placement, "replace");
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 2"]);
  });

  it("holds for what somebody else's flight found as well", async () => {
    const { cache, provider, clock } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1000);
    const [patient, picky] = await Promise.all([
      cache.wrap(ask("cats"), provider.answer),
      cache.wrap(ask("cats"), provider.answer, { maxAge: 10 }),
    ]);
    assert.deepEqual([patient, picky].map(saidBy), [["text 1"], ["text 2"]]);
  });

  it("of 0 takes what was bought this very moment", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    assert.ok(await cache.get(ask("cats"), { maxAge: 0 }));
  });
});

describe("staleWhileRevalidate", () => {
  const options = { ttl: 1000, staleWhileRevalidate: 500 };

  it("serves what has expired at once, and buys a new one in the background, once", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1499);
    const door = gate();
    let calls = 0;
    const slow = async (body: ChatRequest): Promise<ChatAnswer> => {
      calls++;
      await door.pass();
      return await provider.answer(body);
    };
    const status: CacheStatus = {};
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), slow, { status })), ["text 1"]);
      assert.deepEqual(pick(status, "outcome", "expiredServed", "shared", "billedMicrodollars"), {
        outcome: "expired",
        expiredServed: true,
        shared: false,
        billedMicrodollars: 0,
      });
      await settled();
    }
    assert.equal(calls, 1);
    door.open();
    await settled();
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), slow, { status })), ["text 2"]);
    assert.equal(status.outcome, "hit");
    const counts = await cache.stats();
    assert.deepEqual(pick(counts, "lookups", "expired", "expiredServed", "hits", "misses"), {
      lookups: 5,
      expired: 3,
      expiredServed: 3,
      hits: 1,
      misses: 1,
    });
    assert.equal(counts.saved.completionTokens, 20, "what is served saves, whenever its time came");
  });

  it("lets those wait for the new one whose time for the old one is over, and buys it once", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1499);
    const door = gate();
    const slow = async (body: ChatRequest): Promise<ChatAnswer> => {
      await door.pass();
      return await provider.answer(body);
    };
    await cache.wrap(ask("cats"), slow);
    await door.reached;
    clock.advance(1);
    const status: CacheStatus = {};
    const waiting = cache.wrap(ask("cats"), provider.answer, { status });
    await settled();
    door.open();
    assert.deepEqual(saidBy(await waiting), ["text 2"]);
    assert.equal(provider.calls.length, 2);
    assert.deepEqual(pick(status, "shared", "expiredServed"), { shared: true, expiredServed: false });
  });

  it("buys in the foreground once its time is over, and where the caller does not want it", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1100);
    const strict = await cache.wrap(ask("cats"), provider.answer, { staleWhileRevalidate: 0 });
    assert.deepEqual(saidBy(strict), ["text 2"]);
    clock.advance(1500);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 3"]);
  });

  it("serves nobody an old answer who does not want one, though he came at the same time", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1200);
    const [old, strict, stricter] = await Promise.all([
      cache.wrap(ask("cats"), provider.answer),
      cache.wrap(ask("cats"), provider.answer, { staleWhileRevalidate: 0 }),
      cache.wrap(ask("cats"), provider.answer, { staleWhileRevalidate: 200 }),
    ]);
    assert.deepEqual([old, strict, stricter].map(saidBy), [["text 1"], ["text 2"], ["text 2"]]);
    assert.equal(provider.calls.length, 2);
  });

  it("reports a new one that could not be had", async () => {
    const { cache, provider, clock, events } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1200);
    const error = new Error("503");
    await cache.wrap(ask("cats"), () => Promise.reject(error));
    await settled();
    assert.deepEqual(events, [{ type: "revalidation_failed", model: "gpt-4o-mini", error }]);
    assert.equal((await cache.stats()).failedCalls, 1);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    await settled();
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 2"]);
  });

  it("buys for the request as it was, whatever its caller does to it afterwards", async () => {
    const { cache, provider, clock } = openTestCache(options);
    const messages = [{ role: "user", content: "cats" }];
    await cache.wrap({ model: "m", messages }, () => provider.answer(ask("cats")));
    clock.advance(1200);
    const sent: string[] = [];
    await cache.wrap({ model: "m", messages }, async (body) => {
      await Promise.resolve();
      sent.push(JSON.stringify(body));
      return await provider.answer(ask("cats"));
    });
    messages.push({ role: "assistant", content: "text 1" });
    await settled();
    assert.deepEqual(sent, [JSON.stringify({ model: "m", messages: messages.slice(0, 1) })]);
    const entry = await cache.get({ model: "m", messages: messages.slice(0, 1) });
    assert.deepEqual(saidBy(entry!.json()), ["text 2"]);
  });

  it("does nothing in the mode read-only, which could not keep the new one", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1200);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { mode: "read-only" })), ["text 2"]);
    await settled();
    assert.equal(provider.calls.length, 2);
  });

  it("serves no old answer that does not decompress", async () => {
    const { cache, provider, clock, store } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1200);
    tearRows(store);
    const status: CacheStatus = {};
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { status })), ["text 2"]);
    assert.equal(status.outcome, "corrupt");
  });

  it("is waited for by close, and what it brought is stored", async () => {
    const { cache, provider, clock, store } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1200);
    const door = gate();
    await cache.wrap(ask("cats"), async (body) => {
      await door.pass();
      return await provider.answer(body);
    });
    let isClosed = false;
    const closed = cache.close().then(() => isClosed = true);
    await door.reached;
    await settled();
    assert.equal(isClosed, false);
    door.open();
    await closed;
    assert.equal(store.puts.length, 2);
  });
});

describe("staleIfError", () => {
  const options = { ttl: 1000, staleIfError: 500 };
  const failing = (): Promise<never> => Promise.reject(new Error("503"));
  const later = async (clock: ManualClock, by: number): Promise<void> => {
    await settled();
    clock.advance(by);
  };

  it("serves what has expired when no new one can be had, and says why", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1499);
    const status: CacheStatus = {};
    assert.deepEqual(saidBy(await cache.wrap<ChatAnswer>(ask("cats"), failing, { status })), ["text 1"]);
    assert.deepEqual(pick(status, "outcome", "expiredServed", "stored", "why"), {
      outcome: "expired",
      expiredServed: true,
      stored: false,
      why: "503",
    });
    assert.deepEqual(pick(await cache.stats(), "expired", "expiredServed", "failedCalls"), {
      expired: 1,
      expiredServed: 1,
      failedCalls: 1,
    });
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 2"]);
  });

  it("takes an error with status 200 for one", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1200);
    const answer = await cache.wrap<object>(ask("cats"), () => Promise.resolve({ error: { message: "overloaded" } }));
    assert.deepEqual(saidBy(answer), ["text 1"]);
  });

  it("ends", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1500);
    await assert.rejects(cache.wrap(ask("cats"), failing), /503/);
  });

  it("takes no answer for less than was asked for", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1200);
    await assert.rejects(cache.wrap(ask("cats", { n: 2 }), failing), /503/);
  });

  it("does not hide from a caller that he gave up", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1200);
    for (const name of ["AbortError", "TimeoutError"]) {
      const gaveUp = (): Promise<never> => Promise.reject(new DOMException("gave up", name));
      await assert.rejects(cache.wrap(ask("cats"), gaveUp), { name });
    }
    assert.equal((await cache.stats()).failedCalls, 0);
  });

  it("serves it also where the provider need not be asked, and where another's call failed", async () => {
    const { cache, provider, clock } = openTestCache(options);
    await cache.wrap(ask("cats"), provider.answer);
    await later(clock, 1200);
    const refused = (): Promise<never> => Promise.reject(Object.assign(new Error("too long"), { status: 413 }));
    const answers = await Promise.all([1, 2].map(() => cache.wrap<ChatAnswer>(ask("cats"), refused)));
    answers.push(await cache.wrap(ask("cats"), provider.answer));
    for (const answer of answers) assert.deepEqual(saidBy(answer), ["text 1"]);
    assert.equal(provider.calls.length, 1);
  });
});

describe("keepExpired", () => {
  it("bounds how late an answer may be asked for, for nothing older is kept", async () => {
    const { cache, provider } = openTestCache({ keepExpired: 1000, staleIfError: 500 });
    await cache.wrap(ask("cats"), provider.answer, { staleIfError: 1000, staleWhileRevalidate: 1000 });
    for (const late of [{ staleIfError: 1001 }, { staleWhileRevalidate: 1001 }]) {
      await assert.rejects(cache.wrap(ask("dogs"), provider.answer, late), /keepExpired, 1000 ms/);
    }
    assert.equal(provider.calls.length, 1);
    assert.throws(() => openTestCache({ keepExpired: 1000, staleIfError: 1001 }), RangeError);
    assert.throws(() => openTestCache({ keepExpired: -1 }), RangeError);
  });
});
