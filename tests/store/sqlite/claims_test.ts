/** Claims in a file: who shares it sees them, dead or alive; what they cost; and when they cannot be had. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { HERE, requireRuntime } from "../../support/runtimes.ts";
import { makeReadOnly, onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import {
  at,
  commitsIn,
  databaseIn,
  entryOf,
  keyOf,
  machine,
  MODEL,
  openStore,
  quiet,
  requestOf,
  texts,
} from "./fixture.ts";

const CLAIMER = fileURLToPath(new URL("./claimer.ts", import.meta.url));

const claim = async (store: Store, word: string, holder: string, duration = 60_000): Promise<boolean> =>
  (await store.claims!.claim(MODEL, keyOf(word), holder, duration)).granted;

function rowsIn(path: string): unknown[] {
  const native = new DatabaseSync(path, { readOnly: true });
  const rows = native.prepare("SELECT holder FROM claim ORDER BY holder").all().map(({ holder }) => holder);
  native.close();
  return rows;
}

describe("claims", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("are absent where the databases are asked for alone", async () => {
    const store = await openStore(join(folder, "alone"), { locking: "exclusive" });
    assert.equal(store.claims, undefined);
    await store.close();
  });

  it("are all granted, and not written, where a database turns out to be ours alone", async () => {
    const directory = join(folder, "turned out");
    const store = await openStore(directory, { runtime: { ...machine, rangeLocks: undefined } });
    for (const holder of ["one", "two"]) assert.equal(await claim(store, "a", holder), true);
    // Once it is known, nobody has to wait for the answer.
    assert.deepEqual(store.claims!.claim(MODEL, keyOf("a"), "three", 1000), { granted: true });
    await store.claims!.release(MODEL, keyOf("a"), "one");
    await store.close();
    assert.deepEqual(rowsIn(await databaseIn(directory)), []);
  });

  it("are found by whoever takes over databases that are handed over", async () => {
    const directory = join(folder, "handed over");
    const runtime = { ...machine, rangeLocks: undefined };
    const before = await openStore(directory, { runtime, locking: "exclusive", handsOver: true });
    assert.equal(await claim(before, "a", "one"), true);
    assert.equal(await claim(before, "b", "one"), true);
    await before.claims!.release(MODEL, keyOf("b"), "one");
    await before.close();
    const after = await openStore(directory, { runtime, locking: "exclusive", handsOver: true });
    assert.equal(await claim(after, "a", "two"), false);
    assert.equal(await claim(after, "a", "one"), true, "who has it renews it");
    assert.equal(await claim(after, "b", "two"), true);
    await after.close();
  });

  it("are seen by whoever shares the database", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "shared");
    const [one, two] = [await openStore(directory), await openStore(directory)];
    assert.equal(await claim(one, "a", "one"), true);
    assert.equal(await claim(two, "a", "two"), false);
    await one.claims!.release(MODEL, keyOf("a"), "one");
    assert.equal(await claim(two, "a", "two"), true);
    await one.close();
    assert.equal(await claim(two, "a", "one"), false);
    await two.close();
  });

  it("of two processes that race go to one each", async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command || !requireRangeLocks(context, machine)) return;
    const directory = join(folder, "racing");
    const granted = await Promise.all(["one", "two"].map(async (holder) => {
      const [executable, ...args] = command;
      const child = spawn(executable, [...args, CLAIMER, directory, holder, "300"], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const words: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === "done") break;
        words.push(line);
      }
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      return words;
    }));
    const all = granted.flat();
    assert.equal(all.length, 300);
    assert.equal(new Set(all).size, 300);
    // What the dead have claimed keeps nobody waiting for longer than it was claimed for.
    let now = Date.now();
    const store = await openStore(directory, { runtime: at(() => now) });
    assert.equal(await claim(store, "0", "three"), false);
    now += 60_000;
    assert.equal(await claim(store, "0", "three"), true);
    await store.close();
  });

  it("and puts of one turn of the event loop share a transaction", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "together");
    const clock = new ManualClock();
    const store = await openStore(directory, { runtime: { ...machine, clock } });
    await claim(store, "first", "one");
    const path = await databaseIn(directory);
    const commits = await commitsIn(path);
    const words = Array.from({ length: 200 }, (_, index) => `${index}`);
    const replies = await Promise.all(words.flatMap((word, index) => [
      claim(store, word, "one"),
      index % 10 === 0 ? store.put(MODEL, requestOf(word), [entryOf(word)], "append") : undefined,
      claim(store, word, "two"),
    ]));
    assert.equal(await commitsIn(path) - commits, 1);
    assert.deepEqual(replies.filter((reply) => reply !== undefined), words.flatMap(() => [true, false]));
    await store.close();
  });

  it("do not fail with a put beside them", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const store = await openStore(join(folder, "neighbours"));
    const broken = entryOf("b", { mediaType: null as unknown as string });
    const results = await Promise.allSettled([
      claim(store, "a", "one"),
      store.put(MODEL, requestOf("b"), [broken], "append"),
      claim(store, "b", "one"),
      claim(store, "a", "two"),
    ]);
    assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    assert.deepEqual(results.map((result) => (result as { value?: unknown }).value), [true, undefined, true, false]);
    await store.close();
  });

  it("fail with `locked` while somebody has the database locked, and can still be given up", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "locked");
    const store = await openStore(directory);
    await claim(store, "a", "one");
    const native = new DatabaseSync(await databaseIn(directory));
    native.exec("BEGIN IMMEDIATE");
    await assert.rejects(claim(store, "b", "one"), {
      code: "locked",
      message: /^Cannot claim a request in .*\.sqlite: /,
    });
    await store.claims!.release(MODEL, keyOf("a"), "one");
    native.exec("ROLLBACK");
    native.close();
    assert.equal(await claim(store, "a", "two"), false, "it was not given up, and ends by itself");
    await store.close();
  });

  it("fail with `unavailable` on a full disk and on one that may only be read", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    await onSmallDisk(context, join(folder, "small"), async (directory) => {
      const filler = await openStore(directory);
      await claim(filler, "a", "one");
      const body = crypto.getRandomValues(new Uint8Array(20_000));
      const fill = async (): Promise<void> => {
        for (let index = 0;; index++) await filler.put(MODEL, requestOf(`${index}`), [entryOf(body)], "append");
      };
      await assert.rejects(fill(), { code: "unavailable" });
      const many = async (): Promise<void> => {
        for (let index = 0; index < 1000; index++) await claim(filler, `${index}`, "x".repeat(1000));
      };
      await assert.rejects(many(), { name: "CacheError", code: "unavailable" });
      await filler.claims!.release(MODEL, keyOf("a"), "one");
      await filler.close();
      makeReadOnly(directory);
      const store = await openStore(directory);
      await assert.rejects(claim(store, "a", "one"), { name: "CacheError", code: "unavailable" });
      await store.claims!.release(MODEL, keyOf("a"), "one");
      await store.close();
    });
  });

  it("given up where there is no database make none", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "cleared");
    const store = await openStore(directory);
    await claim(store, "a", "one");
    await rm(directory, { recursive: true });
    await store.claims!.release(MODEL, keyOf("a"), "one");
    await assert.rejects(readdir(directory), { code: "ENOENT" });
    assert.equal(await claim(store, "a", "two"), true);
    await store.close();
  });

  it("of the dead are removed in a quiet moment, once they are over; of the living they are not", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "leftovers");
    const clock = new ManualClock();
    const runtime = { ...machine, clock };
    const dead = await openStore(directory, { runtime });
    for (let index = 0; index < 1200; index++) await claim(dead, `${index}`, `dead ${index % 2}`, 1000);
    for (const word of ["x", "y"]) await claim(dead, word, "living", 3_600_000);
    await cp(directory, join(folder, "left"), { recursive: true });
    await dead.close();
    clock.advance(1000);
    const store = await openStore(join(folder, "left"), { runtime });
    assert.deepEqual(await texts(store, "a"), []);
    await quiet(clock);
    assert.deepEqual(rowsIn(await databaseIn(join(folder, "left"))), ["living", "living"]);
    await store.close();
  });

  it("that somebody has damaged bind nobody", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = join(folder, "damaged");
    const store = await openStore(directory);
    const native = new DatabaseSync(join(directory, await nameOf(store, directory)));
    for (const expires of ["'soon'", "x'00'", "1e300", "-1"]) {
      await claim(store, "a", "one");
      native.exec(`UPDATE claim SET expires = ${expires}`);
      assert.equal(await claim(store, "a", "two"), true, expires);
    }
    native.close();
    await store.close();
  });
});

/** The name of the database that a claim makes. */
async function nameOf(store: Store, directory: string): Promise<string> {
  await claim(store, "first", "one");
  const path = await databaseIn(directory);
  return path.slice(directory.length + 1);
}
