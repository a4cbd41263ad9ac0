/** `KeyvStore` under Keyv's own test suite, under Keyv 5 and 6, and against what goes wrong. */

import suite, { keyvIteratorTests } from "@keyv/test-suite";
import { Keyv } from "keyv";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { openCache } from "../../mod.ts";
import { KeyvStore } from "../../src/interop/keyv.ts";
import type { ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import { ask, openTestCache } from "../cache/support.ts";
import { type Expect, runWithExpect } from "../support/expect.ts";
import { loadKeyv5 } from "../support/keyv_5.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Where one Keyv is given two namespaces on one store, which this one refuses. */
const ONE_STORE_FOR_TWO = "iterator() doesn't yield values from other namespaces";

/** vitest's names over `node:test`. */
const runner = {
  beforeEach,
  afterEach,
  it(name: string, test: (context: { expect: Expect }) => unknown): void {
    if (name !== ONE_STORE_FOR_TWO) it(name, () => runWithExpect(test));
  },
};

const Keyv5 = await loadKeyv5();
/** Both, as far as they are alike. */
const VERSIONS = { "Keyv 5": Keyv5 as unknown as typeof Keyv, "Keyv 6": Keyv };

for (const backend of ["sqlite", "file", "memory"] as const) {
  const cache = await openCache({ backend, directory: await temporaryFolder() });

  describe(`@keyv/test-suite over ${backend}`, () => {
    const stores = () => new KeyvStore(cache);
    for (const tests of [suite, keyvIteratorTests]) {
      (tests as (...parts: unknown[]) => void)(runner, Keyv5, stores);
    }
  });
}

for (const [version, Version] of Object.entries(VERSIONS)) {
  describe(`KeyvStore under ${version}`, () => {
    const open = (options: Partial<ResponseCacheOptions> = {}, namespace = "weather") => {
      const parts = openTestCache(options);
      const errors: Error[] = [];
      const keyv = new Version({ store: new KeyvStore(parts.cache), namespace });
      keyv.on("error", (error: Error) => void errors.push(error));
      return { ...parts, keyv, errors };
    };

    it("keeps one value and many", async () => {
      const { keyv } = open();
      assert.equal(await keyv.set("Rome", { degrees: 31 }), true);
      const more = [{ key: "Oslo", value: { degrees: 9 } }, { key: "Cairo", value: { degrees: 35 } }];
      assert.deepEqual(await keyv.setMany(more), [true, true]);
      assert.deepEqual(await keyv.getMany(["Oslo", "Paris", "Rome"]), [{ degrees: 9 }, undefined, { degrees: 31 }]);
      assert.deepEqual(await keyv.hasMany(["Oslo", "Paris"]), [true, false]);
      assert.ok(await keyv.deleteMany(["Oslo", "Cairo"]));
      assert.deepEqual(await keyv.getMany(["Oslo", "Cairo"]), [undefined, undefined]);
    });

    it("puts a new value in the place of the old one", async () => {
      const { keyv, cache } = open();
      await keyv.set("Rome", 31);
      await keyv.set("Rome", 29);
      assert.equal(await keyv.get("Rome"), 29);
      assert.equal((await cache.stats()).store.entries, 1);
    });

    it("goes through its values", async () => {
      const { keyv } = open();
      for (const [city, degrees] of [["Rome", 31], ["Oslo", 9]] as const) await keyv.set(city, degrees);
      const found: [string, number][] = [];
      for await (const [city, degrees] of keyv.iterator()) found.push([city, degrees]);
      assert.deepEqual(found.sort(), [["Oslo", 9], ["Rome", 31]]);
    });

    it("has the cache forget a value when its time has come", async () => {
      const { keyv, cache, clock } = open();
      await keyv.set("Rome", 31, 3_600_000);
      await keyv.set("Oslo", 9);
      clock.advance(3_600_001);
      assert.deepEqual(await keyv.getMany(["Rome", "Oslo"]), [undefined, 9]);
      assert.equal((await cache.stats()).expired, 1);
    });

    it("is counted by the cache", async () => {
      const { keyv, cache } = open();
      await keyv.get("Rome");
      await keyv.set("Rome", 31);
      await keyv.get("Rome");
      const { misses, hits, writes } = await cache.stats();
      assert.deepEqual({ misses, hits, writes }, { misses: 1, hits: 1, writes: 1 });
    });

    it("stores nothing, and says so, in a mode that does not write", async () => {
      const { keyv, cache } = open({ mode: "read-only" });
      assert.equal(await keyv.set("Rome", 31), false);
      assert.equal(await keyv.get("Rome"), undefined);
      assert.equal((await cache.stats()).store.entries, 0);
    });

    it("clears its namespace and leaves the rest, answers in a namespace of that name too", async () => {
      const { keyv, cache, provider } = open();
      const other = new Version({ store: new KeyvStore(cache), namespace: "traffic" });
      await keyv.set("Rome", 31);
      await other.set("Rome", "dense");
      await cache.wrap(ask("Rome"), provider.answer, { namespace: "weather" });
      await keyv.clear();
      assert.deepEqual([await keyv.get("Rome"), await other.get("Rome")], [undefined, "dense"]);
      assert.notEqual(await cache.get(ask("Rome"), { namespace: "weather" }), undefined);
    });

    it("refuses a value that JSON would change", async () => {
      const { cache, errors } = open();
      const raw = version === "Keyv 5" ? { serialize: undefined, deserialize: undefined } : { serialization: false };
      const keyv = new Version({ store: new KeyvStore(cache), ...raw } as never);
      keyv.on("error", (error: Error) => void errors.push(error));
      assert.equal(await keyv.set("Rome", new Map([["degrees", 31]])), false);
      assert.match(errors[0]!.message, /^Cannot store an answer: the answer is no plain JSON/);
    });

    it("tells Keyv what the store failed with", async () => {
      const { keyv, store, errors } = open();
      store.beforePut = () => {
        throw new CacheError("unavailable", "the disk is full");
      };
      assert.equal(await keyv.set("Rome", 31), false);
      assert.match(errors[0]!.message, /the disk is full/);
      assert.equal(await keyv.get("Rome"), undefined);
    });
  });
}

describe("KeyvStore", () => {
  it("tells keys apart whatever they are, and refuses what is no text", async () => {
    const { cache, clock } = openTestCache();
    const store = new KeyvStore(cache);
    const keys = ["", " ", "\0", "a:b", "__proto__", "constructor", "é", "e\u0301", "😀", "x".repeat(100_000)];
    for (const [index, key] of keys.entries()) assert.equal(await store.set(key, index), true);
    assert.deepEqual(await store.getMany(keys), keys.map((_, index) => index));
    await assert.rejects(store.set("\ud800", 1), TypeError);
    await assert.rejects(store.set("nothing", undefined), TypeError);
    assert.equal(await store.has("nothing"), false);
    await store.set("brief", 1, 1000);
    const seen = [];
    for (const time of [999, 1]) {
      clock.advance(time);
      seen.push(await store.has("brief"));
    }
    assert.deepEqual(seen, [true, false], "gone at the moment its time has come");
  });

  it("has the last of those who set and delete at the same time", async () => {
    const store = new KeyvStore(openTestCache().cache);
    await Promise.all(Array.from({ length: 50 }, (_, index) => store.set("a", index)));
    assert.equal(await store.get("a"), 49);
    await Promise.all([store.set("a", 1), store.delete("a")]);
    await Promise.all([store.delete("a"), store.set("a", 2)]);
    assert.equal(await store.get("a"), 2);
  });

  it("keeps bytes as bytes", async () => {
    const { cache } = openTestCache();
    const store = new KeyvStore(cache);
    const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
    await store.set("bytes", bytes);
    await store.set("none", new Uint8Array());
    assert.deepEqual(await store.getMany(["bytes", "none"]), [bytes, new Uint8Array()]);
  });

  it("keeps what the cache kept when it is opened again", async () => {
    const directory = await temporaryFolder();
    for (const expected of [undefined, 31]) {
      await using cache = await openCache({ directory });
      const keyv = new Keyv({ store: new KeyvStore(cache), namespace: "weather" });
      assert.equal(await keyv.get("Rome"), expected);
      await keyv.set("Rome", 31);
    }
  });

  it("removes what it is told to set for no time at all", async () => {
    const store = new KeyvStore(openTestCache().cache);
    await store.set("Rome", 31);
    assert.equal(await store.set("Rome", 30, -1), true);
    assert.equal(await store.has("Rome"), false);
    await assert.rejects(store.set("Rome", 30, NaN), RangeError);
  });

  it("goes through more values than it asks for at once", async () => {
    const store = new KeyvStore(openTestCache().cache);
    const entries = Array.from({ length: 600 }, (_, index) => ({ key: `city ${index}`, value: index }));
    await store.setMany(entries);
    const found = new Map<string, unknown>();
    for await (const [key, value] of store.iterator()) found.set(key, value);
    assert.deepEqual(found, new Map(entries.map(({ key, value }) => [key, value])));
  });

  it("is of one namespace: two Keyvs on one store would get each other's values", () => {
    const store = new KeyvStore(openTestCache().cache);
    new Keyv({ store, namespace: "weather" });
    assert.throws(
      () => new Keyv({ store, namespace: "traffic" }),
      /make a KeyvStore for each Keyv\): weather, traffic$/,
    );
  });

  it("is in the namespace that Keyv names, not in the cache's own", async () => {
    const { cache, store } = openTestCache({ namespace: "tests" });
    const keyv = new Keyv({ store: new KeyvStore(cache), namespace: "weather" });
    await keyv.set("Rome", 31);
    const listed: unknown[] = [];
    for await (const { model, request } of store.list()) listed.push([model, request.namespace]);
    assert.deepEqual(listed, [["keyv", "weather"]]);
  });

  it("fails in the mode replay for what is not there", async () => {
    const store = new KeyvStore(openTestCache().cache, { mode: "replay" });
    await assert.rejects(store.get("Rome"), (error) => error instanceof CacheError && error.code === "replay_miss");
  });

  it("goes round a cache that is off", async () => {
    const { cache } = openTestCache({ mode: "off" });
    const store = new KeyvStore(cache);
    assert.equal(await store.set("Rome", 31), false);
    assert.equal(await store.get("Rome"), undefined);
  });

  it("refuses an option that it does not know", () => {
    const { cache } = openTestCache();
    assert.throws(() => new KeyvStore(cache, { ttl: 5 } as object), {
      name: "TypeError",
      message: "Cannot make a store for Keyv: unknown option (known: mode, tags): ttl",
    });
  });
});
