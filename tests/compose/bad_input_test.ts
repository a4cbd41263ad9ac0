/**
 * A cache over bad input, as its users see it: what cannot be read is a miss with a count, the answer is returned all the
 * same, and a file that is somebody else's stops the call before anything is paid for, or is bypassed if so asked.
 */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { CacheError, type CacheErrorCode, type CacheEvent, openCache, type ResponseCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();
const REQUEST = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hi" }] };
const ANSWER = { model: "gpt-4o-mini", choices: [{ message: { content: "hi ".repeat(2000) }, finish_reason: "stop" }] };

type Change = (path: string, bytes: Buffer) => Promise<unknown>;

/** What cannot be used, but belongs to nobody else. */
const UNUSABLE: Record<string, [CacheErrorCode, Change]> = {
  "a database cut off in the middle": ["corrupt", (path, bytes) => writeFile(path, bytes.subarray(0, 20_000))],
  "a database with noise for its first page": [
    "corrupt",
    (path, bytes) => writeFile(path, Buffer.from(bytes).fill(0xa5, 100, 4096)),
  ],
  "a directory in its place": ["unavailable", async (path) => {
    await rm(path);
    await mkdir(path);
  }],
  "a directory in its log's place": ["unavailable", (path) => mkdir(`${path}-wal`)],
};

/** What belongs to somebody else. */
const REFUSED: Record<string, [CacheErrorCode, Change]> = {
  "no database": ["foreign_file", (path) => writeFile(path, "dear diary\n".repeat(50))],
  "another program's database": ["foreign_file", (path, bytes) => writeHeader(path, bytes, 68, 1)],
  "a newer version's database": ["newer_schema", (path, bytes) => writeHeader(path, bytes, 60, 1000)],
};

/** What is put right without a word. */
const HARMLESS: Record<string, Change> = {
  "a log of noise": (path) => writeFile(`${path}-wal`, Buffer.alloc(50_000, 0xa5)),
  "a wal-index of noise": (path) => writeFile(`${path}-shm`, Buffer.alloc(32_768, 0xa5)),
  "a journal of noise": (path) => writeFile(`${path}-journal`, Buffer.alloc(50_000, 0xa5)),
  "an owner's note of noise": (path) => writeFile(`${path}-owner.json`, Buffer.alloc(500, 0xa5)),
};

for (const locking of ["exclusive", "shared"] as const) {
  describe(`a cache over bad input, ${locking}`, () => {
    /** A folder with a changed database in it; skips the test where databases cannot be opened in this mode. */
    async function changed(context: TestContext, change: Change): Promise<string | undefined> {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return undefined;
      const directory = await temporaryFolder();
      const cache = await openCache({ directory });
      await cache.put(REQUEST, ANSWER);
      await cache.close();
      const name = (await readdir(directory)).find((name) => name.endsWith(".sqlite"))!;
      const path = join(directory, name);
      await change(path, await readFile(path));
      return directory;
    }

    /** Asks, and says whether the cache had to call. */
    async function wrap(cache: ResponseCache): Promise<boolean> {
      let called = false;
      const answer = await cache.wrap(REQUEST, () => {
        called = true;
        return Promise.resolve(ANSWER);
      });
      assert.deepEqual(answer, ANSWER);
      return called;
    }

    for (const [what, [code, change]] of Object.entries(UNUSABLE)) {
      it(`${what}: a miss with a count, and the answer is returned`, async (context) => {
        const directory = await changed(context, change);
        if (!directory) return;
        const events: CacheEvent[] = [];
        await using cache = await openCache({ directory, locking, report: (event) => events.push(event) });
        assert.equal(await cache.get(REQUEST), undefined);
        assert.equal(await wrap(cache), true);
        const { hits, misses, failedLookups, failedWrites, writes, lastError } = await cache.stats();
        assert.deepEqual(
          { hits, misses, failedLookups, failedWrites, writes },
          { hits: 0, misses: 2, failedLookups: 2, failedWrites: 1, writes: 0 },
        );
        assert.ok(lastError);
        assert.deepEqual(events.map(({ type }) => type), ["lookup_failed", "lookup_failed", "write_failed"]);
        for (const event of events) assert.equal("error" in event && (event.error as CacheError).code, code);
      });
    }

    for (const [what, [code, change]] of Object.entries(REFUSED)) {
      it(`${what}: refused before anything is paid for, or bypassed`, async (context) => {
        const directory = await changed(context, change);
        if (!directory) return;
        const content = await contentOf(directory);
        {
          await using cache = await openCache({ directory, locking });
          const refusal = (error: unknown): boolean => error instanceof CacheError && error.code === code;
          await assert.rejects(cache.get(REQUEST), refusal);
          await assert.rejects(cache.wrap(REQUEST, () => assert.fail("nothing is paid for")), refusal);
        }
        {
          await using cache = await openCache({ directory, locking, refusedStore: "bypass" });
          assert.equal(await cache.get(REQUEST), undefined);
          assert.equal(await wrap(cache), true);
          const { bypassed, misses, failedLookups } = await cache.stats();
          assert.deepEqual({ bypassed, misses, failedLookups }, { bypassed: 2, misses: 0, failedLookups: 2 });
        }
        assert.deepEqual(await contentOf(directory), content);
      });
    }

    for (const [what, change] of Object.entries(HARMLESS)) {
      it(`${what}: a hit`, async (context) => {
        const directory = await changed(context, change);
        if (!directory) return;
        await using cache = await openCache({ directory, locking });
        assert.equal(await wrap(cache), false);
        const { hits, failedLookups, lastError } = await cache.stats();
        assert.deepEqual({ hits, failedLookups, lastError }, { hits: 1, failedLookups: 0, lastError: null });
      });
    }
  });
}

async function writeHeader(path: string, bytes: Buffer, at: number, value: number): Promise<void> {
  const changed = Buffer.from(bytes);
  changed.writeUInt32BE(value, at);
  await writeFile(path, changed);
}

/** All files in a folder, as they are. */
async function contentOf(directory: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(directory)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))] as const)));
}
