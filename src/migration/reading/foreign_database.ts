/**
 * SQLite databases of other programs, read and never changed: a few rows at a time, each time on a connection of its own,
 * so that nobody who writes there is kept waiting and no large file is held open.
 *
 * @module
 */

import { nextTurn } from "../../cache/flow/turns.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { SqlDriver, SqlRow } from "../../sqlite/driver.ts";
import { readDatabase } from "../../sqlite/open.ts";
import { CacheError } from "../../store/error.ts";

/** Bytes of one value that are taken into memory at most. */
export const LONGEST_VALUE: number = 64 * 1024 * 1024;
/** Rows whose values are read in one turn of the event loop, and the bytes of values after which no more are. */
const PAGE_ROWS = 32;
const PAGE_BYTES = 1024 * 1024;

/** SQLite's first 16 bytes: https://sqlite.org/fileformat2.html#the_database_header */
const MAGIC = "SQLite format 3\0";

/** A table to be read. Its names are written into SQL and must be the reader's own. */
export interface ForeignTable {
  readonly table: string;
  readonly columns: readonly string[];
  /** Those of the columns that may be long: their lengths are looked at first. */
  readonly long: readonly string[];
}

/** A row; `undefined` in place of a value that is longer than {@link LONGEST_VALUE}. */
export interface ForeignRow {
  readonly rowid: number;
  readonly values: Readonly<Record<string, SqlRow[number] | undefined>>;
}

/** Whether a file begins as a SQLite database does. */
export function isDatabase({ files }: Runtime, path: string): boolean {
  const file = files.open(path, "read");
  try {
    const start = new Uint8Array(MAGIC.length);
    return file.read(start, 0) === MAGIC.length && String.fromCharCode(...start) === MAGIC;
  } finally {
    file.close();
  }
}

/**
 * The tables of a database, and their columns.
 *
 * @throws CacheError `corrupt` when it cannot be read; `locked` when somebody keeps everybody else out.
 */
export async function tablesOf(runtime: Runtime, path: string): Promise<Map<string, readonly string[]>> {
  return await look(runtime, path, (driver) => {
    const names = rows(driver, "SELECT name FROM sqlite_schema WHERE type = 'table'").map(([name]) => String(name));
    return new Map(names.map((name) => {
      const columns = rows(driver, `SELECT name FROM pragma_table_info(${quoted(name)})`);
      return [name, columns.map(([column]) => String(column))];
    }));
  });
}

/** How many rows a table has. */
export async function countRows(runtime: Runtime, path: string, table: string): Promise<number> {
  const [[count] = []] = await look(runtime, path, (driver) => rows(driver, `SELECT count(*) FROM "${table}"`));
  return typeof count === "number" ? count : 0;
}

/**
 * All rows of a table, by rowid.
 *
 * @throws as {@link tablesOf} does.
 */
export async function* rowsOf(runtime: Runtime, path: string, from: ForeignTable): AsyncGenerator<ForeignRow> {
  const { table, columns, long } = from;
  const value = (name: string): string => {
    const column = `"${name}"`;
    return long.includes(name)
      ? `CASE WHEN length(CAST(${column} AS BLOB)) <= ${LONGEST_VALUE} THEN ${column} END, ${column} IS NULL`
      : `${column}, ${column} IS NULL`;
  };
  const sql = `SELECT rowid, ${columns.map(value).join(", ")} FROM "${table}" WHERE rowid > ? ORDER BY rowid LIMIT 1`;
  let last = -Number.MAX_SAFE_INTEGER;
  for (;;) {
    const page = await look(runtime, path, (driver): ForeignRow[] => {
      const statement = driver.prepare(sql);
      const read: ForeignRow[] = [];
      let bytes = 0;
      while (read.length < PAGE_ROWS && bytes < PAGE_BYTES) {
        const row = statement.get(read.at(-1)?.rowid ?? last);
        if (row === undefined) break;
        const values = columns.map((name, index) => {
          const found = row[1 + 2 * index]!;
          bytes += typeof found === "string" || found instanceof Uint8Array ? found.length : 8;
          return [name, found === null && row[2 + 2 * index] === 0 ? undefined : found] as const;
        });
        read.push({ rowid: row[0] as number, values: Object.fromEntries(values) });
      }
      statement.finalize();
      return read;
    });
    if (page.length === 0) return;
    yield* page;
    last = page.at(-1)!.rowid;
    await nextTurn(runtime.clock);
  }
}

async function look<T>(runtime: Runtime, path: string, use: (driver: SqlDriver) => T): Promise<T> {
  try {
    return await readDatabase(runtime, path, use);
  } catch (cause) {
    const code = String(Object(cause).code ?? "");
    const isHeld = code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED");
    const isFile = Object(cause).name === "FileError" || code.startsWith("SQLITE_READONLY");
    throw new CacheError(
      isHeld ? "locked" : isFile ? "unavailable" : "corrupt",
      `Cannot read ${path}: ${messageOf(cause)}; ${
        isHeld
          ? "close the program that uses it and begin again"
          : isFile
          ? "open and close it once with the program it belongs to, or copy it somewhere that can be read"
          : "recover it with the sqlite3 shell (.recover) and migrate the copy"
      }`,
      { cause },
    );
  }
}

function rows(driver: SqlDriver, sql: string): SqlRow[] {
  const statement = driver.prepare(sql);
  try {
    return statement.all();
  } finally {
    statement.finalize();
  }
}

function quoted(name: string): string {
  return `'${name.replaceAll("'", "''")}'`;
}
