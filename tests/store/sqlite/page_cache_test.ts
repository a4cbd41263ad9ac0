/** How much of a database is kept in memory, so that it is read from the disk once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Files } from "../../../src/runtime/runtime.ts";
import { pageCacheBytes } from "../../../src/store/sqlite/page_cache.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, keyOf, machine, MODEL, openStore, requestOf } from "./fixture.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 3800;

describe("pageCacheBytes", () => {
  it("is the database's size, from 16 to 64 MiB", () => {
    const cases = [[0, 16], [10, 16], [30, 30], [64, 64], [500, 64]];
    for (const [size, expected] of cases) assert.equal(pageCacheBytes(size! * MIB, 1), expected! * MIB);
  });

  it("never passes 256 MiB for all open databases together", () => {
    for (const open of [1, 4, 5, 16, 17, 100]) {
      const all = pageCacheBytes(500 * MIB, open) * open;
      assert.ok(all <= 256 * MIB, `${open}: ${all}`);
    }
  });
});

describe("a store", () => {
  it("reads a database that is larger than SQLite's usual cache once", async () => {
    const directory = await temporaryFolder();
    const writer = await openStore(directory);
    // Small ones: of larger answers SQLite reads what is not on their first page past its cache.
    const words = Array.from({ length: 6000 }, (_, index) => `${index}`);
    await Promise.all(words.map((word) => {
      const body = crypto.getRandomValues(new Uint8Array(BODY_BYTES));
      return writer.put(MODEL, requestOf(word), [entryOf(body)], "append");
    }));
    await writer.close();
    let reads = 0;
    const open: Files["open"] = (path, mode) => {
      const file = machine.files.open(path, mode);
      const read = file.read.bind(file);
      return Object.assign(file, {
        read(target: Uint8Array, position: number) {
          if (path.endsWith(".sqlite")) reads++;
          return read(target, position);
        },
      });
    };
    const store = await openStore(directory, { runtime: { ...machine, files: { ...machine.files, open } } });
    const readAll = async (): Promise<number> => {
      const before = reads;
      const found = await store.lookup(MODEL, words.map((word) => ({ key: keyOf(word), samples: 1 })));
      for (const { entries } of found) assert.equal(entries[0]!.storedBytes, BODY_BYTES);
      return reads - before;
    };
    assert.ok(await readAll() > 1000);
    assert.equal(await readAll(), 0);
    await store.close();
  });
});
