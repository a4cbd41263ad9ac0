/** The requests nearest to a sketch, whether their sketches are gathered already, not yet, or no longer true. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { RequestRecord, Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import { assertSound, rowsIn } from "./disk.ts";
import { databaseIn, entryOf, keyOf, machine, MODEL, openStore, requestOf } from "./fixture.ts";

/** Some more than two blocks. */
const MANY = 9000;

/** The store of a test, and a way to let quiet moments pass. */
interface Shelf {
  readonly directory: string;
  readonly store: Store;
  /** Lets quiet moments pass until all upkeep is done. */
  rest(): Promise<void>;
}

async function openShelf(directory?: string): Promise<Shelf> {
  const clock = new ManualClock();
  const folder = directory ?? await temporaryFolder();
  const store = await openStore(folder, { runtime: { ...machine, clock }, locking: "exclusive" });
  const rest = async (): Promise<void> => {
    for (let moment = 0; moment < 120; moment++) {
      await new Promise((resolve) => setTimeout(resolve));
      clock.advance(moment % 2 === 0 ? 500 : 4);
    }
  };
  return { directory: folder, store, rest };
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${from + index}`);

async function fill(store: Store, words: readonly string[], model: string = MODEL): Promise<void> {
  await Promise.all(words.map((word) => store.put(model, requestOf(word), [entryOf(word)], "append")));
}

const SKETCH: Uint8Array = new Uint8Array(createHash("md5").update("asked").digest());

function distance(left: Uint8Array, right: Uint8Array): number {
  let bits = 0;
  for (const [index, byte] of left.entries()) {
    for (let rest = byte ^ right[index]!; rest > 0; rest >>= 1) bits += rest & 1;
  }
  return bits;
}

/** The distances of the nearest of `words`, all of them compared. */
function nearestOf(words: readonly string[], limit: number): number[] {
  return words.map((word) => distance(SKETCH, requestOf(word).sketch)).sort((a, b) => a - b).slice(0, limit);
}

const distancesOf = (requests: readonly RequestRecord[]): number[] =>
  requests.map(({ sketch }) => distance(SKETCH, sketch));

describe("nearest", () => {
  it("finds the same before, while and after sketches are gathered", async () => {
    const { directory, store, rest } = await openShelf();
    const words = numbered(0, MANY);
    await fill(store, words);
    const expected = nearestOf(words, 20);
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), expected);
    await rest();
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), expected);
    const more = numbered(MANY, MANY + 300);
    await fill(store, more);
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), nearestOf([...words, ...more], 20));
    await store.close();
    assert.equal(rowsIn(await databaseIn(directory), "sketch"), 2);
    assertSound(await databaseIn(directory));
  });

  it("gives whole requests", async () => {
    const { store } = await openShelf();
    const long = { ...requestOf("long"), body: new TextEncoder().encode(JSON.stringify({ text: "é".repeat(20_000) })) };
    const local = { ...requestOf("local"), namespace: "", identity: "abc" };
    for (const request of [long, local]) await store.put(MODEL, request, [entryOf("x")], "append");
    for (const request of [long, local]) {
      assert.deepEqual((await store.nearest(request.sketch, 1)).map((found) => ({ ...found })), [request]);
    }
    await store.close();
  });

  it("does not find what was removed, and finds what took its rowid", async () => {
    const { directory, store, rest } = await openShelf();
    await fill(store, numbered(0, MANY));
    await rest();
    await store.remove({ keys: numbered(100, 6000).map(keyOf) });
    const left = [...numbered(0, 100), ...numbered(6000, MANY)];
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), nearestOf(left, 20));
    await rest();
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), nearestOf(left, 20));
    await store.remove({ keys: numbered(6000, MANY).map(keyOf) });
    const again = numbered(20_000, 23_000);
    await fill(store, again);
    assert.deepEqual(
      distancesOf(await store.nearest(SKETCH, 20)),
      nearestOf([...numbered(0, 100), ...again], 20),
    );
    await store.remove({});
    assert.deepEqual(await store.nearest(SKETCH, 20), []);
    const anew = numbered(30_000, 30_000 + MANY);
    await fill(store, anew);
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), nearestOf(anew, 20));
    await rest();
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 20)), nearestOf(anew, 20));
    await store.close();
    assertSound(await databaseIn(directory));
  });

  it("passes over what is broken, and what was stored before there were sketches", async () => {
    const shelf = await openShelf();
    const { directory } = shelf;
    const words = numbered(0, 40);
    await fill(shelf.store, words);
    const [first, second, third, fourth] = await shelf.store.nearest(SKETCH, 4);
    await shelf.store.close();
    const native = new DatabaseSync(await databaseIn(directory));
    native.prepare("UPDATE request SET namespace = 'another' WHERE key = ?").run(first!.key);
    native.prepare("UPDATE request SET body = x'00' WHERE key = ?").run(second!.key);
    native.prepare("UPDATE request SET sketch = NULL WHERE key = ?").run(third!.key);
    native.prepare("UPDATE request SET sketch = x'0102' WHERE rowid = 40 AND key <> ?").run(fourth!.key);
    native.close();
    const { store } = await openShelf(directory);
    assert.deepEqual((await store.nearest(SKETCH, 1)).map((found) => ({ ...found })), [{ ...fourth }]);
    assert.ok((await store.nearest(SKETCH, 99)).length >= 36);
    await store.close();
  });

  it("takes a block that somebody has damaged for a hint", async () => {
    const shelf = await openShelf();
    const words = numbered(0, MANY);
    await fill(shelf.store, words);
    await shelf.rest();
    await shelf.store.close();
    const native = new DatabaseSync(await databaseIn(shelf.directory));
    native.exec("UPDATE sketch SET content = randomblob(98305) WHERE last = (SELECT min(last) FROM sketch)");
    native.close();
    const { store } = await openShelf(shelf.directory);
    const found = await store.nearest(SKETCH, 20);
    const keys = new Set(words.map((word) => String(keyOf(word))));
    assert.ok(found.every(({ key }) => keys.has(String(key))));
    assert.ok(distancesOf(found)[0]! <= nearestOf(words.slice(5000), 1)[0]!);
    await store.close();
  });

  it("gathers requests without sketches once only", async () => {
    const shelf = await openShelf();
    await fill(shelf.store, numbered(0, MANY));
    await shelf.store.close();
    const native = new DatabaseSync(await databaseIn(shelf.directory));
    native.exec("UPDATE request SET sketch = NULL");
    native.close();
    const { store, rest } = await openShelf(shelf.directory);
    assert.deepEqual(await store.nearest(SKETCH, 5), []);
    await rest();
    assert.deepEqual(await store.nearest(SKETCH, 5), []);
    await store.close();
    assert.equal(rowsIn(await databaseIn(shelf.directory), "sketch"), 2);
  });

  it("asks all models or one, and leaves out what somebody else holds", async () => {
    const directory = await temporaryFolder();
    const [store, other] = [
      await openStore(directory, { locking: "exclusive", maxOpenDatabases: 1 }),
      await openStore(directory, { locking: "exclusive" }),
    ];
    for (const model of ["m1", "m2", "m3"]) await fill(store, numbered(0, 50).map((word) => model + word), model);
    await fill(other, ["x"], "m4");
    const all = ["m1", "m2", "m3"].flatMap((model) => numbered(0, 50).map((word) => model + word));
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 30)), nearestOf(all, 30));
    assert.deepEqual(distancesOf(await store.nearest(SKETCH, 30, "m2")), nearestOf(all.slice(50, 100), 30));
    assert.deepEqual(await store.nearest(SKETCH, 30, "m5"), []);
    await assert.rejects(async () => await store.nearest(SKETCH, 30, "m4"), { name: "CacheError", code: "locked" });
    await assert.rejects(async () => await store.nearest(SKETCH, 0), { name: "RangeError" });
    await assert.rejects(async () => await store.nearest(SKETCH.subarray(1), 1), { name: "RangeError" });
    await Promise.all([store.close(), other.close()]);
  });

  it("answers while somebody else keeps the database from being written", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const store = await openStore(directory, { locking: "shared" });
    const words = numbered(0, MANY);
    await fill(store, words);
    const other = await openStore(directory, { locking: "shared" });
    const native = new DatabaseSync(await databaseIn(directory));
    native.exec("BEGIN IMMEDIATE");
    assert.deepEqual(distancesOf(await other.nearest(SKETCH, 20)), nearestOf(words, 20));
    native.exec("ROLLBACK");
    native.close();
    await Promise.all([store.close(), other.close()]);
  });
});
