/** Disks that are full, that may only be read, or that break: what was acknowledged stays, and messages say what to do. */

import assert from "node:assert/strict";
import { cpSync, existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { makeReadOnly, onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { watched } from "../sqlite/watched.ts";
import { binIn, entryOf, find, folderIn, machine, MODEL, openFiles, requestOf, texts, treeOf } from "./fixture.ts";

/** Hundreds of lives take longer than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };

const put = async (store: Store, word: string, text = word): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(text)], "append");

const unavailable = (message: RegExp) => ({ name: "CacheError", code: "unavailable", message });

describe("a disk that is full", () => {
  it("keeps what was acknowledged, and goes on when there is room", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "small"), async (directory) => {
      const store = await openFiles(directory);
      const stored: string[] = [];
      const fill = async (): Promise<void> => {
        for (let index = 0; index < 1000; index++) {
          await put(store, `word ${index}`, `${index} `.repeat(5000));
          stored.push(`word ${index}`);
        }
      };
      await assert.rejects(fill(), unavailable(/ENOSPC.*; make room there, or use another directory$/));
      assert.ok(stored.length > 5);
      await assert.rejects(put(store, "word 0", "x".repeat(900_000)), unavailable(/ENOSPC/));
      for (const word of stored) assert.equal((await texts(store, word, 9)).length, 1);
      assert.deepEqual((await treeOf(directory)).filter((name) => name.endsWith(".tmp")), []);
      assert.equal((await store.remove({ keys: stored.slice(0, 3).map((word) => requestOf(word).key) })).entries, 3);
      await put(store, "word 0", "again");
      assert.deepEqual(await texts(store, "word 0", 9), ["again"]);
      await store.close();
    });
  });

  it("too full to keep a broken bin leaves it where it is", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "small"), async (directory) => {
      const store = await openFiles(directory);
      await put(store, "a");
      const broken = "broken ".repeat(80_000);
      await writeFile(binIn(directory, "a"), broken);
      await writeFile(join(directory, "rest"), "x".repeat(300_000));
      await assert.rejects(put(store, "a"), unavailable(/ENOSPC/));
      assert.equal(await readFile(binIn(directory, "a"), "utf8"), broken);
      await store.close();
    });
  });
});

describe("a disk that may only be read", () => {
  it("is read, and refuses to be written", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "read_only"), async (directory) => {
      const writable = await openFiles(directory);
      await put(writable, "a");
      await writable.close();
      makeReadOnly(directory);
      const store = await openFiles(directory);
      assert.deepEqual(await texts(store, "a"), ["a"]);
      assert.deepEqual(await texts(store, "b"), []);
      assert.equal((await store.size()).entries, 1);
      assert.equal((await store.remove({ namespace: "nobody's" })).entries, 0);
      const refused = unavailable(/EROFS.*; it can only be read: use mode "read-only", or another directory$/);
      await assert.rejects(put(store, "a"), refused);
      // Node says of a folder to be made there that it is not there.
      const inNewFolder = store.put("new", requestOf("a"), [entryOf("a")], "append") as Promise<void>;
      await assert.rejects(inNewFolder, unavailable(/EROFS|ENOENT/));
      await assert.rejects(store.remove({}) as Promise<unknown>, refused);
      assert.deepEqual(await texts(store, "a", 9), ["a"]);
      await store.close();
    });
  });
});

describe("a directory without rights", () => {
  it("is unavailable, to read as to write", async () => {
    const directory = await temporaryFolder();
    const open: Runtime["files"]["open"] = () => {
      throw new FileError("Cannot open it: EACCES: permission denied", "EACCES");
    };
    const store = await openFiles(directory, { runtime: { ...machine, files: { ...machine.files, open } } });
    const refused = unavailable(/EACCES.*; give this process the right to read and write there, or use another/);
    await assert.rejects(find(store, "a"), refused);
    await assert.rejects(put(store, "a"), refused);
    await store.close();
  });
});

describe("a directory that is a file", () => {
  it("holds nothing, and cannot be written to", async () => {
    const directory = join(await temporaryFolder(), "file");
    await writeFile(directory, "mine");
    const store = await openFiles(directory);
    assert.deepEqual(await texts(store, "a"), []);
    assert.equal((await store.size()).entries, 0);
    await assert.rejects(put(store, "a"), unavailable(/; a file is in the way of a folder: move it/));
    assert.equal(await readFile(directory, "utf8"), "mine");
    await store.close();
  });
});

/** A store's life in short; `stored` is told of each answer once it is acknowledged. Rejects nothing. */
async function live(directory: string, runtime: Runtime, stored: (word: string) => void): Promise<void> {
  const store = await openFiles(directory, { runtime, synchronous: "full" });
  for (const word of ["a", "b", "a", "c", "a"]) await put(store, word).then(() => stored(word), assertCacheError);
  await writeFile(binIn(directory, "b"), "broken").catch(() => {});
  await put(store, "b").then(() => stored("again b"), assertCacheError);
  await store.close();
}

function assertCacheError(error: { name: string }): void {
  assert.equal(error.name, "CacheError");
}

/** What was stored is there, and more can be. */
async function assertHealthy(directory: string, stored: readonly string[]): Promise<void> {
  const store = await openFiles(directory);
  const count = (word: string): number => stored.filter((each) => each === word).length;
  const found = await texts(store, "a", 9);
  assert.ok(found.length === count("a") || found.length === count("a") + 1, `${found.length} of ${count("a")}`);
  if (count("c")) assert.deepEqual(await texts(store, "c"), ["c"]);
  if (count("again b")) assert.deepEqual(await texts(store, "b", 9), ["b"]);
  await put(store, "more");
  assert.deepEqual(await texts(store, "more"), ["more"]);
  await store.close();
}

describe("a process that ends", () => {
  it("before any file operation has lost nothing it acknowledged", PATIENT, async () => {
    const folder = await temporaryFolder();
    const directory = join(folder, "live");
    const crashes: { directory: string; words: string[] }[] = [];
    const stored: string[] = [];
    const crash = (): void => {
      const copy = join(folder, String(crashes.length));
      if (existsSync(directory)) cpSync(directory, copy, { recursive: true });
      crashes.push({ directory: copy, words: [...stored] });
    };
    await live(directory, watched(crash), (word) => stored.push(word));
    assert.deepEqual(stored, ["a", "b", "a", "c", "a", "again b"]);
    assert.ok(crashes.length > 60, `${crashes.length}`);
    for (const { directory, words } of crashes) await assertHealthy(directory, words);
  });
});

describe("a file operation that fails", () => {
  for (const lasting of [false, true]) {
    const until = lasting ? "and all that follow until the disk is mended" : "once";
    it(`${until}: loses nothing that is acknowledged, and the store heals`, PATIENT, async () => {
      const folder = await temporaryFolder();
      for (let fatal = 1, failed = true; failed; fatal++) {
        failed = false;
        let count = 0;
        const directory = join(folder, String(fatal));
        const stored: string[] = [];
        const fail = (): void => {
          count++;
          if (count !== fatal && !(lasting && count > fatal)) return;
          failed = true;
          throw new FileError("Cannot go on: EIO: the disk is broken", "EIO");
        };
        await live(directory, watched(fail), (word) => stored.push(word));
        await assertHealthy(directory, stored);
      }
    });
  }
});

describe("a disk that cannot be waited for", () => {
  it("has puts fail that are there all the same, each once", async () => {
    const directory = await temporaryFolder();
    const sync = () => Promise.reject(new FileError("Cannot sync: EIO: the disk is broken", "EIO"));
    const runtime = { ...machine, files: { ...machine.files, sync } };
    const store = await openFiles(directory, { runtime, synchronous: "full" });
    const puts = await Promise.allSettled([put(store, "a", "one"), put(store, "a", "two")]);
    assert.deepEqual(puts.map(({ status }) => status), ["rejected", "rejected"]);
    assert.deepEqual(await texts(store, "a", 9), ["one", "two"]);
    await store.close();
  });
});

describe("what a killed process was about to put in place", () => {
  it("is swept from where something is written, once it is old, and nothing else is", async () => {
    const directory = await temporaryFolder();
    const first = await openFiles(directory);
    await put(first, "a");
    await first.close();
    const uuid = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9";
    const [left, folder] = [`${binIn(directory, "a")}.${uuid}.tmp`, folderIn(directory)];
    const old = [left, `${binIn(directory, "a")}.broken-1.${uuid}.tmp`, `${folder}/model.json.${uuid}.tmp`];
    const strange = [`${dirname(left)}/notes.json.${uuid}.tmp`, `${binIn(directory, "a")}.mine.tmp`];
    for (const path of [...old, ...strange]) await writeFile(path, "half of it");
    const later = (minutes: number): Runtime => ({
      ...machine,
      clock: { ...machine.clock, now: () => Date.now() + minutes * 60_000 },
    });
    for (const [minutes, there] of [[9, true], [11, false]] as const) {
      const store = await openFiles(directory, { runtime: later(minutes) });
      await put(store, "a");
      await store.close();
      assert.deepEqual(old.map((path) => existsSync(path)), old.map(() => there), `${minutes} minutes`);
    }
    assert.deepEqual(strange.map((path) => existsSync(path)), [true, true]);
  });
});
