/** A database in memory: SQLite's .wasm alone, without a file system, and snapshots that any SQLite opens. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import { SqliteError } from "../../src/sqlite/error.ts";
import { openMemoryDatabase } from "../../src/sqlite/memory_database.ts";
import { openNative } from "../store/sql/native_database.ts";
import { temporaryFolder } from "../support/temporary.ts";

await loadRuntime();

function fails(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SqliteError && error.code === code;
}

describe("openMemoryDatabase", () => {
  it("keeps every kind of value, texts with zeros and byte order marks too", async () => {
    const database = await openMemoryDatabase();
    database.exec("CREATE TABLE a (value ANY) STRICT");
    const values = [null, 0, -5, 2 ** 40, 2.5, "", "größe\0\ufeff", new Uint8Array(0), new Uint8Array([0, 255])];
    const insert = database.prepare("INSERT INTO a VALUES (?) RETURNING rowid");
    for (const [index, value] of values.entries()) assert.deepEqual(insert.get(value), [index + 1]);
    assert.deepEqual(database.prepare("SELECT value FROM a ORDER BY rowid").all().flat(), values);
    assert.equal(database.prepare("DELETE FROM a WHERE value IS NULL").run(), 1);
    database.close();
  });

  it("gives each its own database", async () => {
    const [one, other] = [await openMemoryDatabase(), await openMemoryDatabase()];
    one.exec("CREATE TABLE a (x)");
    assert.throws(() => other.exec("SELECT * FROM a"), fails("SQLITE_ERROR"));
    for (const each of [one, other]) each.close();
  });

  it("knows what time it is", async () => {
    const database = await openMemoryDatabase();
    const [seconds] = database.prepare("SELECT unixepoch('now')").get()!;
    assert.ok(Math.abs((seconds as number) - Date.now() / 1000) < 60);
    database.close();
  });

  it("says what SQLite refuses, by name", async () => {
    const database = await openMemoryDatabase();
    assert.throws(() => database.exec("SELEC"), fails("SQLITE_ERROR"));
    assert.throws(() => database.prepare("SELECT x FROM nothing"), fails("SQLITE_ERROR"));
    database.exec("CREATE TABLE a (x PRIMARY KEY); INSERT INTO a VALUES (1)");
    assert.throws(() => database.exec("INSERT INTO a VALUES (1)"), fails("SQLITE_CONSTRAINT"));
    database.close();
    database.close();
    assert.throws(() => database.exec("SELECT 1"), fails("SQLITE_MISUSE"));
  });

  it("takes back what a transaction did that was rolled back, many megabytes too", async () => {
    const database = await openMemoryDatabase();
    database.exec("CREATE TABLE a (x BLOB)");
    database.exec("BEGIN IMMEDIATE");
    const insert = database.prepare("INSERT INTO a VALUES (?)");
    for (let time = 0; time < 20; time++) insert.run(new Uint8Array(1024 * 1024));
    database.exec("ROLLBACK");
    assert.deepEqual(database.prepare("SELECT count(*) FROM a").get(), [0]);
    database.close();
  });
});

describe("snapshot", () => {
  it("is a database again, which goes on from there and leaves the first alone", async () => {
    const first = await openMemoryDatabase();
    first.exec("CREATE TABLE a (x); INSERT INTO a VALUES ('first')");
    const second = await openMemoryDatabase(first.snapshot());
    second.exec("INSERT INTO a SELECT 'second' FROM (VALUES (1), (2), (3))");
    assert.deepEqual(second.prepare("SELECT count(*) FROM a").get(), [4]);
    assert.deepEqual(first.prepare("SELECT count(*) FROM a").get(), [1]);
    const third = await openMemoryDatabase(second.snapshot());
    assert.deepEqual(third.prepare("SELECT count(*) FROM a").get(), [4]);
    for (const each of [first, second, third]) each.close();
  });

  it("is a file that the runtime's own SQLite opens", async () => {
    const database = await openMemoryDatabase();
    database.exec("CREATE TABLE a (x); INSERT INTO a VALUES (7)");
    const path = join(await temporaryFolder(), "snapshot.sqlite");
    await writeFile(path, database.snapshot());
    database.close();
    const native = await openNative(path);
    native.exec("INSERT INTO a VALUES (8)");
    native.close();
  });

  it("of an empty database is one", async () => {
    const empty = await openMemoryDatabase();
    const again = await openMemoryDatabase(empty.snapshot());
    again.exec("CREATE TABLE a (x)");
    for (const each of [empty, again]) each.close();
  });

  it("that is none is refused", async () => {
    await assert.rejects(openMemoryDatabase(new Uint8Array(5000).fill(7)), fails("SQLITE_NOTADB"));
    const database = await openMemoryDatabase();
    database.exec(
      "CREATE TABLE a (x); INSERT INTO a SELECT randomblob(1000) FROM (VALUES (1), (2), (3), (4), (5), (6))",
    );
    const half = database.snapshot().slice(0, 5000);
    await assert.rejects(openMemoryDatabase(half), fails("SQLITE_CORRUPT"));
    database.close();
  });
});
