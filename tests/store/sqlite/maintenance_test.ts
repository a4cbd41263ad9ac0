/** What waits for a quiet moment: access counts and the log. A hit writes nothing. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cp, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { Runtime, SleepOptions } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Gate } from "../../support/gate.ts";
import { gate } from "../../support/gate.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import { databaseIn, entryOf, find, keyOf, machine, MODEL, NOW, openStore, quiet, requestOf } from "./fixture.ts";

/** The machine, asleep until its gates are opened one after the other. */
function sleeper(): { runtime: Runtime; gates: Gate[] } {
  const gates = [gate()];
  const sleep = async (_duration: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> => {
    const current = gates.at(-1)!;
    const aborted = new Promise<never>((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
    await Promise.race([current.pass(), aborted]);
  };
  return { runtime: { ...machine, clock: { ...machine.clock, now: () => NOW, sleep } }, gates };
}

function accessesIn(path: string): unknown[] {
  const native = new DatabaseSync(path, { readOnly: true });
  const rows = native.prepare("SELECT key, count, last FROM access ORDER BY count").all();
  native.close();
  return rows.map(({ key, count, last }) => [Uint8Array.from(key as Uint8Array), count, last]);
}

describe("access counts", () => {
  it("are kept in memory by a hit, and written when the store is closed", async () => {
    const directory = await temporaryFolder();
    const { runtime } = sleeper();
    let store = await openStore(directory, { runtime });
    for (const word of ["a", "b"]) await store.put(MODEL, requestOf(word), [entryOf(word)], "append");
    const path = await databaseIn(directory);
    const log = await readFile(`${path}-wal`);
    for (const word of ["a", "b", "b", "nowhere"]) await find(store, word);
    assert.deepEqual(await readFile(`${path}-wal`), log);
    await store.close();
    assert.deepEqual(accessesIn(path), [[keyOf("a"), 1, NOW], [keyOf("b"), 2, NOW]]);
    store = await openStore(directory, { runtime });
    await find(store, "b");
    await store.close();
    assert.deepEqual(accessesIn(path), [[keyOf("a"), 1, NOW], [keyOf("b"), 3, NOW]]);
  });

  it("are not of what is only looked at", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory, { runtime: sleeper().runtime });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const [found] = await store.lookup(MODEL, [{ key: keyOf("a"), samples: 1, peek: true }]);
    assert.equal(found!.entries.length, 1);
    const path = await databaseIn(directory);
    await store.close();
    assert.deepEqual(accessesIn(path), []);
  });

  it("are written in a quiet moment", async () => {
    const directory = await temporaryFolder();
    const { runtime, gates } = sleeper();
    const store = await openStore(directory, { runtime });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    await find(store, "a");
    const path = await databaseIn(directory);
    const { size } = await stat(`${path}-wal`);
    await gates[0]!.reached;
    gates[0]!.open();
    await new Promise((resolve) => setTimeout(resolve));
    assert.ok((await stat(`${path}-wal`)).size > size);
    await store.close();
  });

  it("are written some at a time, so that no other caller waits long", async () => {
    const directory = await temporaryFolder();
    const { runtime, gates } = sleeper();
    const store = await openStore(directory, { locking: "exclusive", runtime });
    const words = Array.from({ length: 3000 }, (_, index) => `${index}`);
    for (const word of words) await store.put(MODEL, requestOf(word), [entryOf(word)], "append");
    await store.lookup(MODEL, words.map((word) => ({ key: keyOf(word), samples: 1 })));
    const written = async (): Promise<number> => {
      // What a crash would leave.
      const left = await temporaryFolder();
      await cp(directory, left, { recursive: true });
      return accessesIn(await databaseIn(left)).length;
    };
    assert.equal(await written(), 0);
    // The first moment was not quiet, the second is.
    for (const _moment of ["busy", "quiet"]) {
      const [current, next] = [gates.at(-1)!, gate()];
      await current.reached;
      gates.push(next);
      current.open();
      await next.reached;
    }
    const some = await written();
    assert.ok(some > 0 && some < words.length, `${some}`);
    await store.close();
    assert.equal(accessesIn(await databaseIn(directory)).length, words.length);
  });
});

describe("the log", () => {
  it("is moved into the database in a quiet moment, once it is long", async () => {
    const directory = await temporaryFolder();
    const { runtime, gates } = sleeper();
    const store = await openStore(directory, { locking: "exclusive", runtime });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const path = await databaseIn(directory);
    const { size } = await stat(path);
    await store.put(MODEL, requestOf("b"), [entryOf(new Uint8Array(randomBytes(5_000_000)))], "append");
    assert.equal((await stat(path)).size, size);
    await gates[0]!.reached;
    gates[0]!.open();
    await new Promise((resolve) => setTimeout(resolve));
    assert.ok((await stat(path)).size > 5_000_000);
    assert.equal((await find(store, "b")).entries.length, 1);
    await store.close();
  });

  it("of one database that cannot be shortened keeps no other from it", async () => {
    const directory = await temporaryFolder();
    const { runtime, gates } = sleeper();
    let broken = "";
    const open: Runtime["files"]["open"] = (path, mode) => {
      const file = runtime.files.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write(source: Uint8Array, position: number) {
          if (path === broken) throw new FileError("Cannot write: the disk failed", "EIO");
          write(source, position);
        },
      });
    };
    const store = await openStore(directory, {
      locking: "exclusive",
      runtime: { ...runtime, files: { ...runtime.files, open } },
    });
    const body = new Uint8Array(randomBytes(4_500_000));
    const models = ["good", "bad", "fine"];
    for (const model of models) await store.put(model, requestOf("a"), [entryOf(body)], "append");
    const paths = (await readdir(directory)).filter((name) => name.endsWith(".sqlite")).map((name) =>
      join(directory, name)
    );
    const [bad, ...others] = paths as [string, ...string[]];
    broken = bad;
    await gates[0]!.reached;
    gates[0]!.open();
    await new Promise((resolve) => setTimeout(resolve));
    assert.ok((await stat(bad)).size < 4_500_000);
    for (const path of others) assert.ok((await stat(path)).size > 4_500_000);
    broken = "";
    for (const model of models) assert.equal((await find(store, "a", 1, model)).entries.length, 1);
    await store.close();
  });

  it("that killed owners left behind counts, so that it does not grow for ever", async () => {
    const folder = await temporaryFolder();
    let directory = join(folder, "0");
    for (let owner = 1; owner <= 4; owner++) {
      const { runtime, gates } = sleeper();
      const store = await openStore(directory, { locking: "exclusive", runtime });
      await store.put(MODEL, requestOf(`${owner}`), [entryOf(new Uint8Array(randomBytes(1_500_000)))], "append");
      if (owner === 4) {
        await gates[0]!.reached;
        gates[0]!.open();
        await new Promise((resolve) => setTimeout(resolve));
        assert.ok((await stat(await databaseIn(directory))).size > 6_000_000);
      }
      // What a crash would leave.
      directory = join(folder, `${owner}`);
      await cp(join(folder, `${owner - 1}`), directory, { recursive: true });
      await store.close();
    }
  });
});

describe("upkeep", () => {
  const WORDS = Array.from({ length: 5000 }, (_, index) => `${index}`);

  /** A store with 5000 hits to be written, which takes three slices, and what its upkeep slept. */
  async function busyStore() {
    const directory = await temporaryFolder();
    const clock = new ManualClock();
    const sleeps: { duration: number; background: boolean | undefined }[] = [];
    const sleep = (duration: number, options: SleepOptions = {}): Promise<void> => {
      sleeps.push({ duration, background: options.background });
      return ManualClock.prototype.sleep.call(clock, duration, options);
    };
    const store = await openStore(directory, { runtime: { ...machine, clock: Object.assign(clock, { sleep }) } });
    await Promise.all(WORDS.map((word) => store.put(MODEL, requestOf(word), [entryOf(word)], "append")));
    await quiet(clock);
    const path = await databaseIn(directory);
    const use = async (words = WORDS): Promise<void> => {
      await store.lookup(MODEL, words.map((word) => ({ key: keyOf(word), samples: 1 })));
    };
    await use();
    sleeps.length = 0;
    return { store, clock, path, sleeps, use };
  }
  const pass = async (clock: ManualClock, duration: number): Promise<void> => {
    clock.advance(duration);
    await new Promise((resolve) => setTimeout(resolve));
  };

  it("stops as soon as somebody uses the store, and goes on when it is quiet again", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const { store, clock, path, use } = await busyStore();
    await pass(clock, 500);
    const written = accessesIn(path).length;
    assert.ok(written > 0 && written < WORDS.length, `${written}`);
    await use(["0"]);
    for (let time = 0; time < 100; time++) await pass(clock, 4);
    assert.equal(accessesIn(path).length, written);
    await quiet(clock);
    assert.equal(accessesIn(path).length, WORDS.length);
    await store.close();
  });

  it("goes on some of the time where it is never quiet", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const { store, clock, path, use } = await busyStore();
    for (let moment = 0; moment < 19; moment++) {
      await use(["0"]);
      await pass(clock, 500);
    }
    assert.equal(accessesIn(path).length, 0);
    for (let time = 0; time < 200; time++) {
      await use(["0"]);
      await pass(clock, 4);
    }
    assert.equal(accessesIn(path).length, WORDS.length);
    await store.close();
  });

  it("keeps no process alive", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const { store, clock, sleeps } = await busyStore();
    await quiet(clock);
    assert.ok(sleeps.length > 0);
    assert.deepEqual(sleeps.filter(({ background }) => !background), []);
    await store.close();
  });

  it("that somebody else keeps from writing waits for the next quiet moment", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const { store, clock, path, sleeps } = await busyStore();
    const native = new DatabaseSync(path);
    native.exec("BEGIN IMMEDIATE");
    for (let time = 0; time < 500; time++) await pass(clock, 4);
    const pauses = sleeps.filter(({ duration }) => duration < 500).length;
    assert.ok(pauses <= sleeps.length / 2 + 1, `${pauses} of ${sleeps.length}`);
    assert.ok(sleeps.length < 20, `${sleeps.length}`);
    native.exec("ROLLBACK");
    native.close();
    await quiet(clock);
    assert.equal(accessesIn(path).length, WORDS.length);
    await store.close();
  });
});
