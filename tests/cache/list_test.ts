/** What the cache holds, and what its store says behind calls that were answered. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheEvent } from "../../src/cache/ledger/journal.ts";
import { ResponseCache } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Store, StoreFault, Want } from "../../src/store/store.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { ask, openTestCache, sha256 } from "./support.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("ResponseCache.list", () => {
  it("lists the requests that have answers, as they were asked, less what the key ignores", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap({ ...ask("cats", { n: 2 }), user: "me" }, provider.answer);
    const answer = { model: "m", choices: [{ text: "woof", finish_reason: "stop" }] };
    await cache.put({ prompt: "dogs", model: "m" }, answer, {
      endpoint: "/v1/completions",
      provider: "local",
    });
    const listed = (await collect(cache.list())).sort((left, right) => left.endpoint < right.endpoint ? -1 : 1);
    assert.deepEqual(listed.map(({ model, provider, endpoint, namespace }) => [model, provider, endpoint, namespace]), [
      [ask("cats").model, "openai", "/v1/chat/completions", ""],
      ["m", "local", "/v1/completions", ""],
    ]);
    assert.deepEqual(listed[0]!.body, ask("cats"));
    assert.equal(listed[0]!.key, (await cache.explain(ask("cats"))).key);
  });

  it("lists one model, and one namespace, the cache's own unless another is named", async () => {
    const { cache, provider } = openTestCache({ namespace: "ours" });
    await cache.wrap(ask("cats"), provider.answer);
    await cache.wrap(ask("dogs"), provider.answer, { namespace: "theirs" });
    await cache.wrap(ask("cows", { model: "other" }), provider.answer);
    const asked = async (options?: { model?: string; namespace?: string }): Promise<string[]> =>
      (await collect(cache.list(options))).map(({ model, namespace }) => `${namespace}/${model}`).sort();
    const model = ask("cats").model as string;
    assert.deepEqual(await asked(), [`ours/${model}`, "ours/other"].sort());
    assert.deepEqual(await asked({ namespace: "theirs" }), [`theirs/${model}`]);
    assert.deepEqual(await asked({ model: "other" }), ["ours/other"]);
    assert.deepEqual(await asked({ namespace: "the" }), []);
  });

  it("refuses what means nothing, and a closed cache", async () => {
    const { cache } = openTestCache();
    await assert.rejects(collect(cache.list({ model: 1 as unknown as string })), TypeError);
    await assert.rejects(collect(cache.list({ name: "x" } as object)), TypeError);
    await cache.close();
    await assert.rejects(collect(cache.list()), (error) => error instanceof CacheError && error.code === "closed");
  });
});

describe("a store that says what went wrong behind calls that were answered", () => {
  it("is heard: counted, told and remembered as the last error", async () => {
    const clock = new ManualClock();
    let say: (fault: StoreFault) => void = () => {};
    const inner = openMemoryStore({ clock, maxBytes: 1 << 20 });
    const store = new Proxy(inner, {
      get: (target, name: keyof Store) => {
        if (name === "onFault") return (listener: typeof say) => void (say = listener);
        const value = target[name];
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const events: CacheEvent[] = [];
    const cache = new ResponseCache({ store, clock, sha256, report: (event) => events.push(event) });
    const error = new CacheError("unavailable", "the queue is full");
    say({ type: "write_failed", model: "m", error });
    say({ type: "lookup_failed", model: "m", error });
    const { failedWrites, failedLookups, lastError } = await cache.stats();
    assert.deepEqual([failedWrites, failedLookups, lastError?.message], [1, 1, "the queue is full"]);
    assert.deepEqual(events.map(({ type }) => type), ["write_failed", "lookup_failed"]);
    await cache.close();
  });
});

describe("what the store is told of a request that is looked up", () => {
  it("is the request itself, made when asked for, with the key it is looked up by", async () => {
    const clock = new ManualClock();
    const wants: Want[] = [];
    const store = openMemoryStore({ clock, maxBytes: 1 << 20 });
    const lookup = store.lookup.bind(store);
    store.lookup = (model, some) => (wants.push(...some), lookup(model, some));
    const cache = new ResponseCache({ store, clock, sha256 });
    await cache.get(ask("cats"));
    await cache.getMany([ask("dogs"), ask("cows")]);
    assert.equal(wants.length, 3);
    for (const { key, record } of wants) assert.deepEqual(record!().key, key);
    assert.match(new TextDecoder().decode(wants[0]!.record!().body), /cats/);
    await cache.close();
  });
});
