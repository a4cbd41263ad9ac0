/** Rows read from SQLite's memory: never other than through the API, whatever the cells hold. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { WasmDatabase } from "../../src/sqlite/database.ts";
import type { SqlValue } from "../../src/sqlite/driver.ts";
import type { OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { ResultCells } from "../../src/sqlite/result_cells.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe("ResultCells", () => {
  let owned: OpenDatabase;
  let driver: WasmDatabase;
  before(async () => {
    owned = await openDatabase({
      runtime: await loadRuntime(),
      path: `${await temporaryFolder()}/cells.sqlite`,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      lockTimeout: 0,
      schema: (driver) => driver.exec("CREATE TABLE t (a ANY, b ANY, c TEXT, d REAL) STRICT; CREATE TABLE u (a, b)"),
    });
    driver = owned.driver as WasmDatabase;
  });
  after(() => owned.close());

  /** A statement's rows, packed and as values, read both ways. */
  function bothWays(sql: string, ...parameters: SqlValue[]): unknown[][] {
    const statement = driver.prepare(sql);
    const cells = driver.cells;
    try {
      return [cells, undefined].map((how) => {
        driver.cells = how;
        return [
          statement.packed(...parameters).map((row) => Buffer.from(row).toString("latin1")),
          statement.all(...parameters),
        ];
      });
    } finally {
      driver.cells = cells;
      statement.finalize();
    }
  }

  it("are used: this build keeps its rows as expected", () => {
    assert.ok(driver.cells instanceof ResultCells);
  });

  it("read random rows of a table as the API does", () => {
    const random = seeded(7);
    const insert = driver.prepare("INSERT INTO t VALUES (?, ?, ?, ?)");
    driver.exec("BEGIN");
    for (let row = 0; row < 500; row++) {
      const [a, b] = [randomValue(random), randomValue(random)];
      insert.run(a, b, random() < 0.5 ? null : randomText(random), random() < 0.2 ? 3 : random() * 1e9);
    }
    driver.exec("COMMIT");
    const [byCells, byApi] = bothWays("SELECT a, b, c, d, rowid FROM t");
    assert.deepEqual(byCells, byApi);
  });

  it("read what expressions make as the API does", () => {
    const expressions = [
      "zeroblob(0), zeroblob(5), zeroblob(70000), 1",
      "CAST(x'ff00' AS TEXT), CAST('abc' AS BLOB), CAST(12 AS TEXT), CAST('12' AS INTEGER), CAST(5 AS REAL)",
      "9223372036854775807, -9223372036854775808, 9007199254740993, -0.0, 1e308 * 10, 0.1 + 0.2",
      "'', x'', NULL, char(0), 'a' || char(0) || 'b', upper('x'), hex(randomblob(0)) IS NULL",
      "json('{\"a\":1}'), json_extract('{\"a\":1.5}', '$.a'), count(*), total(1), max('z'), sum(2)",
    ];
    for (const expression of expressions) {
      const [byCells, byApi] = bothWays(`SELECT ${expression}`);
      assert.deepEqual(byCells, byApi, expression);
    }
  });

  it("read cells that are several things at once as the API does", () => {
    driver.exec("INSERT INTO u VALUES (12, '12'), ('7', 7), (x'3132', 1.0), (1e15, 3.0)");
    const [byCells, byApi] = bothWays(
      "SELECT a, b, a || '', a + 0, a = b, length(a), typeof(a), a, b FROM u ORDER BY a",
    );
    assert.deepEqual(byCells, byApi);
  });

  it("read bound values as the API does, also after SQLite's memory grew", () => {
    const values: SqlValue[] = [
      null,
      0,
      -1,
      2 ** 31,
      -(2 ** 40),
      2 ** 53 - 1,
      0.5,
      "",
      "text",
      "größer",
      new Uint8Array(3),
    ];
    const marks = values.map(() => "?").join(", ");
    const [byCells, byApi] = bothWays(`SELECT ${marks}`, ...values);
    assert.deepEqual(byCells, byApi);
    const large = new Uint8Array(20_000_000);
    assert.deepEqual(driver.prepare("SELECT length(?), ?1 IS NULL").get(large), [large.byteLength, 0]);
    assert.deepEqual(bothWays(`SELECT ${marks}`, ...values), [byCells, byApi]);
  });

  it("do not share memory that is used again", () => {
    const statement = driver.prepare("SELECT ?");
    const rows = [];
    for (let index = 0; index < 300; index++) rows.push(statement.packed(new Uint8Array(200 + index).fill(index))[0]!);
    for (const [index, row] of rows.entries()) {
      assert.deepEqual(row.subarray(5), new Uint8Array(200 + index).fill(index));
    }
  });
});

/** Numbers in [0, 1), the same every time: the "minimal standard" generator of Park and Miller. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff;
}

function randomValue(random: () => number): SqlValue {
  const kind = Math.floor(random() * 7);
  if (kind === 0) return null;
  if (kind === 1) return Math.floor(random() * 256) - 128;
  if (kind === 2) return Math.floor((random() - 0.5) * 2 ** 53);
  if (kind === 3) return (random() - 0.5) * 10 ** Math.floor(random() * 300);
  if (kind === 4) return Math.floor(random() * 3);
  if (kind === 5) return randomText(random);
  return Uint8Array.from({ length: Math.floor(random() ** 4 * 20_000) }, () => random() * 256);
}

function randomText(random: () => number): string {
  const letters = ["a", "Z", "0", "ß", "漢", "🦕", " "];
  return Array.from({ length: Math.floor(random() ** 3 * 100) }, () => letters[Math.floor(random() * 7)]).join("");
}
