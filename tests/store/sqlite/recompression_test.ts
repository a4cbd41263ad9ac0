/** In quiet moments answers become shorter: a dictionary is built of what they have in common, and never serves another. */

import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { SleepOptions } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { RandomNumbers } from "../../torture/random.ts";
import { ManualClock } from "../manual_clock.ts";
import { databaseIn, entryOf, find, machine, MODEL, openStore, quiet, requestOf } from "./fixture.ts";

const decoder = new TextDecoder();

/** An answer like all others of its kind. */
function answer(index: number, kind = "The answer to your question"): string {
  const random = new RandomNumbers(index);
  const words = Array.from(
    { length: 30 },
    () => random.pick(["yes", "no", "maybe", "later", "never", "often", "soon"]),
  );
  return JSON.stringify({
    id: `chatcmpl-${random.fraction()}`,
    object: "chat.completion",
    text: `${kind}: ${words.join(" ")}`,
  });
}

async function put(store: Store, from: number, to: number, kind?: string): Promise<void> {
  for (let index = from; index < to; index++) {
    await store.put(MODEL, requestOf(`${index}`), [entryOf(answer(index, kind))], "append");
  }
}

async function wrong(store: Store, to: number, textOf: (index: number) => string = answer): Promise<number[]> {
  const indexes = Array.from({ length: to }, (_, index) => index);
  const found = await Promise.all(indexes.map((index) => find(store, `${index}`)));
  return indexes.filter((index) => {
    const [entry] = found[index]!.entries;
    return entry === undefined || decoder.decode(entry.bytes()) !== textOf(index);
  });
}

function dictionariesIn(path: string): { ids: number[]; used: (number | null)[]; stored: number } {
  const native = new DatabaseSync(path, { readOnly: true });
  const ids = native.prepare("SELECT id FROM dictionary").all().map(({ id }) => id as number);
  const used = native.prepare("SELECT DISTINCT dictionary FROM entry").all().map((row) =>
    row.dictionary as number | null
  );
  const stored = native.prepare("SELECT total(length(body)) AS stored FROM entry").get()!.stored as number;
  native.close();
  return { ids, used, stored };
}

/** Stands still for the upkeep; who waits for a lock, which a Worker may hold for a moment, waits for it as ever. */
class UpkeepClock extends ManualClock {
  override sleep(duration: number, options: SleepOptions = {}): Promise<void> {
    return options.background ? super.sleep(duration, options) : machine.clock.sleep(duration, options);
  }
}

/** A store of 200 answers, which a dictionary was made of. */
async function compressedStore(): Promise<{ directory: string; clock: ManualClock; store: Store }> {
  const directory = await temporaryFolder();
  const clock = new UpkeepClock();
  const store = await openStore(directory, { runtime: { ...machine, clock }, lockTimeout: 10_000 });
  await put(store, 0, 200);
  await quiet(clock, 80);
  return { directory, clock, store };
}

describe("recompression", () => {
  it("compresses with a dictionary once there are enough answers, and they read as before", async () => {
    const directory = await temporaryFolder();
    const clock = new UpkeepClock();
    const store = await openStore(directory, { runtime: { ...machine, clock }, lockTimeout: 10_000 });
    await put(store, 0, 199);
    await quiet(clock);
    assert.deepEqual(dictionariesIn(await databaseIn(directory)).ids, []);
    await put(store, 199, 400);
    const before = (await store.size()).storedBytes;
    await quiet(clock, 100);
    const { ids, used } = dictionariesIn(await databaseIn(directory));
    assert.equal(ids.length, 1);
    assert.deepEqual(used, ids);
    const { bodyBytes, storedBytes } = await store.size();
    assert.ok(storedBytes < before * 0.75, `${storedBytes} of ${before} bytes`);
    assert.ok(bodyBytes > storedBytes * 2);
    assert.deepEqual(await wrong(store, 400), []);
    await store.close();
    const reopened = await openStore(directory);
    assert.deepEqual(await wrong(reopened, 400), []);
    await reopened.close();
  });

  it("takes another dictionary when the work has changed, and drops the old one when no row needs it", async () => {
    const { directory, clock, store } = await compressedStore();
    const path = await databaseIn(directory);
    const [first] = dictionariesIn(path).ids;
    assert.ok(first);
    const other =
      "Grade, with reasons that have nothing to do with what was asked before, and a great deal of other words";
    await put(store, 200, 1000, other);
    await quiet(clock, 300);
    const { ids, used } = dictionariesIn(path);
    assert.equal(ids.length, 1);
    assert.notEqual(ids[0], first);
    assert.deepEqual(used, ids);
    assert.deepEqual(await wrong(store, 1000, (index) => answer(index, index < 200 ? undefined : other)), []);
    await store.close();
  });

  it("makes a row whose dictionary is gone, or another, a miss", async () => {
    const { directory, store } = await compressedStore();
    await store.close();
    const changes = [
      "DELETE FROM dictionary",
      "UPDATE dictionary SET content = zeroblob(length(content))",
      "UPDATE dictionary SET content = substr(content, 2)",
      "UPDATE dictionary SET content = x''",
      "UPDATE dictionary SET id = id + 1",
      "UPDATE entry SET dictionary = NULL",
      "UPDATE entry SET dictionary = dictionary + 1",
    ];
    for (const change of changes) {
      const copy = join(await temporaryFolder(), "copy");
      await cp(directory, copy, { recursive: true });
      const native = new DatabaseSync(await databaseIn(copy));
      native.exec(change);
      native.close();
      const broken = await openStore(copy);
      for (const index of [0, 100, 199]) {
        assert.deepEqual(
          await find(broken, `${index}`),
          { entries: [], stale: false, expired: false, corrupt: true },
          change,
        );
      }
      await broken.close();
    }
  });

  it("never serves a wrong answer when bits flip in a dictionary", async () => {
    const { directory, store } = await compressedStore();
    await store.close();
    const path = await databaseIn(directory);
    const native = new DatabaseSync(path, { readOnly: true });
    const content = native.prepare("SELECT content FROM dictionary").get()!.content as Uint8Array;
    native.close();
    const sound = await readFile(path);
    // Its first part lies with the row, or at the start of the first page of what overflows.
    const at = sound.indexOf(content.subarray(0, 100));
    assert.ok(at > 0);
    for (let round = 0; round < 40; round++) {
      const flipped = Buffer.from(sound);
      flipped[at + round * 97]! ^= 1 << (round % 8);
      await writeFile(path, flipped);
      const broken = await openStore(directory);
      for (const index of [0, 57, 199]) {
        const [entry] = (await find(broken, `${index}`)).entries;
        assert.ok(entry === undefined || decoder.decode(entry.bytes()) === answer(index));
      }
      await broken.close();
    }
  });

  it("loses no answer to numbers in meta that somebody has damaged", async () => {
    const { directory, clock, store } = await compressedStore();
    await store.close();
    const changes = [
      "DELETE FROM meta WHERE name = 'dictionary'",
      "UPDATE meta SET value = value + 1 WHERE name = 'dictionary'",
      "UPDATE meta SET value = 'x' WHERE name LIKE 'dictionary%'",
      "UPDATE meta SET value = -1 WHERE name = 'dictionary_walked'",
      "UPDATE meta SET value = 1e300 WHERE name = 'dictionary_walked'",
      "UPDATE meta SET value = 9e15 WHERE name = 'dictionary_tried'",
      // A walk whose number jumped ahead: its first rows need the old dictionary.
      "UPDATE meta SET value = 7 WHERE name = 'dictionary'; INSERT INTO dictionary VALUES (7, x'', x'', 0)",
    ];
    for (const change of changes) {
      const copy = join(await temporaryFolder(), "copy");
      await cp(directory, copy, { recursive: true });
      const native = new DatabaseSync(await databaseIn(copy));
      native.exec(change);
      native.close();
      const damaged = await openStore(copy, { runtime: { ...machine, clock }, lockTimeout: 10_000 });
      await put(damaged, 200, 201);
      await quiet(clock, 80);
      assert.deepEqual(await wrong(damaged, 201), [], change);
      await damaged.close();
    }
  });

  it("stores a dictionary again that somebody has removed while it was in use", async () => {
    const directory = await temporaryFolder();
    const clock = new UpkeepClock();
    const store = await openStore(directory, { runtime: { ...machine, clock }, locking: "shared" });
    await put(store, 0, 200);
    await quiet(clock, 80);
    const path = await databaseIn(directory);
    const native = new DatabaseSync(path);
    native.exec("DELETE FROM dictionary");
    native.close();
    await put(store, 200, 210);
    await quiet(clock, 50);
    await store.close();
    const reopened = await openStore(directory);
    assert.deepEqual(await wrong(reopened, 210), []);
    await reopened.close();
  });

  it("passes the answers that took the rowids of removed ones", async () => {
    const { directory, clock, store } = await compressedStore();
    await store.remove({ keys: Array.from({ length: 100 }, (_, index) => requestOf(`${100 + index}`).key) });
    await put(store, 100, 200);
    await quiet(clock, 80);
    const { ids, used } = dictionariesIn(await databaseIn(directory));
    assert.deepEqual(used, ids);
    assert.deepEqual(await wrong(store, 200), []);
    await store.close();
  });

  it("is shared by processes: what one has compressed the other reads", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const clock = new UpkeepClock();
    const stores = await Promise.all(
      [0, 1].map(() => openStore(directory, { runtime: { ...machine, clock }, lockTimeout: 10_000 })),
    );
    await put(stores[0]!, 0, 300);
    assert.deepEqual(await wrong(stores[1]!, 300), []);
    await quiet(clock, 100);
    assert.equal(dictionariesIn(await databaseIn(directory)).ids.length, 1);
    for (const store of stores) assert.deepEqual(await wrong(store, 300), []);
    for (const store of stores) await store.close();
  });
});
