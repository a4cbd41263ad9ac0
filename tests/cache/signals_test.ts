import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { ProduceContext } from "../../src/cache/flow/supplier.ts";
import { gate } from "../support/gate.ts";
import { settled } from "./shared_memory.ts";
import { ask, type ChatAnswer, type ChatRequest, openTestCache, type Provider, saidBy } from "./support.ts";

/** A call as SDKs make one: it ends when its signal is aborted. */
function abortable(provider: Provider) {
  const door = gate();
  const signals: AbortSignal[] = [];
  const call = async (body: ChatRequest, { signal }: ProduceContext): Promise<ChatAnswer> => {
    signals.push(signal);
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await Promise.race([door.pass(), aborted]);
    return await provider.answer(body);
  };
  return { door, call, signals };
}

describe("a hundred callers at the same time", () => {
  it("make one call, and all get its answer", async () => {
    const { cache, provider } = openTestCache();
    const answers = await Promise.all(Array.from({ length: 100 }, () => cache.wrap(ask("cats"), provider.answer)));
    assert.equal(provider.calls.length, 1);
    for (const answer of answers) assert.deepEqual(saidBy(answer), ["text 1"]);
    const { misses, shared, lookups } = await cache.stats();
    assert.deepEqual([misses, shared, lookups], [1, 99, 100]);
  });
});

describe("signal", () => {
  it("that is aborted already ends the call before anything is looked up", async () => {
    const { cache, provider, store } = openTestCache();
    const signal = AbortSignal.abort(new Error("too late"));
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { signal }), /too late/);
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { signal, mode: "off" }), /too late/);
    assert.deepEqual([provider.calls.length, store.lookups], [0, 0]);
  });

  it("ends the leader's waiting, and nobody else's", async () => {
    const { cache, provider } = openTestCache();
    const { door, call, signals } = abortable(provider);
    const aborter = new AbortController();
    const leader = cache.wrap(ask("cats"), call, { signal: aborter.signal });
    await door.reached;
    const status: CacheStatus = {};
    const followers = [1, 2].map(() => cache.wrap(ask("cats"), call, { status }));
    aborter.abort(new Error("enough"));
    await assert.rejects(leader, /enough/);
    assert.equal(signals[0]!.aborted, false);
    door.open();
    for (const answer of await Promise.all(followers)) assert.deepEqual(saidBy(answer), ["text 1"]);
    assert.equal(status.shared, true);
    assert.ok(await cache.get(ask("cats")));
    const { misses, shared } = await cache.stats();
    assert.deepEqual([misses, shared], [1, 2]);
  });

  it("of a follower ends his waiting alone", async () => {
    const { cache, provider } = openTestCache();
    const { door, call, signals } = abortable(provider);
    const leader = cache.wrap(ask("cats"), call);
    await door.reached;
    const aborter = new AbortController();
    const follower = cache.wrap(ask("cats"), call, { signal: aborter.signal });
    aborter.abort();
    await assert.rejects(follower, { name: "AbortError" });
    assert.equal(signals[0]!.aborted, false);
    door.open();
    assert.deepEqual(saidBy(await leader), ["text 1"]);
  });

  it("of everybody ends the call: nothing is stored, nothing has failed, and the next one calls anew", async () => {
    const { cache, provider, store } = openTestCache();
    const { door, call, signals } = abortable(provider);
    const aborters = [1, 2, 3].map(() => new AbortController());
    const callers = aborters.map(({ signal }) => cache.wrap(ask("cats"), call, { signal }));
    await door.reached;
    aborters[0]!.abort(new Error("one"));
    aborters[2]!.abort(new Error("three"));
    assert.equal(signals[0]!.aborted, false);
    aborters[1]!.abort(new Error("two"));
    const ended = await Promise.allSettled(callers);
    assert.deepEqual(ended.map((end) => end.status === "rejected" && end.reason.message), ["one", "two", "three"]);
    assert.equal(signals[0]!.aborted, true);
    assert.equal(signals[0]!.reason.message, "two");
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    await settled();
    assert.deepEqual([signals.length, provider.calls.length, store.puts.length], [1, 1, 1]);
    assert.equal((await cache.stats()).failedCalls, 0);
    assert.equal((await cache.explain(ask("cats"))).failures, null);
  });

  it("of everybody, while it is looked up, keeps the call from being made", async () => {
    const { cache, provider, store } = openTestCache();
    const door = gate();
    store.beforeLookup = () => door.pass();
    const aborter = new AbortController();
    const caller = cache.wrap(ask("cats"), provider.answer, { signal: aborter.signal });
    await door.reached;
    aborter.abort();
    await assert.rejects(caller, { name: "AbortError" });
    door.open();
    await cache.close();
    assert.equal(provider.calls.length, 0);
  });

  it("of everybody does not lose an answer that comes all the same", async () => {
    const { cache, provider } = openTestCache();
    const door = gate();
    const deaf = async (body: ChatRequest): Promise<ChatAnswer> => {
      await door.pass();
      return await provider.answer(body);
    };
    const aborter = new AbortController();
    const caller = cache.wrap(ask("cats"), deaf, { signal: aborter.signal });
    await door.reached;
    aborter.abort();
    await assert.rejects(caller, { name: "AbortError" });
    door.open();
    await settled();
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 1"]);
  });

  it("goes to the call also where the cache is not asked", async () => {
    const { cache, provider } = openTestCache({ mode: "off" });
    const { door, call, signals } = abortable(provider);
    const aborter = new AbortController();
    const caller = cache.wrap(ask("cats"), call, { signal: aborter.signal });
    await door.reached;
    aborter.abort(new Error("enough"));
    await assert.rejects(caller, /enough/);
    assert.equal(signals[0]!.aborted, true);
  });

  it("has to be one", async () => {
    const { cache, provider } = openTestCache();
    const signal = new AbortController() as unknown as AbortSignal;
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { signal }), /signal/);
    assert.equal(provider.calls.length, 0);
  });
});

describe("a call that its own caller aborted", () => {
  /** As SDKs do: named by its class only. */
  class APIUserAbortError extends Error {}

  const errors = [
    new APIUserAbortError("Request was aborted."),
    new DOMException("aborted", "AbortError"),
    new DOMException("timed out", "TimeoutError"),
  ];
  for (const error of errors) {
    it(`with ${error.constructor.name} ${error.name} makes those call who waited for it, once for all`, async () => {
      const { cache, provider } = openTestCache();
      const [leader, ...followers] = await Promise.allSettled([
        cache.wrap(ask("cats"), () => Promise.reject(error)),
        ...[1, 2, 3].map(() => cache.wrap(ask("cats"), provider.answer)),
      ]);
      assert.equal(leader!.status === "rejected" && leader!.reason, error);
      for (const follower of followers) {
        assert.deepEqual(follower.status === "fulfilled" && saidBy(follower.value), ["text 1"]);
      }
      assert.equal(provider.calls.length, 1);
    });
  }
});

describe("a body that is changed while it is answered", () => {
  it("is answered, and the answer is not stored: nobody knows what was sent", async () => {
    const { cache, provider, store, events } = openTestCache();
    const messages = [{ role: "user", content: "cats" }];
    const status: CacheStatus = {};
    const answer = await cache.wrap({ model: "m", messages }, async () => {
      messages.push({ role: "user", content: "no, dogs" });
      return await provider.answer(ask(""));
    }, { status });
    assert.deepEqual(saidBy(answer), ["text 1"]);
    assert.equal(store.puts.length, 0);
    assert.match(status.why ?? "", /changed while it was answered/);
    assert.equal(events[0]?.type, "not_stored");
  });
});
