/** Several processes and one directory: one owner, who is named; and nothing acknowledged is lost when it is killed. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Locking } from "../../../src/sqlite/open.ts";
import { requirePart, requireRangeLocks } from "../../support/parts.ts";
import { HERE, requireRuntime, type RuntimeName, RUNTIMES } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const WRITER = fileURLToPath(new URL("./writer.ts", import.meta.url));
const WITHOUT_FFI = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys"];

interface Writer {
  readonly child: ChildProcess;
  /** What it said it had stored, so far. */
  readonly stored: Set<number>;
  /** Resolves when it has said so of `index`. */
  reached(index: number): Promise<void>;
  kill(): Promise<void>;
}

function startWriter(
  [executable, ...args]: readonly [string, ...string[]],
  directory: string,
  count: number,
  locking: Locking = "exclusive",
): Writer {
  const child = spawn(executable, [...args, WRITER, directory, String(count), locking], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stored = new Set<number>();
  const waiting = new Map<number, () => void>();
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const index = Number(line.split(" ")[1]);
    stored.add(index);
    waiting.get(index)?.();
  });
  return {
    child,
    stored,
    reached: (index) =>
      new Promise((resolve, reject) => {
        child.on("exit", () => reject(new Error(`The writer ended before it had stored ${index}`)));
        if (stored.has(index)) resolve();
        else waiting.set(index, resolve);
      }),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}

const writers: [title: string, runtime: RuntimeName, permissions?: string[]][] = [
  [`on ${HERE}`, HERE],
  ["on deno without --allow-ffi", "deno", WITHOUT_FFI],
];
for (const [title, runtime, permissions] of writers) {
  describe(`a second process ${title}`, () => {
    it("keeps this one out, is named, and when killed loses nothing it had acknowledged", async (context) => {
      const command = requireRuntime(context, runtime, permissions);
      if (!command) return;
      const directory = await temporaryFolder();
      const writer = startWriter(command, directory, 2000);
      try {
        await writer.reached(0);
        for (const here of [machine, { ...machine, rangeLocks: undefined }]) {
          const store = await openStore(directory, { runtime: here });
          const held = new RegExp(`process ${writer.child.pid} \\(${runtime} .*\\) has held it since 2`);
          await assert.rejects(find(store, "0"), { name: "CacheError", code: "locked", message: held });
          const put = Promise.resolve(store.put(MODEL, requestOf("mine"), [entryOf("mine")], "append"));
          await assert.rejects(put, { name: "CacheError", code: "locked" });
          assert.equal((await store.size()).entries, 0);
          await store.close();
        }
        await writer.reached(200);
      } finally {
        await writer.kill();
      }
      const store = await openStore(directory);
      for (const index of writer.stored) {
        assert.deepEqual(await texts(store, String(index)), [`answer ${index} `.repeat(50)]);
      }
      await store.put(MODEL, requestOf("mine"), [entryOf("mine")], "append");
      assert.deepEqual(await texts(store, "mine"), ["mine"]);
      await store.close();
    });
  });
}

describe("processes that share a store", () => {
  it("all write and all see, on all runtimes, and who is killed loses nothing it had acknowledged", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const count = 300;
    const writers: Writer[] = [];
    const store = await openStore(directory, { locking: "shared", lockTimeout: 60_000 });
    try {
      for (const runtime of RUNTIMES) {
        const command = requireRuntime(context, runtime);
        if (command) writers.push(startWriter(command, directory, count, "shared"));
      }
      const here = Array.from({ length: count }, async (_, index) => {
        await store.put(MODEL, requestOf(`here ${index}`), [entryOf(`${index}`)], "append");
        assert.deepEqual(await texts(store, `here ${index}`), [`${index}`]);
      });
      const [killed, ...others] = writers as [Writer, ...Writer[]];
      await killed.reached(100);
      await killed.kill();
      await Promise.all([...here, ...others.map((writer) => writer.reached(count - 1))]);
      for (let index = 0; index < count; index++) {
        const acknowledged = writers.filter(({ stored }) => stored.has(index)).length;
        const found = await texts(store, String(index), 9);
        // The one that was killed may have committed what it could not acknowledge any more.
        assert.ok(found.length >= acknowledged && found.length <= writers.length, `${index}: ${found.length}`);
        assert.deepEqual(new Set(found), new Set([`answer ${index} `.repeat(50)]));
      }
    } finally {
      await Promise.all(writers.map((writer) => writer.kill()));
    }
    await store.close();
    const alone = await openStore(directory);
    assert.equal((await find(alone, "here 0")).entries.length, 1);
    await alone.close();
  });
});

describe("the sqlite3 shell", () => {
  it("is kept out while a process with --allow-ffi has the store open", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    if (!requirePart(context, "sqlite3")) return;
    const directory = await temporaryFolder();
    const store = await openStore(directory, { locking: "exclusive" });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const path = await databaseIn(directory);
    const shell = (): string =>
      execFileSync("sqlite3", [path, "SELECT count(*) FROM entry"], { encoding: "utf8", stdio: "pipe" }).trim();
    assert.throws(shell, /database is locked/);
    await store.close();
    assert.equal(shell(), "1");
  });
});

describe("the sqlite3 shell without --allow-ffi here", () => {
  it("may look, and takes nothing of what is acknowledged afterwards with it", async (context) => {
    if (!requirePart(context, "sqlite3")) return;
    const directory = await temporaryFolder();
    const store = await openStore(directory, { runtime: { ...machine, rangeLocks: undefined } });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const path = await databaseIn(directory);
    assert.equal(execFileSync("sqlite3", [path, "SELECT count(*) FROM entry"], { encoding: "utf8" }).trim(), "1");
    await store.put(MODEL, requestOf("b"), [entryOf("b")], "append");
    await store.put(MODEL, requestOf("c"), [entryOf("c")], "append");
    // What a crash would leave.
    const left = await temporaryFolder();
    for (const name of await readdir(directory)) await copyFile(join(directory, name), join(left, name));
    await store.close();
    for (const place of [left, directory]) {
      const again = await openStore(place);
      for (const word of ["a", "b", "c"]) assert.deepEqual(await texts(again, word), [word]);
      await again.close();
    }
  });
});

describe("lockTimeout", () => {
  it("is how long a database that somebody holds is waited for, once", async () => {
    const directory = await temporaryFolder();
    const owner = await openStore(directory, { locking: "exclusive" });
    await owner.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    let slept = 0;
    const clock = { ...machine.clock, sleep: (duration: number) => Promise.resolve(void (slept += duration)) };
    const store = await openStore(directory, { runtime: { ...machine, clock }, lockTimeout: 300 });
    await assert.rejects(find(store, "a"), { code: "locked" });
    assert.equal(slept, 300);
    await assert.rejects(find(store, "a"), { code: "locked" });
    assert.equal(slept, 300);
    await owner.close();
    assert.deepEqual(await texts(store, "a"), ["a"]);
    await store.close();
  });

  it("a database that is let go in time is opened", async () => {
    const directory = await temporaryFolder();
    const owner = await openStore(directory, { locking: "exclusive" });
    await owner.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const clock = { ...machine.clock, sleep: () => Promise.resolve(owner.close()) };
    const store = await openStore(directory, { runtime: { ...machine, clock }, lockTimeout: 300 });
    assert.deepEqual(await texts(store, "a"), ["a"]);
    await store.close();
  });
});
