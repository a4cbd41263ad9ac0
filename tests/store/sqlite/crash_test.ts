/** Every single file operation as the last one before a crash, and as the one that fails. */

import assert from "node:assert/strict";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, MODEL, openStore, requestOf, texts } from "./fixture.ts";
import { watched } from "./watched.ts";

/** Hundreds of lives take longer than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };

/** A store's life in short; `stored` is told of each answer once it is acknowledged. Rejects nothing. */
async function live(directory: string, runtime: Runtime, stored: (word: string) => void): Promise<void> {
  const words = [["a", "b", "c"], ["d", "e"]];
  for (const session of words) {
    const store = await openStore(directory, { runtime, synchronous: "full" });
    for (const word of session) {
      const put = async (): Promise<void> => await store.put(MODEL, requestOf(word), [entryOf(textOf(word))], "append");
      await put().then(() => stored(word), (error) => assert.equal(error.name, "CacheError"));
    }
    await store.close();
  }
}

function textOf(word: string): string {
  return Array.from({ length: 3000 }, (_, index) => `${word}${index ** 2 % 977}`).join();
}

/** All of `words` are there, something more can be stored, and what is left behind is one intact database. */
async function assertHealthy(directory: string, words: Iterable<string>): Promise<void> {
  const store: Store = await openStore(directory);
  for (const word of words) assert.deepEqual(await texts(store, word), [textOf(word)]);
  await store.put(MODEL, requestOf("more"), [entryOf("more")], "append");
  assert.deepEqual(await texts(store, "more"), ["more"]);
  await store.close();
  const path = await databaseIn(directory);
  const native = new DatabaseSync(path);
  assert.equal(native.prepare("PRAGMA integrity_check").get()!.integrity_check, "ok");
  native.close();
}

describe("a process that ends", () => {
  it("before any file operation, or in the middle of a write, has lost nothing it acknowledged", PATIENT, async () => {
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
    assert.deepEqual(stored, ["a", "b", "c", "d", "e"]);
    assert.ok(crashes.length > 100);
    for (const { directory, words } of crashes) await assertHealthy(directory, words);
  });
});

describe("a file operation that fails", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  for (const lasting of [false, true]) {
    const until = lasting ? "and all that follow until the disk is mended" : "once";
    it(`${until}: loses nothing that is acknowledged, and the store heals`, PATIENT, async () => {
      for (let fatal = 1, failed = true; failed; fatal++) {
        failed = false;
        let count = 0;
        const directory = join(folder, `${lasting} ${fatal}`);
        const stored: string[] = [];
        const fail = (): void => {
          count++;
          if (count !== fatal && !(lasting && count > fatal)) return;
          failed = true;
          throw new FileError("Cannot do it: the disk failed", "EIO");
        };
        await live(directory, watched(fail), (word) => stored.push(word));
        await assertHealthy(directory, stored);
      }
    });
  }
});
