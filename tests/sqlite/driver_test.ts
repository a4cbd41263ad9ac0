/** The WASM driver: statements, values, errors. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { SqlDriver, SqlValue } from "../../src/sqlite/driver.ts";
import type { OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe("WasmDatabase", () => {
  let owned: OpenDatabase;
  let driver: SqlDriver;
  before(async () => {
    owned = await openDatabase({
      runtime: await loadRuntime(),
      path: `${await temporaryFolder()}/driver.sqlite`,
      create: true,
      locking: "exclusive",
      synchronous: "full",
      lockTimeout: 0,
      schema: (driver) => driver.exec("CREATE TABLE t (a, b)"),
    });
    driver = owned.driver;
  });
  after(() => owned.close());

  it("runs several statements at once", () => {
    driver.exec("INSERT INTO t VALUES (1, 'one'); INSERT INTO t VALUES (2, 'two')");
    const rows = driver.prepare("SELECT a, b FROM t ORDER BY a").all();
    assert.deepEqual(rows, [[1, "one"], [2, "two"]]);
  });

  it("run returns how many rows changed, get the first row or undefined", () => {
    assert.equal(driver.prepare("UPDATE t SET b = ? WHERE a < ?").run("more", 10), 2);
    assert.deepEqual(driver.prepare("SELECT b FROM t WHERE a = ?").get(2), ["more"]);
    assert.equal(driver.prepare("SELECT b FROM t WHERE a = ?").get(99), undefined);
  });

  it("keeps values as they are, large ones too", () => {
    const echo = driver.prepare("SELECT ?, ?, ?, ?, ?");
    const large = new Uint8Array(3_000_000).fill(5);
    assert.deepEqual(echo.get(large, "ü", null, 2 ** 40, -0.5), [large, "ü", null, 2 ** 40, -0.5]);
    assert.deepEqual(echo.get(new Uint8Array(0), "", 0, -1, "x"), [new Uint8Array(0), "", 0, -1, "x"]);
    const marked = "\ufeff\ufeff: a byte order mark, which is a character here";
    assert.deepEqual(echo.get("\ufeff", marked, 0, 0, 0), ["\ufeff", marked, 0, 0, 0]);
  });

  it("binds anew whatever differs from the call before: type, length, number, or only the bytes", () => {
    const echo = driver.prepare("SELECT ?, ?");
    const calls: SqlValue[][] = [
      [Uint8Array.of(1, 2), 1],
      [Uint8Array.of(3, 4), 1],
      [Uint8Array.of(5, 6), 2],
      [Uint8Array.of(7), 2],
      [Uint8Array.of(8), Uint8Array.of(9, 9)],
      [Uint8Array.of(10), Uint8Array.of(11, 12)],
      ["text", Uint8Array.of(13, 14)],
      ["next", Uint8Array.of(15, 16)],
      [null, 0],
      [2, Uint8Array.of(17)],
      [2, Uint8Array.of(18)],
    ];
    for (const values of calls) {
      assert.deepEqual(echo.get(...values), values);
      assert.deepEqual(echo.all(...values), [values], "once more, run to its end");
    }
    const found = driver.prepare("SELECT 1 FROM t WHERE a = ?");
    driver.exec("DELETE FROM t; INSERT INTO t VALUES (x'0102', 0)");
    const keys = [Uint8Array.of(1, 2), Uint8Array.of(1, 3), Uint8Array.of(1, 2)];
    assert.deepEqual(keys.map((key) => found.all(key).length), [1, 0, 1]);
    driver.exec("DELETE FROM t");
    assert.deepEqual(keys.map((key) => found.all(key).length), [0, 0, 0]);
  });

  it("rows belong to the caller: a later statement does not change them", () => {
    const echo = driver.prepare("SELECT ?");
    const first = echo.get(Uint8Array.of(1, 1, 1))![0];
    echo.get(Uint8Array.of(2, 2, 2));
    assert.deepEqual(first, Uint8Array.of(1, 1, 1));
  });

  it("says what was tried, where, and SQLite's reason", () => {
    assert.throws(() => driver.exec("SELECT * FROM nowhere"), {
      name: "SqliteError",
      code: "SQLITE_ERROR",
      message: /^Cannot run SELECT \* FROM nowhere in .*driver\.sqlite: no such table: nowhere$/,
    });
    assert.throws(() => driver.prepare("SELEC"), { code: "SQLITE_ERROR", message: /syntax error/ });
    driver.exec("CREATE TABLE one (a PRIMARY KEY); INSERT INTO one VALUES (1)");
    assert.throws(() => driver.prepare("INSERT INTO one VALUES (?)").run(1), { code: "SQLITE_CONSTRAINT" });
  });

  it("refuses the wrong number of parameters, and a finalized statement", () => {
    const statement = driver.prepare("SELECT ?");
    assert.throws(() => statement.get(), TypeError);
    assert.throws(() => statement.get(1, 2), TypeError);
    statement.finalize();
    statement.finalize();
    assert.throws(() => statement.get(1), TypeError);
  });

  it("is quiet on the console when a statement fails", (context) => {
    const error = context.mock.method(console, "error");
    const warn = context.mock.method(console, "warn");
    assert.throws(() => driver.exec("SELECT * FROM nowhere"));
    assert.equal(error.mock.callCount() + warn.mock.callCount(), 0);
  });

  it("cannot reach another file", () => {
    assert.throws(() => driver.exec("ATTACH '/tmp/other.sqlite' AS other"), { code: "SQLITE_CANTOPEN" });
  });
});
