/** Whose file it is, by its first bytes, and what a journal beside it says: what a crash in the middle of its making leaves. */

import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, it } from "node:test";
import { inspectFile, isBeingMade } from "../../../src/store/sqlite/schema.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, machine, MODEL, openStore, requestOf } from "./fixture.ts";

const WRITER_AT = 92;

let path: string;
beforeEach(async () => {
  const directory = await temporaryFolder();
  const store = await openStore(directory);
  await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
  await store.close();
  path = await databaseIn(directory);
});

/** Changes the first bytes of the file. */
async function change(change: (bytes: Uint8Array) => Uint8Array | void): Promise<void> {
  const bytes = new Uint8Array(await readFile(path));
  await writeFile(path, change(bytes) ?? bytes);
}

const inspect = (): string => inspectFile(machine.files, path);

describe("inspectFile", () => {
  it("knows a database of ours, an empty file, and that there is none", async () => {
    assert.equal(inspect(), "ours");
    await writeFile(path, "");
    assert.equal(inspect(), "empty");
    path += "-missing";
    assert.equal(inspect(), "missing");
  });

  const unfinished: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array | void>> = {
    "its first page not on the disk": (bytes) => void bytes.fill(0, 0, 4096),
    "its header cut in the middle": (bytes) => void bytes.fill(0, WRITER_AT, 100),
    "cut off in its header": (bytes) => bytes.slice(0, 50),
  };
  for (const [what, damage] of Object.entries(unfinished)) {
    it(`${what}: empty where a journal lies beside it, else nobody's`, async () => {
      await change(damage);
      if (what === "its header cut in the middle") assert.equal(inspect(), "ours");
      else assert.throws(inspect, { name: "CacheError", code: "foreign_file" });
      await writeFile(`${path}-journal`, "anything");
      assert.equal(inspect(), "empty");
    });
  }

  it("refuses another program's database, and one of a newer version, whatever lies beside it", async () => {
    await writeFile(`${path}-journal`, "anything");
    const native = new DatabaseSync(path);
    native.exec("PRAGMA user_version = 99");
    native.close();
    assert.throws(inspect, { name: "CacheError", code: "newer_schema" });
    await change((bytes) => void bytes.fill(7, 68, 72));
    assert.throws(inspect, { name: "CacheError", code: "foreign_file" });
  });
});

describe("isBeingMade", () => {
  const isMade = (): boolean => isBeingMade(machine.files, path);

  it("is true where SQLite's own journal lies beside it, or did a moment ago", async () => {
    assert.equal(isMade(), true);
    const other = join(await temporaryFolder(), "other");
    const native = new DatabaseSync(other);
    native.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))");
    await copyFile(`${other}-journal`, `${path}-journal`);
    native.close();
    assert.equal(isMade(), true);
  });

  for (const [what, content] of [["anything else", "anything else"], ["nothing", ""], ["half of it", "\xd9\xd5"]]) {
    it(`is false where ${what} is called so`, async () => {
      await writeFile(`${path}-journal`, content!, "latin1");
      assert.equal(isMade(), false);
    });
  }
});
