/** Databases that come from anywhere, on files of this machine; how pages export and import them is in `tests/browser/export_test.ts`. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { SqlDriver } from "../../../src/sqlite/driver.ts";
import { openDatabase } from "../../../src/sqlite/open.ts";
import { Leader } from "../../../src/store/opfs/leader.ts";
import { doTask } from "../../../src/store/opfs/tasks.ts";
import { databaseName } from "../../../src/store/sqlite/names.ts";
import { applySchema } from "../../../src/store/sqlite/schema.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, machine, MODEL, requestOf, texts } from "../sqlite/fixture.ts";

/** A database of ours, with something done to it. */
async function databaseWith(change: (driver: SqlDriver) => void): Promise<Blob> {
  const path = join(await temporaryFolder(), "database");
  const database = await openDatabase({
    runtime: machine,
    path,
    create: true,
    locking: "exclusive",
    synchronous: "normal",
    lockTimeout: 0,
    schema: (driver) => applySchema(driver, path, MODEL),
  });
  change(database.driver);
  database.close();
  return new Blob([new Uint8Array(await readFile(path))]);
}

/** Has a leader take a database in; the model whose it is. */
async function importing(
  file: Blob,
  use: (leader: Leader, folder: string) => Promise<void> = async () => {},
): Promise<unknown> {
  const folder = await temporaryFolder();
  const place = { directory: folder };
  const leader = await Leader.lead({ runtime: machine, place, name: "leader", tell: () => {}, abdicate: () => {} });
  try {
    const { signal } = new AbortController();
    const model = await doTask(leader, { name: "import", file, replace: false }, { signal, onProgress: () => {} });
    await use(leader, folder);
    return model;
  } finally {
    await leader.close();
  }
}

describe("an import", () => {
  it("takes in a database of ours, which can be written to", async () => {
    const model = await importing(await databaseWith(() => {}), async ({ store }) => {
      await store.put(MODEL, requestOf("a"), [entryOf("answer to a")], "append");
      assert.deepEqual(await texts(store, "a", 10), ["answer to a"]);
    });
    assert.equal(model, MODEL);
  });

  const HOSTILE: Readonly<Record<string, [sql: string, found: string]>> = {
    "has a trigger, which would run whenever something is stored": [
      "CREATE TRIGGER evil AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
      "the trigger evil",
    ],
    "has a view in place of a table, which may never end": [
      "DROP TABLE meta; CREATE VIEW meta AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) " +
      "SELECT 'other' AS name, n AS value FROM c",
      "the view meta",
    ],
    "lacks a table": ["DROP TABLE tag", "no table tag"],
  };
  for (const [what, [sql, found]] of Object.entries(HOSTILE)) {
    it(`refuses one that ${what}`, async () => {
      await assert.rejects(importing(await databaseWith((driver) => driver.exec(sql))), {
        name: "CacheError",
        code: "foreign_file",
        message: `Cannot import a database that is not as warmcache makes them: it has ${found}`,
      });
    });
  }

  it("leaves nothing beside the database that is another one's", async () => {
    const file = await databaseWith(() => {});
    const folder = await temporaryFolder();
    const path = join(folder, databaseName(MODEL, machine.sha256));
    const { files } = machine;
    for (const ending of ["-journal", "-wal", "-shm"]) await files.replace(`${path}${ending}`, new Uint8Array(5));
    const withoutStore = <T>(work: () => Promise<T>): Promise<T> => work();
    const { signal } = new AbortController();
    const workplace = { runtime: machine, directory: folder, withoutStore } as unknown as Leader;
    await doTask(workplace, { name: "import", file, replace: false }, { signal, onProgress: () => {} });
    for (const ending of ["-journal", "-wal", "-shm"]) assert.equal(files.exists(`${path}${ending}`), false, ending);
  });
});
