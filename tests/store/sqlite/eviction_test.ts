/** A directory with a limit stays below it, and what was used least recently goes first. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import type { Locking } from "../../../src/sqlite/open.ts";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { HERE, requireRuntime } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { assertSound, bytesIn } from "./disk.ts";
import { at, databaseIn, entryOf, find, machine, MODEL, NOW, openStore, requestOf } from "./fixture.ts";

const CHURNER = fileURLToPath(new URL("./churner.ts", import.meta.url));
/** Thousands of transactions take longer than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };
const MIB = 1024 * 1024;

/** A machine on which a second passes with each look at the clock. */
function ticking(): { runtime: Runtime; now: () => number } {
  let now = NOW;
  return { runtime: at(() => now += 1000), now: () => now };
}

async function put(store: Store, word: string, created: number, bytes = 20_000, model: string = MODEL): Promise<void> {
  const entry = entryOf(new Uint8Array(randomBytes(bytes)), { created });
  await store.put(model, requestOf(word), [entry], "append");
}

/** Which of `words` are there. Counts as use. */
async function kept(store: Store, words: readonly string[], model: string = MODEL): Promise<string[]> {
  const there: string[] = [];
  for (const word of words) if ((await find(store, word, 1, model)).entries.length > 0) there.push(word);
  return there;
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${from + index}`);

for (const locking of ["exclusive", "shared"] as const satisfies readonly Locking[]) {
  describe(`maxBytes, ${locking}`, () => {
    it("is never exceeded, whatever is put, and leaves the cache well filled", PATIENT, async (context) => {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return;
      const maxBytes = 6 * MIB;
      const directory = await temporaryFolder();
      const store = await openStore(directory, { locking, maxBytes, lockTimeout: 10_000 });
      let [most, written, index] = [0, 0, 0];
      while (written < 6 * maxBytes) {
        const puts: Promise<void>[] = [];
        for (let each = 0; each < 8; each++, index++) {
          const bytes = index % 10 === 0 ? 100_000 : 20_000;
          // Some live for a moment only.
          const expires = index % 4 === 0 ? Date.now() + 50 : null;
          const entry = entryOf(new Uint8Array(randomBytes(bytes)), { created: Date.now(), expires });
          const model = index % 5 === 0 ? "another" : MODEL;
          puts.push(Promise.resolve(store.put(model, requestOf(`${index}`), [entry], "append")));
          written += bytes;
        }
        await Promise.all(puts);
        most = Math.max(most, bytesIn(directory));
      }
      assert.ok(most <= maxBytes, `${most} of ${maxBytes} bytes`);
      assert.ok((await store.size()).storedBytes > maxBytes * 0.6, `${(await store.size()).storedBytes}`);
      const last = numbered(index - 8, index).filter((word) => Number(word) % 4 !== 0 && Number(word) % 5 !== 0);
      assert.deepEqual(await kept(store, last), last);
      await store.close();
      assert.ok(bytesIn(directory) <= maxBytes);
      for (const name of await readdir(directory)) if (name.endsWith(".sqlite")) assertSound(join(directory, name));
    });

    it("takes those that were used least recently, by when they were put and when they were found", async (context) => {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return;
      const { runtime, now } = ticking();
      const directory = await temporaryFolder();
      const store = await openStore(directory, { locking, runtime, maxBytes: 4 * MIB, lockTimeout: 10_000 });
      for (const word of numbered(0, 120)) await put(store, word, now());
      const [used, unused] = [numbered(0, 30), numbered(30, 60)];
      assert.deepEqual(await kept(store, used), used);
      for (const word of numbered(200, 290)) await put(store, word, now());
      assert.deepEqual(await kept(store, used), used);
      assert.deepEqual(await kept(store, unused), []);
      assert.deepEqual(await kept(store, numbered(200, 290)), numbered(200, 290));
      await store.close();
      assertSound(await databaseIn(directory));
    });
  });
}

describe("maxBytes", () => {
  it("takes the least recently used of all models, also of those that are not open", async () => {
    const { runtime, now } = ticking();
    const options = { locking: "exclusive", runtime, maxBytes: 6 * MIB, maxOpenDatabases: 1 } as const;
    const store = await openStore(await temporaryFolder(), options);
    for (const model of ["old", "new"]) {
      for (const word of numbered(0, 80)) await put(store, word, now(), 20_000, model);
    }
    for (const word of numbered(0, 130)) await put(store, word, now(), 20_000, "newest");
    assert.deepEqual((await kept(store, numbered(0, 80), "new")).at(-1), "79");
    assert.deepEqual(await kept(store, numbered(0, 130), "newest"), numbered(0, 130));
    assert.deepEqual(await kept(store, numbered(0, 30), "old"), []);
    await store.close();
  });

  it("makes room in a directory that is over it as soon as it is opened", async () => {
    const directory = await temporaryFolder();
    let store = await openStore(directory, { locking: "exclusive" });
    for (const word of numbered(0, 200)) await put(store, word, NOW + Number(word) * 1000, 40_000);
    await store.close();
    const maxBytes = 3 * MIB;
    assert.ok(bytesIn(directory) > 2 * maxBytes);
    store = await openStore(directory, { locking: "exclusive", maxBytes, runtime: at(() => NOW + 300_000) });
    while (bytesIn(directory) > maxBytes * 0.95) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.deepEqual(await kept(store, ["0", "199"]), ["199"]);
    await store.close();
    assertSound(await databaseIn(directory));
  });

  it("refuses an answer that is too large for it, and removes nothing for it", async () => {
    const store = await openStore(await temporaryFolder(), { locking: "exclusive", maxBytes: 2 * MIB });
    for (const word of numbered(0, 10)) await put(store, word, NOW);
    await assert.rejects(put(store, "large", NOW, 3 * MIB), {
      name: "CacheError",
      code: "unavailable",
      message: /31\d{5} bytes.*maxBytes 2097152.*raise maxBytes/,
    });
    assert.deepEqual(await kept(store, [...numbered(0, 10), "large"]), numbered(0, 10));
    await store.close();
  });

  it("removes what it must for an answer that just fits", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory, { locking: "exclusive", maxBytes: 4 * MIB });
    for (const word of numbered(0, 100)) await put(store, word, NOW + Number(word) * 1000);
    await put(store, "large", NOW + 200_000, 1.2 * MIB);
    assert.ok(bytesIn(directory) <= 4 * MIB);
    assert.deepEqual(await kept(store, ["0", "99", "large"]), ["99", "large"]);
    await store.close();
  });

  it("refuses when others hold what would have to go, and says so", async () => {
    const directory = await temporaryFolder();
    const other = await openStore(directory, { locking: "exclusive" });
    for (const word of numbered(0, 100)) await put(other, word, NOW, 40_000, "theirs");
    const store = await openStore(directory, { locking: "exclusive", maxBytes: 3 * MIB });
    await assert.rejects(put(store, "a", NOW), { code: "unavailable", message: /nothing more can be removed/ });
    assert.equal((await other.size()).entries, 100);
    await other.close();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await put(store, "a", NOW);
    assert.deepEqual(await kept(store, ["a"]), ["a"]);
    await store.close();
  });

  it("is tried for anew by who comes when nothing could be removed a moment ago, while nobody waited", async () => {
    const directory = await temporaryFolder();
    const other = await openStore(directory, { locking: "exclusive" });
    for (const word of numbered(0, 100)) await put(other, word, NOW, 40_000, "theirs");
    const store = await openStore(directory, { locking: "exclusive", maxBytes: 3 * MIB });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await other.close();
    await put(store, "a", NOW);
    assert.deepEqual(await kept(store, ["a"]), ["a"]);
    await store.close();
  });

  it("takes the last answers first of a request that has more than go at once", async () => {
    const directory = await temporaryFolder();
    const runtime = at(() => NOW + 2000);
    const store = await openStore(directory, { locking: "exclusive", runtime, maxBytes: 4 * MIB });
    const entries = Array.from({ length: 1500 }, () => entryOf(new Uint8Array(randomBytes(1000)), { created: NOW }));
    for (let from = 0; from < 1500; from += 100) {
      await store.put(MODEL, requestOf("many"), entries.slice(from, from + 100), "append");
    }
    for (const word of numbered(0, 90)) await put(store, word, NOW + 1000);
    const { entries: left } = await find(store, "many", 1500);
    assert.ok(left.length > 0 && left.length < 1500, `${left.length} left`);
    for (const [index, entry] of left.entries()) assert.deepEqual(entry.bytes(), entries[index]!.body);
    assert.deepEqual(await kept(store, numbered(0, 90)), numbered(0, 90));
    await store.close();
    assertSound(await databaseIn(directory));
  });

  it("keeps no answer waiting that was paid for when the store is closed", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory, { locking: "exclusive", maxBytes: 2 * MIB });
    const words = numbered(0, 40);
    const puts = words.map((word) => put(store, word, NOW, 40_000));
    await store.close();
    await Promise.all(puts);
    const again = await openStore(directory, { locking: "exclusive" });
    assert.deepEqual(await kept(again, words), words);
    await again.close();
  });

  it("must be a positive integer", async () => {
    for (const maxBytes of [0, -1, 1.5, NaN, Infinity, "1 GB" as unknown as number]) {
      await assert.rejects(openStore("nowhere", { maxBytes }), { name: "RangeError", message: /maxBytes/ });
    }
  });
});

interface Churner {
  readonly child: ChildProcess;
  /** How many answers it has put. */
  put: number;
  /** Ends it, at whatever it is. */
  kill(): Promise<void>;
}

function churn([executable, ...args]: readonly string[], parameters: readonly string[]): Churner {
  const child = spawn(executable!, [...args, CHURNER, ...parameters], { stdio: ["ignore", "pipe", "inherit"] });
  const churner: Churner = {
    child,
    put: 0,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
  createInterface({ input: child.stdout! }).on("line", () => churner.put++);
  return churner;
}

describe("two processes with the same maxBytes", () => {
  for (const [size, bytes, puts] of [[32 * MIB, 40_000, 800], [16 * MIB, 100_000, 300]] as const) {
    it(
      `of ${size / MIB} MiB stay below it, do not empty the cache, and when killed leave it sound`,
      PATIENT,
      async (context) => {
        const command = requireRuntime(context, HERE);
        if (!command || !requireRangeLocks(context, machine)) return;
        const directory = await temporaryFolder();
        const churners = ["one", "two"].map((name) =>
          churn(command, [directory, "shared", `${size}`, `${bytes}`, "put", name])
        );
        let [most, least] = [0, Infinity];
        try {
          while (churners.some(({ put }) => put < puts)) {
            await new Promise((resolve) => setTimeout(resolve, 2));
            const taken = bytesIn(directory);
            most = Math.max(most, taken);
            if (churners.every(({ put }) => put > puts * 0.75)) least = Math.min(least, taken);
            assert.ok(churners.every(({ child }) => child.exitCode === null));
          }
        } finally {
          for (const each of churners) await each.kill();
        }
        assert.ok(most <= size, `${most} of ${size} bytes`);
        assert.ok(least > size * 0.7, `${least} of ${size} bytes`);
        const store = await openStore(directory, { locking: "shared", maxBytes: size });
        const { storedBytes } = await store.size();
        assert.ok(storedBytes > size * 0.6, `${storedBytes} of ${size} bytes`);
        await store.close();
        assertSound(await databaseIn(directory));
      },
    );
  }
});
