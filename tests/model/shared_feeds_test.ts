import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SharedFeeds } from "../../src/model/adapter/shared_feeds.ts";
import type { Feeds } from "../../src/model/graph/graph.ts";

/** Feeds that are told apart by being other objects, with an account of what was made and let go of. */
function watched(idleLimit: number) {
  const names = new Map<Feeds, string>();
  const made: string[] = [];
  const disposed: string[] = [];
  const shared = new SharedFeeds(idleLimit, (feeds) => disposed.push(names.get(feeds)!));
  const take = (key: string) =>
    shared.take(key, () => {
      const feeds: Feeds = {};
      names.set(feeds, key);
      made.push(key);
      return Promise.resolve(feeds);
    });
  return { shared, take, made, disposed };
}

/** Lets what was promised happen. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("SharedFeeds", () => {
  it("makes what is wanted once, for all who want it at the same time or later", async () => {
    const { take, made } = watched(1);
    const [one, other] = await Promise.all([take("a"), take("a")]);
    assert.equal(one.feeds, other.feeds);
    one.release();
    other.release();
    assert.equal((await take("a")).feeds, one.feeds);
    assert.deepEqual(made, ["a"]);
  });

  it("lets go of what was idle for longest when there is too much of it", async () => {
    const { take, disposed } = watched(2);
    for (const key of ["a", "b", "a", "c"]) (await take(key)).release();
    await settled();
    assert.deepEqual(disposed, ["b"]);
  });

  it("never lets go of what is in use, however much that is", async () => {
    const { take, disposed } = watched(0);
    const [a, again, b] = await Promise.all([take("a"), take("a"), take("b")]);
    a.release();
    a.release();
    await settled();
    assert.deepEqual(disposed, []);
    again.release();
    b.release();
    await settled();
    assert.deepEqual(disposed, ["a", "b"]);
  });

  it("lets go of all that is idle when it is closed, and of the rest when that is released", async () => {
    const { shared, take, disposed } = watched(9);
    const held = await take("a");
    (await take("b")).release();
    shared.close();
    await settled();
    assert.deepEqual(disposed, ["b"]);
    held.release();
    (await take("c")).release();
    await settled();
    assert.deepEqual(disposed, ["b", "a", "c"]);
  });

  it("tells all who wait of a failure, and tries again the next time", async () => {
    const { shared, take, made } = watched(1);
    const failing = () => Promise.reject(new Error("no room"));
    for (const attempt of [shared.take("a", failing), shared.take("a", failing)]) {
      await assert.rejects(attempt, /no room/);
    }
    (await take("a")).release();
    assert.deepEqual(made, ["a"]);
    shared.close();
  });
});
