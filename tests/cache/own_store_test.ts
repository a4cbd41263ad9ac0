/** A store of the user's own, with what the contract demands and nothing else. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ResponseCache } from "../../src/cache/response_cache.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Store } from "../../src/store/store.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { ask, Provider, saidBy, sha256 } from "./support.ts";

/** Neither claims nor failures nor a ledger. */
function bareStore(clock: ManualClock): Store {
  const inner = openMemoryStore({ clock, maxBytes: 1 << 20 });
  return {
    name: "bare",
    location: "here",
    lookup: (model, wants) => inner.lookup(model, wants),
    put: (model, request, entries, placement, options) => inner.put(model, { ...request }, entries, placement, options),
    remove: (selection) => inner.remove(selection),
    nearest: (sketch, limit, model) => inner.nearest(sketch, limit, model),
    list: (selection) => inner.list(selection),
    size: () => inner.size(),
    close: () => inner.close(),
  };
}

describe("a store without claims, failures and ledger", () => {
  it("keeps, tops up, shares, explains and removes", async () => {
    const clock = new ManualClock();
    const provider = new Provider();
    const cache = new ResponseCache({ store: bareStore(clock), clock, sha256 });
    const [one, same] = await Promise.all([1, 2].map(() => cache.wrap(ask("cats"), provider.answer)));
    assert.deepEqual([saidBy(one), saidBy(same)], [["text 1"], ["text 1"]]);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 2 }), provider.answer)), ["text 1", "text 2"]);
    assert.equal((await cache.explain(ask("cats", { temperature: 1 }))).nearest.length, 1);
    const { store, allTime, unclaimed } = await cache.stats();
    assert.deepEqual([store.name, store.entries, allTime, unclaimed], ["bare", 2, null, 0]);
    assert.equal((await cache.delete(ask("cats"))).entries, 2);
    await cache.close();
  });

  it("remembers no failure, and so tries again", async () => {
    const clock = new ManualClock();
    const provider = new Provider();
    const cache = new ResponseCache({ store: bareStore(clock), clock, sha256 });
    const refusal = Object.assign(new Error("no"), { status: 400 });
    await assert.rejects(cache.wrap(ask("cats"), () => Promise.reject(refusal)), (error) => error === refusal);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    assert.equal((await cache.explain(ask("cats"))).failures, null);
    await cache.close();
  });
});
