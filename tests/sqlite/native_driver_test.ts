/** The runtime's own SQLite as a driver. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SqliteError } from "../../src/sqlite/error.ts";
import { nativeDriver } from "../../src/sqlite/native_driver.ts";
import { openNative } from "../store/sql/native_database.ts";
import { temporaryFolder } from "../support/temporary.ts";

function fails(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SqliteError && error.code === code;
}

describe("nativeDriver", () => {
  it("keeps every kind of value", async () => {
    const driver = nativeDriver(await openNative(":memory:"));
    driver.exec("CREATE TABLE a (value ANY) STRICT");
    const values = [null, 0, -5, 2 ** 40, 2.5, "", "größe", new Uint8Array([0, 255])];
    const insert = driver.prepare("INSERT INTO a VALUES (?) RETURNING rowid");
    for (const [index, value] of values.entries()) assert.deepEqual(insert.get(value), [index + 1]);
    const read = driver.prepare("SELECT value FROM a ORDER BY rowid").all().flat();
    assert.deepEqual(read.map((value) => value instanceof Uint8Array ? new Uint8Array(value) : value), values);
    assert.equal(driver.prepare("DELETE FROM a WHERE value IS NOT NULL").run(), 7);
    assert.equal(driver.prepare("SELECT 1 WHERE 0").get(), undefined);
    driver.close();
    driver.close();
  });

  it("says what SQLite refuses, by name", async () => {
    const path = join(await temporaryFolder(), "native.sqlite");
    const driver = nativeDriver(await openNative(path));
    assert.throws(() => driver.prepare("SELECT x FROM nothing").all(), fails("SQLITE_ERROR"));
    driver.exec("CREATE TABLE a (x PRIMARY KEY)");
    const insert = driver.prepare("INSERT INTO a VALUES (?)");
    insert.run(1);
    assert.throws(() => insert.run(1), fails("SQLITE_CONSTRAINT"));
    const other = nativeDriver(await openNative(path));
    other.exec("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE");
    driver.exec("PRAGMA busy_timeout = 0");
    assert.throws(() => insert.run(2), fails("SQLITE_BUSY"));
    other.exec("ROLLBACK");
    assert.equal(insert.run(2), 1);
    for (const each of [driver, other]) each.close();
  });
});
