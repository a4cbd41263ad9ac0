/** What metrics know of a cache whose store is slow: what it said last. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatistics } from "../../src/cache/ledger/statistics.ts";
import { StoreSnapshot } from "../../src/http/operations/store_snapshot.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

/** A cache that answers when the test wants it to, and a clock that stands still until it is set. */
async function world() {
  const { clock } = await loadRuntime();
  let now = 0;
  const asked: PromiseWithResolvers<CacheStatistics>[] = [];
  const stats = (): Promise<CacheStatistics> => {
    const question = Promise.withResolvers<CacheStatistics>();
    asked.push(question);
    return question.promise;
  };
  const snapshot = new StoreSnapshot({ stats }, { ...clock, monotonic: () => now });
  return { snapshot, asked, set: (time: number) => void (now = time) };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
const writesIn = ({ latest }: StoreSnapshot): number | undefined => latest?.writes;
const said = (writes: number) => ({ writes }) as CacheStatistics;

describe("StoreSnapshot", () => {
  it("asks nothing of a store before anybody wants to know", async () => {
    assert.equal((await world()).asked.length, 0);
  });

  it("knows nothing at first, and does not wait", async () => {
    const { snapshot, asked } = await world();
    assert.equal(writesIn(snapshot), undefined);
    assert.equal(asked.length, 1);
  });

  it("keeps what was said last, and asks again after five seconds", async () => {
    const { snapshot, asked, set } = await world();
    assert.equal(writesIn(snapshot), undefined);
    asked[0]!.resolve(said(1));
    await settled();
    set(4999);
    assert.equal(writesIn(snapshot), 1);
    assert.equal(asked.length, 1);
    set(5000);
    assert.equal(writesIn(snapshot), 1);
    asked[1]!.resolve(said(2));
    await settled();
    assert.equal(writesIn(snapshot), 2);
  });

  it("asks a store that hangs no second time", async () => {
    const { snapshot, asked, set } = await world();
    for (const time of [0, 10_000, 20_000]) {
      set(time);
      assert.equal(writesIn(snapshot), undefined);
    }
    assert.equal(asked.length, 1);
  });

  it("passes over a cache that is closed", async () => {
    const { snapshot, asked, set } = await world();
    assert.equal(writesIn(snapshot), undefined);
    asked[0]!.reject(new Error("closed"));
    await settled();
    set(5000);
    assert.equal(writesIn(snapshot), undefined);
    assert.equal(asked.length, 2);
  });
});
