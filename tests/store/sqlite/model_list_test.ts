/** Which models have a database in a directory, and what of those whose file cannot be asked. */

import assert from "node:assert/strict";
import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Databases } from "../../../src/store/sqlite/databases.ts";
import { modelsIn } from "../../../src/store/sqlite/model_list.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, machine, openStore, requestOf } from "./fixture.ts";
import { settingsOf } from "./settings.ts";

let directory: string;
let databases: Databases;
beforeEach(async () => {
  directory = await temporaryFolder();
  const store = await openStore(directory, { locking: "exclusive" });
  for (const model of ["one", "two"]) await store.put(model, requestOf("a"), [entryOf("a")], "append");
  await store.close();
  databases = new Databases(settingsOf(directory));
});
afterEach(() => databases.close());

const pathOf = (model: string): string => databases.path(model);

async function list(): Promise<{ models: string[]; failures: string[] }> {
  const { models, failures } = await modelsIn(databases, { runtime: machine, directory });
  return { models: [...models.values()].sort(), failures: failures.map(({ code }) => code) };
}

/** The journal of an SQLite in the middle of a transaction. */
async function journalBeside(path: string): Promise<void> {
  const other = join(await temporaryFolder(), "other");
  const native = new DatabaseSync(other);
  native.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))");
  await copyFile(`${other}-journal`, `${path}-journal`);
  native.close();
}

describe("modelsIn", () => {
  it("names them by the paths of their databases, open or not", async () => {
    await databases.use("one", false, () => {});
    assert.deepEqual(await list(), { models: ["one", "two"], failures: [] });
    const { models } = await modelsIn(databases, { runtime: machine, directory });
    assert.deepEqual(basename([...models].find(([, model]) => model === "one")![0]), basename(pathOf("one")));
  });

  it("knows nobody behind a database that was given another's name, or is not ours", async () => {
    await rename(pathOf("one"), pathOf("three"));
    await writeFile(pathOf("four"), "no database, and longer than the header of one would be".repeat(4));
    assert.deepEqual(await list(), { models: ["two"], failures: [] });
  });

  it("passes over a database of which only the journal of its making is left", async () => {
    await journalBeside(pathOf("one"));
    assert.deepEqual(await list(), { models: ["two"], failures: [] });
  });

  it("says that a database cannot be read that somebody else holds", async () => {
    const other = await openStore(directory, { locking: "exclusive" });
    await other.put("one", requestOf("b"), [entryOf("b")], "append");
    assert.deepEqual(await list(), { models: ["two"], failures: ["locked"] });
    await other.close();
    assert.deepEqual(await list(), { models: ["one", "two"], failures: [] });
  });

  it("says that a broken database cannot be read", async () => {
    const header = (await readFile(pathOf("one"))).subarray(0, 100);
    await writeFile(pathOf("one"), new Uint8Array([...header, ...new Uint8Array(8092).fill(0xff)]));
    const { models, failures } = await list();
    assert.deepEqual([models, failures.length], [["two"], 1]);
  });
});
