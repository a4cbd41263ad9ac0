/** A row as bytes: the same bytes however it was read, other bytes for any other row. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { SqlValue } from "../../src/sqlite/driver.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { PackedRow, packedRows, packRow } from "../../src/sqlite/packed_row.ts";
import { temporaryFolder } from "../support/temporary.ts";

const ROWS: SqlValue[][] = [
  [null, 0, "", new Uint8Array(0)],
  [-1, 1.5, "text", Uint8Array.of(1, 2, 3)],
  [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, "größer 漢字 🦕", new Uint8Array(100_000).fill(7)],
  [2 ** 31, -(2 ** 31) - 1, "a".repeat(200), null],
  [2 ** 60, 0.1, "nul\0inside", Uint8Array.of(0)],
  [-0, Number.NaN, Infinity, "\ud800"],
];

describe("packed rows", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("are alike, packed from SQLite's heap or from values", async () => {
    const owned = await openDatabase({
      runtime: await loadRuntime(),
      path: `${folder}/rows.sqlite`,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      lockTimeout: 0,
      schema: (driver) => driver.exec("CREATE TABLE t (a ANY, b ANY, c ANY, d ANY) STRICT"),
    });
    const insert = owned.driver.prepare("INSERT INTO t VALUES (?, ?, ?, ?)");
    for (const row of ROWS) insert.run(...row);
    const select = owned.driver.prepare("SELECT * FROM t");
    assert.deepEqual(packedRows(select), ROWS.map((row) => packRow(row)));
    const byValues = { ...select, all: () => select.all(), run: () => 0, get: () => undefined, finalize() {} };
    assert.deepEqual(packedRows(byValues), ROWS.map((row) => packRow(row)));
    owned.close();
  });

  it("are whole where reading one column makes SQLite's memory grow", async () => {
    const owned = await openDatabase({
      runtime: await loadRuntime(),
      path: `${folder}/grown.sqlite`,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      lockTimeout: 0,
      schema: () => {},
    });
    // Zeros that are nowhere in memory until they are asked for.
    const [packed] = packedRows(owned.driver.prepare("SELECT 'text', x'0102', zeroblob(60000000 + random() % 1)"));
    const row = new PackedRow(packed!);
    assert.deepEqual([row.text(0), row.blob(1), row.blob(2)?.byteLength], ["text", Uint8Array.of(1, 2), 60_000_000]);
    owned.close();
  });

  it("are read by column, of the right type or null, in any order", () => {
    const row = new PackedRow(packRow([1, "zwölf", null, Uint8Array.of(9), "long ".repeat(20), 5, -0.5]));
    assert.equal(row.number(6), -0.5);
    assert.equal(row.number(0), 1);
    assert.equal(row.text(1), "zwölf");
    assert.equal(row.blob(2), null);
    assert.deepEqual(row.blob(3), Uint8Array.of(9));
    assert.equal(row.text(4), "long ".repeat(20));
    assert.equal(row.text(5), null);
    assert.equal(row.number(4), null);
  });

  it("differ where rows differ", () => {
    const rows: SqlValue[][] = [["ab", "c"], ["a", "bc"], [null, "abc"], [Uint8Array.of(97, 98), "c"], ["1", 1], [
      1,
      "1",
    ]];
    const packed = new Set(rows.map((row) => packRow(row).join()));
    assert.equal(packed.size, rows.length);
  });
});
