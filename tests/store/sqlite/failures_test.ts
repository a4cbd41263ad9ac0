/** Failures in a file: what is created, kept and forgotten. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import type { FailureRecord, Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import { databaseIn, entryOf, keyOf, machine, MODEL, openStore, quiet, requestOf, texts } from "./fixture.ts";

const DAY = 24 * 60 * 60 * 1000;
const error = new TextEncoder().encode('{"status":400}');

const record = async (store: Store, word: string, last: number): Promise<void> =>
  await store.failures!.record(MODEL, keyOf(word), { last, expires: last + 1000, error });
const last = async (store: Store, word: string): Promise<FailureRecord | undefined> =>
  await store.failures!.last(MODEL, keyOf(word));

describe("failures", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("that are looked for create nothing", async () => {
    const directory = join(folder, "nothing");
    const store = await openStore(directory);
    assert.equal(await last(store, "a"), undefined);
    await store.close();
    await assert.rejects(readdir(directory), { code: "ENOENT" });
  });

  it("outlive the process, and go on being counted", async () => {
    const directory = join(folder, "kept");
    for (let time = 1; time <= 3; time++) {
      const store = await openStore(directory);
      await record(store, "a", time);
      assert.deepEqual(await last(store, "a"), { count: time, last: time, expires: time + 1000, error });
      await store.close();
    }
  });

  it("of all who share the database are counted together", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "shared");
    const stores = await Promise.all([1, 2].map(() => openStore(directory, { lockTimeout: 10_000 })));
    await Promise.all(stores.flatMap((store) => Array.from({ length: 20 }, () => record(store, "a", 1))));
    for (const store of stores) assert.equal((await last(store, "a"))!.count, 40);
    for (const store of stores) await store.close();
  });

  it("of more than 30 days ago are forgotten in a quiet moment, however many they are", async () => {
    const directory = join(folder, "old");
    const clock = new ManualClock();
    const runtime = { ...machine, clock };
    const then = clock.now();
    let store = await openStore(directory, { runtime });
    const words = Array.from({ length: 1300 }, (_, index) => `${index}`);
    await Promise.all(words.map((word, index) => record(store, word, then + (index % 3) * DAY)));
    await record(store, "ahead", then + 400 * DAY);
    await store.close();
    clock.advance(31 * DAY);
    store = await openStore(directory, { runtime });
    await last(store, "0");
    await quiet(clock);
    // Exactly 30 days are too long, a moment less is not.
    for (const word of ["0", "1", "1299", "ahead"]) assert.equal(await last(store, word), undefined, word);
    for (const word of ["2", "1298"]) assert.equal((await last(store, word))!.count, 1, word);
    await store.close();
    const native = new DatabaseSync(await databaseIn(directory), { readOnly: true });
    assert.equal(native.prepare("SELECT count(*) AS count FROM failure").get()!.count, words.length / 3 | 0);
    native.close();
  });

  it("are swept again while a store stays open and more fail", async () => {
    const directory = join(folder, "open");
    const clock = new ManualClock();
    const store = await openStore(directory, { runtime: { ...machine, clock } });
    await record(store, "old", clock.now());
    await quiet(clock);
    assert.equal((await last(store, "old"))!.count, 1);
    clock.advance(31 * DAY);
    await record(store, "new", clock.now());
    await quiet(clock);
    assert.equal(await last(store, "old"), undefined);
    assert.equal((await last(store, "new"))!.count, 1);
    await store.close();
  });

  it("that somebody has damaged are none, and are mended by the next", async () => {
    const directory = join(folder, "damaged");
    const damages = ["last = 'today'", "error = x'00', last = x'00'", "expires = 'x', last = 'x'"];
    for (const [index, damage] of damages.entries()) {
      let store = await openStore(directory);
      await record(store, "a", 1);
      await store.close();
      const native = new DatabaseSync(await databaseIn(directory));
      native.exec(`UPDATE failure SET ${damage}`);
      native.close();
      store = await openStore(directory);
      assert.equal(await last(store, "a"), undefined, damage);
      await record(store, "a", 2);
      assert.equal((await last(store, "a"))!.count, 2 * index + 2);
      await store.close();
    }
  });

  it("do not fail with a put beside them, nor keep it from being stored", async () => {
    const store = await openStore(join(folder, "neighbours"));
    const broken = entryOf("b", { mediaType: null as unknown as string });
    const results = await Promise.allSettled([
      record(store, "a", 1),
      store.put(MODEL, requestOf("b"), [broken], "append"),
      store.put(MODEL, requestOf("c"), [entryOf("c")], "append"),
    ]);
    assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
    assert.equal((await last(store, "a"))!.count, 1);
    assert.deepEqual(await texts(store, "c"), ["c"]);
    await store.close();
  });
});
