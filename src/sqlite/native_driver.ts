/**
 * The SQLite that comes with a runtime, as a {@link SqlDriver}: `node:sqlite`'s `DatabaseSync` (Node, Deno) and
 * `bun:sqlite`'s `Database`. They are handed in, open, so nothing here names either of them.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { SqlDriver, SqlStatement, SqlValue } from "./driver.ts";
import { SqliteError } from "./error.ts";

/** As much of an open database of the runtime's own as is used. */
export interface NativeDatabase {
  /** Runs statements. */
  exec(sql: string): unknown;
  /** Prepares one. */
  prepare(sql: string): NodeStatement | BunStatement;
  /** Closes it. */
  close(): void;
}

/** As much of a statement of `node:sqlite` as is used. */
export interface NodeStatement {
  /** Runs it to its end. */
  run(...parameters: SqlValue[]): { readonly changes: number | bigint };
  /** Its rows, as arrays once it was told so. */
  all(...parameters: SqlValue[]): unknown;
  /** Whether its rows are arrays. */
  setReturnArrays(enabled: boolean): void;
}

/** As much of a statement of `bun:sqlite` as is used. */
export interface BunStatement {
  /** Runs it to its end. */
  run(...parameters: SqlValue[]): { readonly changes: number };
  /** Its rows as arrays. */
  values(...parameters: SqlValue[]): unknown;
}

/** By the last byte of SQLite's result codes (https://sqlite.org/rescode.html), what a store tells apart. */
const CODES: Readonly<Record<number, string>> = {
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  18: "SQLITE_TOOBIG",
  19: "SQLITE_CONSTRAINT",
  26: "SQLITE_NOTADB",
};

/** An open database of the runtime's own. Closing the driver closes it. */
export function nativeDriver(database: NativeDatabase): SqlDriver {
  let isClosed = false;
  return {
    exec: (sql) => attempt(sql, () => void database.exec(sql)),
    prepare: (sql) => attempt(sql, () => statementOf(database.prepare(sql), sql)),
    close() {
      if (isClosed) return;
      isClosed = true;
      database.close();
    },
  };
}

function statementOf(statement: NodeStatement | BunStatement, sql: string): SqlStatement {
  if ("setReturnArrays" in statement) statement.setReturnArrays(true);
  const rows = (parameters: readonly SqlValue[]): SqlValue[][] =>
    attempt(sql, () => {
      const found = "values" in statement ? statement.values(...parameters) : statement.all(...parameters);
      return found as SqlValue[][];
    });
  return {
    run: (...parameters) => attempt(sql, () => Number(statement.run(...parameters).changes)),
    get: (...parameters) => rows(parameters)[0],
    all: (...parameters) => rows(parameters),
    // It goes with the last that knows it.
    finalize() {},
  };
}

function attempt<T>(sql: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new SqliteError(`Cannot run ${sql.trim().split("\n", 1)[0]}: ${messageOf(cause)}`, codeOf(cause), { cause });
  }
}

/** Node calls the number one thing, Bun another; it may be an extended one. */
function codeOf(cause: unknown): string {
  const { errcode, errno } = cause as { readonly errcode?: unknown; readonly errno?: unknown };
  const code = typeof errcode === "number" ? errcode : typeof errno === "number" ? errno : 0;
  return CODES[code & 0xff] ?? "SQLITE_ERROR";
}
