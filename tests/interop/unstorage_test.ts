/** The driver under unstorage itself: what its other drivers can do, and what the cache adds. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createStorage, type Driver, prefixStorage, type Storage } from "unstorage";
import { openCache } from "../../mod.ts";
import type { ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import { unstorageDriver, type UnstorageOptions } from "../../src/interop/unstorage.ts";
import { CacheError } from "../../src/store/error.ts";
import { ask, type CacheUnderTest, openTestCache } from "../cache/support.ts";
import { temporaryFolder } from "../support/temporary.ts";

function open(options: Partial<ResponseCacheOptions> = {}, own: UnstorageOptions = {}): CacheUnderTest & {
  storage: Storage;
  driver: Driver;
} {
  const parts = openTestCache(options);
  const driver: Driver = unstorageDriver(parts.cache, own);
  return { ...parts, driver, storage: createStorage({ driver }) };
}

describe("unstorageDriver", () => {
  it("has nothing of what was never set", async () => {
    const { storage } = open();
    assert.equal(await storage.hasItem("weather:Rome"), false);
    assert.equal(await storage.getItem("weather:Rome"), null);
    assert.equal(await storage.getItemRaw("weather:Rome"), null);
    assert.deepEqual(await storage.getKeys(), []);
    await storage.removeItem("weather:Rome");
  });

  it("keeps an item, under a key however it is written", async () => {
    const { storage } = open();
    await storage.setItem("weather:Rome", "hot");
    assert.equal(await storage.hasItem("weather/Rome"), true);
    assert.equal(await storage.getItem("/weather/Rome"), "hot");
    assert.deepEqual(await storage.getKeys(), ["weather:Rome"]);
  });

  it("keeps every kind of JSON as it is", async () => {
    const { storage } = open();
    for (const value of ["", "hot", 31, 0, true, false, { degrees: [31, null] }, ["hot"], "ünïcode 日本"]) {
      await storage.setItem("value", value);
      assert.deepEqual(await storage.getItem("value"), value);
    }
  });

  it("keeps what writes itself as JSON, and refuses what cannot", async () => {
    const { storage } = open();
    await storage.setItem("date", { toJSON: () => "2026-11-22" });
    assert.equal(await storage.getItem("date"), "2026-11-22");
    await assert.rejects(storage.setItem("map", new Map()), /Cannot stringify/);
  });

  it("puts a new value in the place of the old one, and removes what is set to undefined", async () => {
    const { storage, cache } = open();
    await storage.setItem("Rome", "hot");
    await storage.setItem("Rome", "cold");
    assert.equal(await storage.getItem("Rome"), "cold");
    assert.equal((await cache.stats()).store.entries, 1);
    await storage.setItem("Rome", undefined as unknown as string);
    assert.equal(await storage.hasItem("Rome"), false);
  });

  it("keeps bytes raw", async () => {
    const { storage } = open();
    const bytes = Uint8Array.from({ length: 40_000 }, (_, index) => index % 251);
    await storage.setItemRaw("bytes", bytes);
    await storage.setItemRaw("json", { degrees: 31 });
    assert.deepEqual(await storage.getItemRaw("bytes"), bytes);
    assert.deepEqual(await storage.getItemRaw("json"), { degrees: 31 });
    await assert.rejects(storage.setItemRaw("map", new Map()), /no plain JSON/);
  });

  it("sets and gets many items at once", async () => {
    const { storage, clock } = open();
    await storage.setItems<string | object>([{ key: "a", value: "1" }, {
      key: "b",
      value: { two: 2 },
      options: { ttl: 1 },
    }]);
    assert.deepEqual(await storage.getItems(["b", "missing", { key: "a" }]), [
      { key: "b", value: { two: 2 } },
      { key: "missing", value: null },
      { key: "a", value: 1 },
    ]);
    clock.advance(1001);
    assert.deepEqual(await storage.getKeys(), ["a"]);
  });

  it("lists the keys below a base", async () => {
    const { storage } = open();
    for (const key of ["s1:a", "s1:b:c", "s2:a", "s10:a"]) await storage.setItem(key, "x");
    assert.deepEqual((await storage.getKeys()).sort(), ["s10:a", "s1:a", "s1:b:c", "s2:a"]);
    assert.deepEqual((await storage.getKeys("s1")).sort(), ["s1:a", "s1:b:c"]);
    assert.deepEqual(await storage.getKeys("s1", { maxDepth: 1 }), ["s1:a"]);
  });

  it("clears what is below a base, or everything, and leaves the rest of the cache", async () => {
    const { storage, driver, cache, provider } = open();
    await cache.wrap(ask("Rome"), provider.answer, { namespace: "unstorage" });
    for (const key of ["s1:a", "s1:b:c", "s2:a"]) await storage.setItem(key, "x");
    await driver.clear!("s1:", {});
    assert.deepEqual(await storage.getKeys(), ["s2:a"]);
    await storage.clear();
    assert.deepEqual(await storage.getKeys(), []);
    assert.notEqual(await cache.get(ask("Rome"), { namespace: "unstorage" }), undefined);
  });

  it("lists and clears more items than are looked up at once", async () => {
    const { storage, driver } = open();
    const keys = Array.from({ length: 600 }, (_, index) => `many:${index}`);
    await storage.setItems(keys.map((key) => ({ key, value: "x" })));
    assert.deepEqual((await storage.getKeys("many")).sort(), keys.toSorted());
    await driver.clear!("many:", {});
    assert.deepEqual(await storage.getKeys(), []);
  });

  it("can be mounted beside others, under a prefix, and keeps namespaces apart", async () => {
    const { cache } = openTestCache();
    const storage = createStorage();
    for (const namespace of ["one", "two"]) storage.mount(namespace, unstorageDriver(cache, { namespace }));
    await storage.setItem("one:city", "Rome");
    await prefixStorage(storage, "two").setItem("city", "Oslo");
    assert.deepEqual([await storage.getItem("one:city"), await storage.getItem("two:city")], ["Rome", "Oslo"]);
    assert.deepEqual((await storage.getKeys()).sort(), ["one:city", "two:city"]);
    await storage.clear("two");
    assert.deepEqual(await storage.getKeys(), ["one:city"]);
  });

  it("forgets an item when its seconds are over", async () => {
    const { storage, clock } = open();
    await storage.setItem("Rome", "hot", { ttl: 60 });
    clock.advance(59_999);
    assert.equal(await storage.getItem("Rome"), "hot");
    clock.advance(2);
    assert.equal(await storage.getItem("Rome"), null);
    assert.equal(await storage.hasItem("Rome"), false);
    assert.deepEqual(await storage.getKeys(), []);
  });

  it("tells when an item was stored, and keeps the meta that is set beside it", async () => {
    const { storage, clock } = open();
    await storage.setItem("Rome", "hot", { ttl: 60 });
    const { mtime, expires } = await storage.getMeta("Rome");
    assert.deepEqual([mtime, expires], [new Date(clock.now()), new Date(clock.now() + 60_000)]);
    await storage.setItem("Oslo", "cold");
    await storage.setMeta("Oslo", { station: 7 });
    assert.deepEqual({ ...await storage.getMeta("Oslo") }, { mtime: new Date(clock.now()), station: 7 });
    await storage.removeItem("Oslo", { removeMeta: true });
    assert.deepEqual({ ...await storage.getMeta("Oslo") }, {});
  });

  it("has watchers hear of changes made through the storage", async () => {
    const { storage } = open();
    const heard: string[] = [];
    const unwatch = await storage.watch((event, key) => void heard.push(`${event} ${key}`));
    await storage.setItem("Rome", "hot");
    await storage.removeItem("Rome");
    await unwatch();
    await storage.setItem("Rome", "cold");
    assert.deepEqual(heard, ["update Rome", "remove Rome"]);
  });

  it("leaves the cache open when it is disposed of", async () => {
    const { storage, cache } = open();
    await storage.setItem("Rome", "hot");
    await storage.dispose();
    assert.equal((await cache.stats()).writes, 1);
  });

  it("keeps what the cache kept when it is opened again", async () => {
    const directory = await temporaryFolder();
    for (const expected of [null, "hot"]) {
      await using cache = await openCache({ directory });
      const storage = createStorage({ driver: unstorageDriver(cache) });
      assert.equal(await storage.getItem("Rome"), expected);
      await storage.setItem("Rome", "hot");
    }
  });

  it("stores nothing in a mode that does not write, and fails in the mode replay", async () => {
    const { storage } = open({ mode: "read-only" });
    await storage.setItem("Rome", "hot");
    assert.equal(await storage.getItem("Rome"), null);
    const { storage: replayed } = open({}, { mode: "replay" });
    await assert.rejects(replayed.getItem("Rome"), (error) => (error as CacheError).code === "replay_miss");
  });

  it("fails with what the store fails with", async () => {
    const { storage, store } = open();
    store.beforePut = () => {
      throw new CacheError("unavailable", "the disk is full");
    };
    await assert.rejects(storage.setItem("Rome", "hot"), { code: "unavailable" });
    await assert.rejects(storage.setItem("Rome", "hot", { ttl: -1 }), RangeError);
  });

  it("refuses an option that it does not know", () => {
    assert.throws(() => unstorageDriver(openTestCache().cache, { base: "x" } as object), {
      name: "TypeError",
      message: "Cannot make a driver for unstorage: unknown option (known: mode, tags, namespace): base",
    });
  });
});
