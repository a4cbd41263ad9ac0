/** The daily ledger in files: when amounts are written, that none is lost or counted twice, and what is left out. */

import assert from "node:assert/strict";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import { databaseIn, entryOf, find, machine, MODEL, openStore, quiet, requestOf } from "./fixture.ts";

const DAY = "2026-11-22";

const add = (store: Store, hits: number, model = MODEL, day = DAY): void =>
  store.ledger!.add({ model, day, amounts: { hits } });
const put = async (store: Store, model = MODEL): Promise<void> =>
  await store.put(model, requestOf("a"), [entryOf("a")], "replace");

/** All hits, over all days. */
async function hitsIn(store: Store): Promise<Record<string, number>> {
  const hits: Record<string, number> = {};
  for (const { model, amounts } of await store.ledger!.read()) hits[model] = (hits[model] ?? 0) + (amounts.hits ?? 0);
  return hits;
}

function rowsIn(path: string): unknown[] {
  const native = new DatabaseSync(path, { readOnly: true });
  const rows = native.prepare("SELECT day, name, amount FROM daily ORDER BY day, name").all();
  native.close();
  return rows.map(({ day, name, amount }) => [day, name, amount]);
}

describe("the ledger", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("creates no file, and loses what has nowhere to be written", async () => {
    const directory = join(folder, "nothing");
    const store = await openStore(directory);
    add(store, 1);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 1 });
    await store.close();
    await assert.rejects(readdir(directory), { code: "ENOENT" });
  });

  it("is written on closing, with what waited for its database", async () => {
    const directory = join(folder, "closed");
    for (let time = 1; time <= 3; time++) {
      const store = await openStore(directory);
      add(store, 0.5);
      await put(store);
      add(store, 2);
      assert.deepEqual(await hitsIn(store), { [MODEL]: time * 2.5 });
      await store.close();
      assert.deepEqual(rowsIn(await databaseIn(directory)), [[DAY, "hits", time * 2.5]]);
    }
  });

  it("is written in a quiet moment", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "quiet");
    const clock = new ManualClock();
    const store = await openStore(directory, { runtime: { ...machine, clock } });
    await put(store);
    await quiet(clock);
    add(store, 3);
    const path = await databaseIn(directory);
    assert.deepEqual(rowsIn(path), []);
    await quiet(clock);
    assert.deepEqual(rowsIn(path), [[DAY, "hits", 3]]);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 3 });
    await store.close();
    assert.deepEqual(rowsIn(path), [[DAY, "hits", 3]]);
  });

  it("is written on closing for models whose database was closed to make room, or never opened", async () => {
    const directory = join(folder, "many");
    const models = ["one", "two", "three", "four"];
    const first = await openStore(directory);
    for (const model of models) await put(first, model);
    await first.close();
    const store = await openStore(directory, { maxOpenDatabases: 2, lockTimeout: 10_000 });
    for (const model of models.slice(0, 3)) await find(store, "a", 1, model);
    for (const [index, model] of [...models, "without database"].entries()) add(store, index + 1, model);
    assert.deepEqual(await hitsIn(store), { one: 1, two: 2, three: 3, four: 4, "without database": 5 });
    await store.close();
    const again = await openStore(directory);
    assert.deepEqual(await hitsIn(again), { one: 1, two: 2, three: 3, four: 4 });
    await again.close();
  });

  it("loses nothing that two add at once", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "two");
    const clocks = [new ManualClock(), new ManualClock()];
    const stores = await Promise.all(clocks.map((clock) => openStore(directory, { runtime: { ...machine, clock } })));
    for (const store of stores) await put(store);
    for (let round = 0; round < 10; round++) {
      for (const store of stores) add(store, 1, MODEL, `2026-11-${10 + round % 3}`);
      await Promise.all(clocks.map((clock) => quiet(clock, 5)));
    }
    for (const store of stores) assert.deepEqual(await hitsIn(store), { [MODEL]: 20 });
    for (const store of stores) await store.close();
    const store = await openStore(directory);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 20 });
    await store.close();
  });

  it("is read without changing a file, and what cannot be read is left out", async () => {
    const directory = join(folder, "read");
    const store = await openStore(directory, { locking: "exclusive" });
    for (const model of ["held", "free"]) {
      await put(store, model);
      add(store, 1, model);
    }
    await store.close();
    const snapshot = async (): Promise<unknown> =>
      await Promise.all((await readdir(directory)).map(async (name) => [name, await readFile(join(directory, name))]));
    const reader = await openStore(directory);
    const before = await snapshot();
    assert.deepEqual(await hitsIn(reader), { free: 1, held: 1 });
    assert.deepEqual(await snapshot(), before);
    const owner = await openStore(directory, { locking: "exclusive" });
    await find(owner, "a", 1, "held");
    assert.deepEqual(await hitsIn(reader), { free: 1 });
    assert.deepEqual(await hitsIn(owner), { free: 1, held: 1 });
    await owner.close();
    await reader.close();
  });

  it("counts nothing twice and misses nothing that is written while it is read in slices", async () => {
    const directory = join(folder, "slices");
    const clock = new ManualClock();
    let turns = 0;
    let onTurn = (): void => {};
    const afterTurn = (run: () => void): void => {
      turns++;
      onTurn();
      machine.clock.afterTurn(run);
    };
    const store = await openStore(directory, { runtime: { ...machine, clock: Object.assign(clock, { afterTurn }) } });
    await put(store);
    const amounts = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`n${index}`, 1]));
    store.ledger!.add({ model: MODEL, day: DAY, amounts });
    await quiet(clock);
    store.ledger!.add({ model: MODEL, day: DAY, amounts });
    turns = 0;
    onTurn = () => {
      if (turns === 1) { for (let slice = 0; slice < 200; slice++) clock.advance(500); }
    };
    const [sums] = await store.ledger!.read();
    assert.ok(turns >= 2);
    assert.deepEqual(sums!.amounts, Object.fromEntries(Object.keys(amounts).map((name) => [name, 2])));
    await store.close();
  });

  it("leaves out what somebody has damaged, and goes on from there", async () => {
    const directory = join(folder, "damaged");
    let store = await openStore(directory);
    await put(store);
    store.ledger!.add({ model: MODEL, day: DAY, amounts: { hits: 1, misses: 2, dollars: 3, tokens: 4 } });
    await store.close();
    const path = await databaseIn(directory);
    const native = new DatabaseSync(path);
    native.exec(
      "UPDATE daily SET amount = 'many' WHERE name = 'hits'; UPDATE daily SET amount = x'ff' WHERE name = 'misses';" +
        "UPDATE daily SET amount = 9e999 WHERE name = 'dollars'",
    );
    native.close();
    store = await openStore(directory);
    assert.deepEqual([...await store.ledger!.read()], [{ model: MODEL, day: DAY, amounts: { tokens: 4 } }]);
    add(store, 5);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 5 });
    await store.close();
    store = await openStore(directory);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 5 });
    await store.close();
  });

  it("keeps what could not be written, and writes it later", async () => {
    const directory = join(folder, "failing");
    const clock = new ManualClock();
    let fails = false;
    const open: Runtime["files"]["open"] = (path, mode) => {
      const file = machine.files.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write(source: Uint8Array, position: number) {
          if (fails && path.endsWith("-wal")) throw new FileError("Cannot write: the disk is full", "ENOSPC");
          write(source, position);
        },
      });
    };
    const store = await openStore(directory, { runtime: { ...machine, clock, files: { ...machine.files, open } } });
    await put(store);
    add(store, 1);
    fails = true;
    await quiet(clock);
    assert.deepEqual(await hitsIn(store), { [MODEL]: 1 });
    fails = false;
    add(store, 1);
    await store.close();
    assert.deepEqual(rowsIn(await databaseIn(directory)), [[DAY, "hits", 2]]);
  });

  it("forgets rather than grow without end", async () => {
    const store = await openStore(join(folder, "bounded"));
    for (let index = 0; index < 20_000; index++) add(store, 1, `model ${index}`);
    add(store, 1, "model 0");
    const sums = await store.ledger!.read();
    assert.equal(sums.length, 16_384);
    assert.equal(sums.find(({ model }) => model === "model 0")!.amounts.hits, 2);
    await store.close();
  });

  it("goes with the directory", async () => {
    const directory = join(folder, "gone");
    const store = await openStore(directory);
    await put(store);
    add(store, 1);
    await store.close();
    await rm(directory, { recursive: true });
    const again = await openStore(directory);
    assert.deepEqual(await hitsIn(again), {});
    await again.close();
  });
});
