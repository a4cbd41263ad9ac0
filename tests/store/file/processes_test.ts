/** Several processes and one directory: nobody's answer is lost, not even where some are killed, and nobody waits long. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { lockFolder } from "../../../src/store/file/folder_lock.ts";
import { HERE, requireRuntime, RUNTIMES } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, folderIn, machine, MODEL, openFiles, requestOf, texts } from "./fixture.ts";

const WRITER = fileURLToPath(new URL("./writer.ts", import.meta.url));
/** Processes take longer to start than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };

interface Writer {
  readonly name: string;
  readonly child: ChildProcess;
  /** How many it said it had stored, so far. */
  readonly stored: () => number;
  /** Resolves when it has said so of `count`. */
  reached(count: number): Promise<void>;
  kill(): Promise<void>;
}

function startWriter(
  [executable, ...args]: readonly [string, ...string[]],
  directory: string,
  name: string,
  count: number,
  locks: "ranges" | "whole" = "ranges",
): Writer {
  const child = spawn(executable, [...args, WRITER, directory, name, String(count), locks], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let stored = 0;
  const waiting: { count: number; resolve: () => void }[] = [];
  createInterface({ input: child.stdout! }).on("line", () => {
    stored++;
    for (const { count, resolve } of waiting) if (stored >= count) resolve();
  });
  return {
    name,
    child,
    stored: () => stored,
    reached: (count) =>
      new Promise((resolve, reject) => {
        child.on("exit", () => reject(new Error(`Writer ${name} ended before it had stored ${count}`)));
        waiting.push({ count, resolve });
        if (stored >= count) resolve();
      }),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/** All that some writers said they had stored is there, the shared answers in the order in which each put its own. */
async function assertNothingLost(directory: string, writers: readonly Writer[]): Promise<void> {
  const store = await openFiles(directory);
  const shared = await texts(store, "shared", 100_000);
  for (const { name, stored } of writers) {
    const count = stored();
    for (let index = 0; index < count; index++) {
      assert.deepEqual(await texts(store, `${name} ${index}`), [`answer ${index} `.repeat(50)]);
    }
    const mine = shared.filter((text) => text.startsWith(`${name} `));
    // The one that was killed may have stored what it could not say any more.
    assert.ok(mine.length === count || mine.length === count + 1, `${name}: ${mine.length} of ${count}`);
    assert.deepEqual(mine, mine.map((_, index) => `${name} ${index}`));
  }
  await store.close();
}

describe("processes that write to one request", () => {
  it("on all runtimes lose nothing", PATIENT, async (context) => {
    const directory = await temporaryFolder();
    const writers: Writer[] = [];
    try {
      for (const runtime of RUNTIMES) {
        const command = requireRuntime(context, runtime);
        if (command) writers.push(startWriter(command, directory, runtime, 60));
      }
      await Promise.all(writers.map((writer) => writer.reached(60)));
    } finally {
      await Promise.all(writers.map((writer) => writer.kill()));
    }
    await assertNothingLost(directory, writers);
  });

  it("see each other's locks, whichever way they lock", PATIENT, async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command) return;
    const directory = await temporaryFolder();
    const writers = (["ranges", "whole"] as const).map((locks) => startWriter(command, directory, locks, 60, locks));
    try {
      await Promise.all(writers.map((writer) => writer.reached(60)));
    } finally {
      await Promise.all(writers.map((writer) => writer.kill()));
    }
    await assertNothingLost(directory, writers);
  });

  it("and are killed at any moment have lost nothing they had acknowledged", PATIENT, async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command) return;
    const directory = await temporaryFolder();
    const writers: Writer[] = [];
    for (let round = 0; round < 4; round++) {
      const pair = ["a", "b"].map((name) => startWriter(command, directory, `${name}${round}`, 100_000));
      writers.push(...pair);
      try {
        await Promise.all(pair.map((writer) => writer.reached(10 + 7 * round)));
      } finally {
        await Promise.all(pair.map((writer) => writer.kill()));
      }
    }
    await assertNothingLost(directory, writers);
  });
});

describe("a folder's lock", () => {
  for (const [title, rangeLocks] of [["", machine.rangeLocks], [" as a whole file", undefined]] as const) {
    const runtime = { ...machine, rangeLocks };

    it(`held${title} makes others wait for lockTimeout, then names who has it`, async () => {
      const directory = await temporaryFolder();
      const lock = await lockFolder(runtime, folderIn(directory), 0);
      let slept = 0;
      const clock = { ...machine.clock, sleep: (duration: number) => Promise.resolve(void (slept += duration)) };
      const store = await openFiles(directory, { runtime: { ...runtime, clock }, lockTimeout: 300 });
      await assert.rejects(store.put(MODEL, requestOf("a"), [entryOf("a")], "append") as Promise<void>, {
        name: "CacheError",
        code: "locked",
        message:
          `Cannot write to ${folderIn(directory)}: another store of this process has kept it locked for 300 ms; ` +
          "wait for it or end it, raise lockTimeout, or use another directory",
      });
      assert.equal(slept, 300);
      assert.deepEqual(await texts(store, "a"), []);
      lock.release();
      await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
      assert.deepEqual(await texts(store, "a"), ["a"]);
      await store.close();
    });

    it(`let go${title} in time is taken`, async () => {
      const directory = await temporaryFolder();
      const lock = await lockFolder(runtime, folderIn(directory), 0);
      const clock = { ...machine.clock, sleep: () => Promise.resolve(lock.release()) };
      const store = await openFiles(directory, { runtime: { ...runtime, clock } });
      await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
      assert.deepEqual(await texts(store, "a"), ["a"]);
      await store.close();
    });
  }

  it("held by another process is said to be, and is free when that is killed", PATIENT, async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command) return;
    const directory = await temporaryFolder();
    const writer = startWriter(command, directory, "a", 100_000);
    const store = await openFiles(directory, { lockTimeout: 60_000 });
    try {
      await writer.reached(1);
      await store.put(MODEL, requestOf("mine"), [entryOf("mine")], "append");
    } finally {
      await writer.kill();
    }
    await store.put(MODEL, requestOf("mine"), [entryOf("mine, too")], "append");
    assert.deepEqual(await texts(store, "mine", 9), ["mine", "mine, too"]);
    await store.close();
  });

  it("is not waited for by those who read", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const lock = await lockFolder(machine, folderIn(directory), 60_000);
    assert.deepEqual(await texts(store, "a"), ["a"]);
    assert.equal((await store.size()).entries, 1);
    assert.equal((await store.remove({ namespace: "nobody's" })).entries, 0);
    lock.release();
    await store.close();
  });

  it("that was removed while somebody had it keeps two from having it", async () => {
    const directory = await temporaryFolder();
    const folder = folderIn(directory);
    const lock = await lockFolder(machine, folder, 0);
    machine.files.remove(`${folder}/lock`);
    const next = await lockFolder(machine, folder, 0);
    lock.release();
    await assert.rejects(lockFolder(machine, folder, 0), { code: "locked" });
    next.release();
  });
});
