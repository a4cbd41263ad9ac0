/** Files the store must not use, cannot use, or may use again: foreign, newer, unreachable, read-only, full. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, cp, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import type { Files } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { makeReadOnly, onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, keyOf, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const put = async (store: Store, word: string, body: string | Uint8Array = word): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(body)], "append");

/** A folder with one stored answer. */
async function filled(directory: string): Promise<string> {
  const store = await openStore(directory);
  await put(store, "a");
  await store.close();
  return await databaseIn(directory);
}

describe("a file that is not ours", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  const cases: Record<string, (path: string) => Promise<void>> = {
    "garbage": (path) => writeFile(path, "not a database, whatever its name says ".repeat(50)),
    "shorter than a header": (path) => writeFile(path, "SQLite format 3\0"),
    "another program's database": async (path) => {
      await rm(path);
      const native = new DatabaseSync(path);
      native.exec("PRAGMA journal_mode = WAL; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
      native.close();
    },
  };
  for (const [what, make] of Object.entries(cases)) {
    it(`${what}: is refused and left as it is`, async () => {
      const directory = join(folder, what.replaceAll(/\W/g, "_"));
      const path = await filled(directory);
      await make(path);
      const [content, names] = [await readFile(path), await readdir(directory)];
      const store = await openStore(directory);
      await assert.rejects(find(store, "a"), { name: "CacheError", code: "foreign_file" });
      await assert.rejects(put(store, "b"), { name: "CacheError", code: "foreign_file" });
      assert.equal((await store.size()).entries, 0);
      await store.close();
      assert.deepEqual(await readFile(path), content);
      assert.deepEqual(await readdir(directory), names);
    });
  }

  it("of a newer version: is refused and left as it is", async () => {
    const directory = join(folder, "newer");
    const path = await filled(directory);
    const native = new DatabaseSync(path);
    native.exec("PRAGMA user_version = 3");
    native.close();
    const content = await readFile(path);
    const store = await openStore(directory);
    await assert.rejects(find(store, "a"), {
      name: "CacheError",
      code: "newer_schema",
      message: `Cannot use ${path}: a newer version of this program wrote it: version 3, this program knows 2`,
    });
    await assert.rejects(put(store, "b"), { code: "newer_schema" });
    await store.close();
    assert.deepEqual(await readFile(path), content);
  });

  it("half made when the power failed, its pages not on the disk and its journal not rolled back, is made anew", async () => {
    const directory = await temporaryFolder();
    let store = await openStore(directory);
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    await store.close();
    const path = await databaseIn(directory);
    // Another SQLite in the middle of a first transaction, so large that it has written pages already.
    const other = join(await temporaryFolder(), "other");
    const native = new DatabaseSync(other);
    native.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))");
    await copyFile(`${other}-journal`, `${path}-journal`);
    await writeFile(path, new Uint8Array((await stat(other)).size));
    native.close();
    store = await openStore(directory);
    assert.deepEqual(await texts(store, "a"), []);
    await store.put(MODEL, requestOf("a"), [entryOf("again")], "append");
    assert.deepEqual(await texts(store, "a"), ["again"]);
    await store.close();
  });

  it("an empty file is one of ours that was never written", async () => {
    const directory = join(folder, "empty");
    const path = await filled(directory);
    await writeFile(path, "");
    const store = await openStore(directory);
    assert.deepEqual((await find(store, "a")).entries, []);
    assert.equal((await readFile(path)).byteLength, 0);
    await put(store, "b");
    assert.deepEqual(await texts(store, "b"), ["b"]);
    await store.close();
  });
});

describe("rows of an older version", () => {
  it("are stale", async () => {
    const directory = await temporaryFolder();
    const path = await filled(directory);
    const native = new DatabaseSync(path);
    native.exec("UPDATE entry SET schema_version = 0");
    native.close();
    const store = await openStore(directory);
    assert.deepEqual(await find(store, "a"), { entries: [], stale: true, expired: false, corrupt: false });
    await store.close();
  });
});

describe("a directory that cannot be used", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });
  const unavailable = { name: "CacheError", code: "unavailable" };

  it("below a file: lookups miss, puts say why", async () => {
    await writeFile(join(folder, "file"), "");
    const store = await openStore(join(folder, "file", "cache"));
    assert.deepEqual((await find(store, "a")).entries, []);
    await assert.rejects(put(store, "a"), unavailable);
    await store.close();
  });

  it("that this program may not look into: lookups and puts say why", async () => {
    const exists = (): never => {
      throw new Error("Requires read access");
    };
    const runtime = { ...machine, files: { ...machine.files, exists } };
    const store = await openStore(join(folder, "forbidden"), { runtime });
    await assert.rejects(find(store, "a"), { ...unavailable, message: "Requires read access" });
    await assert.rejects(put(store, "a"), unavailable);
    await store.close();
  });

  it("a directory where the database should be", async () => {
    const directory = join(folder, "in_the_way");
    const path = await filled(directory);
    await rm(path);
    await mkdir(path);
    const store = await openStore(directory);
    await assert.rejects(find(store, "a"), unavailable);
    await assert.rejects(put(store, "a"), unavailable);
    await rm(path, { recursive: true });
    await put(store, "b");
    assert.deepEqual(await texts(store, "b"), ["b"]);
    await store.close();
  });

  it("a symbolic link to a database elsewhere is followed", async () => {
    const directory = join(folder, "linked");
    const path = await filled(directory);
    const elsewhere = join(folder, "elsewhere.sqlite");
    await writeFile(elsewhere, await readFile(path));
    await rm(path);
    await symlink(elsewhere, path);
    const store = await openStore(directory);
    assert.deepEqual(await texts(store, "a"), ["a"]);
    await put(store, "b");
    await store.close();
    const native = new DatabaseSync(elsewhere);
    assert.equal(native.prepare("SELECT count(*) AS n FROM entry").get()!.n, 2);
    native.close();
  });

  it("read-only: puts say why, and work once it is writable", async (context) => {
    await onSmallDisk(context, join(folder, "read_only"), async (directory) => {
      await filled(directory);
      makeReadOnly(directory);
      const store = await openStore(directory);
      await assert.rejects(find(store, "a"), unavailable);
      await assert.rejects(put(store, "b"), unavailable);
      execFileSync("mount", ["-o", "remount,rw", directory]);
      assert.deepEqual(await texts(store, "a"), ["a"]);
      await put(store, "b");
      assert.deepEqual(await texts(store, "b"), ["b"]);
      await store.close();
    });
  });

  it("full: puts say why, what was stored stays readable, and puts work once there is room", async (context) => {
    await onSmallDisk(context, join(folder, "full"), async (directory) => {
      const store = await openStore(directory);
      await put(store, "a");
      const noise = crypto.getRandomValues(new Uint8Array(60_000));
      const stored: string[] = [];
      await assert.rejects(async () => {
        for (let index = 0; index < 100; index++) {
          await put(store, `n${index}`, noise);
          stored.push(`n${index}`);
        }
      }, (error: Error) => {
        assert.equal((error.cause as { code?: string }).code, "SQLITE_FULL");
        return error.name === "CacheError" && (error as { code?: string }).code === "unavailable";
      });
      assert.ok(stored.length > 3);
      assert.deepEqual(await texts(store, "a"), ["a"]);
      for (const word of stored) {
        assert.deepEqual(new Uint8Array((await find(store, word)).entries[0]!.bytes()), noise);
      }
      await assert.rejects(put(store, "again", noise), unavailable);
      execFileSync("mount", ["-o", "remount,size=8m", directory]);
      await put(store, "room", noise);
      await store.close();
      const again = await openStore(directory);
      assert.equal((await find(again, "room")).entries.length, 1);
      assert.equal(
        (await again.lookup(MODEL, stored.map((word) => ({ key: keyOf(word), samples: 1 })))).length,
        stored.length,
      );
      assert.equal((await again.size()).entries, stored.length + 2);
      await again.close();
    });
  });

  it("full from the start: a database that cannot be made is a miss afterwards, and is made later", async (context) => {
    await onSmallDisk(context, join(folder, "no_room"), async (directory) => {
      const filler = join(directory, "filler");
      await writeFile(filler, new Uint8Array(1024 * 1024 - 8192)).catch(() => {});
      const store = await openStore(directory);
      await assert.rejects(put(store, "a", new Uint8Array(100_000)), unavailable);
      const missed = await find(store, "a").catch((error) => assert.equal(error.code, "unavailable"));
      assert.deepEqual(missed?.entries ?? [], []);
      await rm(filler);
      await put(store, "a");
      assert.deepEqual(await texts(store, "a"), ["a"]);
      await store.close();
    });
  });
});

describe("a folder that is cleared while the store is open", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  const ways: Record<string, (directory: string) => Promise<unknown>> = {
    "the whole of it": (directory) => rm(directory, { recursive: true }),
    "its databases only": async (directory) => rm(await databaseIn(directory)),
    "by moving it away": (directory) => rename(directory, `${directory}.old`),
  };
  for (const [how, clear] of Object.entries(ways)) {
    it(`${how}: what is put afterwards is kept`, async () => {
      const directory = join(folder, how.replaceAll(" ", "_"));
      const store = await openStore(directory);
      await put(store, "a");
      await clear(directory);
      for (const word of ["b", "c"]) await put(store, word);
      await store.close();
      const again = await openStore(directory);
      for (const word of ["b", "c"]) assert.deepEqual(await texts(again, word), [word]);
      assert.deepEqual(await texts(again, "a"), []);
      await again.close();
    });
  }

  it("for a file in its place: what is put is refused, until there is a folder again", async () => {
    const directory = join(folder, "file");
    const store = await openStore(directory);
    await put(store, "a");
    await rm(directory, { recursive: true });
    await writeFile(directory, "");
    await assert.rejects(put(store, "b"), { name: "CacheError", code: "unavailable" });
    await rm(directory);
    await put(store, "c");
    assert.deepEqual(await texts(store, "c"), ["c"]);
    await store.close();
  });

  it("and taken by another owner: closing the first one takes nothing from it", async () => {
    const directory = join(folder, "second");
    const first = await openStore(directory);
    await put(first, "a");
    await rm(directory, { recursive: true });
    const second = await openStore(directory);
    await put(second, "b");
    await first.close();
    // What a crash of the second would leave.
    const left = join(folder, "left");
    await cp(directory, left, { recursive: true });
    await second.close();
    for (const place of [left, directory]) {
      const again = await openStore(place);
      assert.deepEqual(await texts(again, "b"), ["b"]);
      await again.close();
    }
  });
});

describe("a disk that fails", () => {
  for (const operation of ["read", "write", "sync"] as const) {
    it(`to ${operation}: is an error with a code, and all that was acknowledged is there when it works again`, async () => {
      const directory = await temporaryFolder();
      let failing = false;
      const fail = (): never => {
        throw new FileError(`Cannot ${operation}: the disk failed`, "EIO");
      };
      const open: Files["open"] = (path, mode) => {
        const file = machine.files.open(path, mode);
        const usual = file[operation].bind(file) as (...parameters: unknown[]) => unknown;
        return Object.assign(file, {
          [operation]: (...parameters: unknown[]) => failing ? fail() : usual(...parameters),
        });
      };
      const runtime = { ...machine, files: { ...machine.files, open } };
      let store = await openStore(directory, { runtime, synchronous: "full" });
      await put(store, "a");
      if (operation === "read") {
        // What was just written would be answered from memory.
        await store.close();
        store = await openStore(directory, { runtime, synchronous: "full" });
      }
      failing = true;
      await assert.rejects(put(store, "b"), { name: "CacheError", code: "unavailable", message: /the disk failed/ });
      await find(store, "a").catch((error) => assert.equal(error.code, "unavailable"));
      failing = false;
      assert.deepEqual(await texts(store, "a"), ["a"]);
      await put(store, "c");
      await store.close();
      const again = await openStore(directory);
      for (const word of ["a", "c"]) assert.deepEqual(await texts(again, word), [word]);
      await again.close();
    });
  }
});
