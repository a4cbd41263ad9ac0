/**
 * The small part of SQLite that a store needs, so that another SQLite can stand in for the WASM one: a Durable
 * Object's SQL, `node:sqlite`, `bun:sqlite`, or SQLite in memory. Synchronous throughout.
 *
 * @module
 */

/** A value in a row or bound to a parameter. Integers are safe ones; bytes read from a row belong to the caller. */
export type SqlValue = null | number | string | Uint8Array;

/** One row, values in the order of the statement's columns. */
export type SqlRow = readonly SqlValue[];

/** A prepared statement; parameters are bound by position. */
export interface SqlStatement {
  /** Runs it to its end; returns how many rows it changed. */
  run(...parameters: SqlValue[]): number;
  /** Its first row, if there is one. */
  get(...parameters: SqlValue[]): SqlRow | undefined;
  /** All its rows. */
  all(...parameters: SqlValue[]): SqlRow[];
  /** Frees it. */
  finalize(): void;
}

/** An open database. Methods throw {@link ./error.ts SqliteError}. */
export interface SqlDriver {
  /** Runs one or more statements without parameters. */
  exec(sql: string): void;
  /** Prepares one statement; the caller finalizes it, or closing the database does. */
  prepare(sql: string): SqlStatement;
  /**
   * Runs `action` in a write transaction: all of it happens, or nothing, and what `action` throws is thrown. Absent where
   * `BEGIN IMMEDIATE`, `COMMIT` and `ROLLBACK` do that.
   */
  transaction?<T>(action: () => T): T;
  /** Bytes that the whole database takes. Absent where `PRAGMA page_count` and `page_size` say it. */
  size?(): number;
  /** Closes the database and frees its statements. Closing twice is no error. */
  close(): void;
}
