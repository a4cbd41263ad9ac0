/** Where new samples go: after those that are there, over them, and into the places of those that are no good. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import { temporaryFolder } from "../../support/temporary.ts";
import { at, databaseIn, entryOf, find, MODEL, NOW, openStore, requestOf, texts } from "./fixture.ts";

describe("put", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("append adds after the samples that are there", async () => {
    const store = await openStore(join(folder, "append"));
    await store.put(MODEL, requestOf("a"), [entryOf("0"), entryOf("1")], "append");
    await store.put(MODEL, requestOf("a"), [entryOf("2")], "append");
    assert.deepEqual(await texts(store, "a", 10), ["0", "1", "2"]);
    assert.deepEqual(await texts(store, "a", 2), ["0", "1"]);
    await store.close();
  });

  it("append loses nothing when many write at once", async () => {
    const store = await openStore(join(folder, "racing"));
    const words = Array.from({ length: 30 }, (_, index) => String(index));
    await Promise.all(words.map((word) => store.put(MODEL, requestOf("a"), [entryOf(word)], "append")));
    assert.deepEqual((await texts(store, "a", 100)).sort(), [...words].sort());
    await store.close();
  });

  it("replace overwrites from sample 0 and leaves those beyond", async () => {
    const store = await openStore(join(folder, "replace"));
    await store.put(MODEL, requestOf("a"), [entryOf("0"), entryOf("1"), entryOf("2")], "append");
    await store.put(MODEL, requestOf("a"), [entryOf("new 0"), entryOf("new 1")], "replace");
    assert.deepEqual(await texts(store, "a", 10), ["new 0", "new 1", "2"]);
    await store.close();
  });

  it("replace_all removes what lies beyond, with what is put or not at all", async () => {
    const store = await openStore(join(folder, "replace all"));
    await store.put(MODEL, requestOf("a"), [entryOf("0"), entryOf("1"), entryOf("2")], "append");
    const broken = entryOf("b", { mediaType: null as unknown as string });
    await assert.rejects(async () => await store.put(MODEL, requestOf("a"), [entryOf("a"), broken], "replace_all"));
    assert.deepEqual(await texts(store, "a", 10), ["0", "1", "2"]);
    await store.put(MODEL, requestOf("a"), [entryOf("new 0")], "replace_all");
    assert.deepEqual(await texts(store, "a", 10), ["new 0"]);
    assert.equal((await store.size()).entries, 1);
    await store.close();
  });

  it("adds tags with the answers or not at all, and each once", async () => {
    const directory = join(folder, "tags");
    const store = await openStore(directory);
    const broken = entryOf("b", { mediaType: null as unknown as string });
    const tagged = { tags: ["x", "y", "x", ""] };
    await assert.rejects(async () => await store.put(MODEL, requestOf("b"), [broken], "append", tagged));
    for (let time = 0; time < 2; time++) await store.put(MODEL, requestOf("a"), [entryOf("a")], "append", tagged);
    await store.close();
    const native = new DatabaseSync(await databaseIn(directory));
    const tags = native.prepare("SELECT tag FROM tag ORDER BY tag").all().map(({ tag }) => tag);
    const requests = native.prepare("SELECT count(*) AS count FROM request").get()!.count;
    native.close();
    assert.deepEqual({ tags, requests }, { tags: ["", "x", "y"], requests: 1 });
  });

  it("append takes the place of expired samples, and of none that is good", async () => {
    let now = NOW;
    const store = await openStore(join(folder, "expired"), { runtime: at(() => now) });
    const brief = { expires: NOW + 1000 };
    await store.put(MODEL, requestOf("a"), [entryOf("0", brief), entryOf("1"), entryOf("2", brief)], "append");
    assert.deepEqual(await texts(store, "a", 3), ["0", "1", "2"]);
    now += 1000;
    const { entries: _, ...why } = await find(store, "a", 3);
    assert.deepEqual(why, { stale: false, expired: true, corrupt: false });
    assert.deepEqual(await texts(store, "a", 3), ["1"]);
    await store.put(MODEL, requestOf("a"), [entryOf("new 2")], "append");
    assert.equal((await store.size()).entries, 3);
    await store.put(MODEL, requestOf("a"), [entryOf("new 3"), entryOf("new 4")], "append");
    assert.deepEqual(await texts(store, "a", 9), ["1", "new 2", "new 3", "new 4"]);
    await store.close();
  });

  it("append takes the place of stale and broken samples", async () => {
    const directory = join(folder, "unusable");
    let store = await openStore(directory);
    await store.put(MODEL, requestOf("a"), ["0", "1", "2"].map((text) => entryOf(text)), "append");
    await store.close();
    const native = new DatabaseSync(await databaseIn(directory));
    native.exec("UPDATE entry SET schema_version = 0 WHERE sample = 1; UPDATE entry SET latency = 1 WHERE sample = 2");
    native.close();
    store = await openStore(directory);
    const { entries: _, ...why } = await find(store, "a", 3);
    assert.deepEqual(why, { stale: true, expired: false, corrupt: true });
    await store.put(MODEL, requestOf("a"), [entryOf("new 1"), entryOf("new 2")], "append");
    assert.deepEqual(await texts(store, "a", 9), ["0", "new 1", "new 2"]);
    assert.equal((await store.size()).entries, 3);
    await store.close();
  });

  it("stores all of its samples or none", async () => {
    const store = await openStore(join(folder, "atomic"));
    await store.put(MODEL, requestOf("a"), [entryOf("0")], "append");
    const broken = entryOf("2", { mediaType: null as unknown as string });
    await assert.rejects(async () => await store.put(MODEL, requestOf("a"), [entryOf("1"), broken], "append"), {
      name: "CacheError",
      code: "unavailable",
    });
    assert.deepEqual(await texts(store, "a", 9), ["0"]);
    await store.put(MODEL, requestOf("a"), [entryOf("1")], "append");
    assert.deepEqual(await texts(store, "a", 9), ["0", "1"]);
    await store.close();
  });
});
