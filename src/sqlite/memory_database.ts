/**
 * A database in memory, which comes from bytes and becomes bytes again: those of a database file, which any SQLite opens.
 *
 * @module
 */

import type { SqlDriver } from "./driver.ts";
import { SqliteError } from "./error.ts";
import { type Pointer, SQLITE_OK } from "./heap.ts";
import { loadMemoryEngine, type MemoryEngine } from "./memory_engine.ts";
import { type StatementHost, WasmStatement } from "./statement.ts";

const SQLITE_OPEN_READWRITE = 0x2;
const SQLITE_OPEN_CREATE = 0x4;
const SQLITE_OPEN_MEMORY = 0x80;
const SQLITE_PREPARE_PERSISTENT = 1;
/** SQLite frees the bytes it was given, and may make them more. */
const SQLITE_DESERIALIZE_FREEONCLOSE = 1;
const SQLITE_DESERIALIZE_RESIZEABLE = 2;

/** A driver on a database in memory. */
export interface MemorySqlDriver extends SqlDriver {
  /**
   * The database as the bytes of a file, to be kept somewhere (R2, KV, a disk) and opened from again. Not to be taken in
   * a transaction.
   *
   * @throws SqliteError
   */
  snapshot(): Uint8Array<ArrayBuffer>;
}

/**
 * Opens a database in memory: an empty one, or that in the bytes of a {@link MemorySqlDriver.snapshot}.
 *
 * @throws FileError when sqlite3.wasm is nowhere; say where it is with `provideWasm`.
 * @throws SqliteError `SQLITE_NOTADB` or `SQLITE_CORRUPT` when the bytes are no database.
 */
export async function openMemoryDatabase(snapshot?: Uint8Array): Promise<MemorySqlDriver> {
  return new MemoryDatabase(await loadMemoryEngine(), snapshot);
}

class MemoryDatabase implements MemorySqlDriver, StatementHost {
  readonly engine: MemoryEngine;
  /** Cells are read by way of the API: they are proved once per engine, for databases in files. */
  readonly cells = undefined;
  readonly #statements = new Set<WasmStatement>();
  #database: Pointer;

  constructor(engine: MemoryEngine, snapshot: Uint8Array | undefined) {
    this.engine = engine;
    const flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
    let code = SQLITE_OK;
    this.#database = engine.withText(":memory:", (name) =>
      engine.withOutput((output) => {
        code = engine.raw.sqlite3_open_v2(name, output, flags, 0);
      }));
    try {
      if (code !== SQLITE_OK) throw this.failure("open it", code);
      if (snapshot === undefined) return;
      this.#restore(snapshot);
      // Whether it is a database at all, SQLite finds out when it first looks.
      this.exec("SELECT count(*) FROM sqlite_schema");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  exec(sql: string): void {
    const database = this.#open();
    const code = this.engine.withText(sql, (text) => this.engine.raw.sqlite3_exec(database, text, 0, 0, 0));
    if (code !== SQLITE_OK) throw this.failure(`run ${sql.trim().split("\n", 1)[0]}`, code);
  }

  prepare(sql: string): WasmStatement {
    const database = this.#open();
    let code = SQLITE_OK;
    const pointer = this.engine.withText(sql, (text, length) =>
      this.engine.withOutput((output) => {
        code = this.engine.raw.sqlite3_prepare_v3(database, text, length, SQLITE_PREPARE_PERSISTENT, output, 0);
      }));
    if (code !== SQLITE_OK) throw this.failure(`prepare ${sql}`, code);
    const statement = new WasmStatement(this, pointer, sql);
    this.#statements.add(statement);
    return statement;
  }

  snapshot(): Uint8Array<ArrayBuffer> {
    const { raw } = this.engine;
    const database = this.#open();
    const size = this.engine.allocate(8);
    let bytes: Pointer = 0;
    try {
      bytes = this.engine.withText("main", (schema) => raw.sqlite3_serialize(database, schema, size, 0));
      if (bytes === 0) throw this.failure("take a snapshot of it: no memory", 7);
      const length = Number(new DataView(this.engine.heap.buffer).getBigInt64(size, true));
      return this.engine.heap.slice(bytes, bytes + length);
    } finally {
      raw.sqlite3_free(bytes);
      raw.sqlite3_free(size);
    }
  }

  close(): void {
    if (this.#database === 0) return;
    for (const statement of this.#statements) statement.finalize();
    this.engine.raw.sqlite3_close_v2(this.#database);
    this.#database = 0;
  }

  changes(): number {
    return this.engine.raw.sqlite3_changes(this.#database);
  }

  failure(action: string, code: number): SqliteError {
    const text = this.engine.readText(this.engine.raw.sqlite3_errmsg(this.#database));
    return new SqliteError(`Cannot ${action} in a database in memory: ${text}`, this.engine.codeName(code));
  }

  forget(statement: WasmStatement): void {
    this.#statements.delete(statement);
  }

  /** Gives SQLite a copy of the bytes, which is its to free even when it refuses them. */
  #restore(snapshot: Uint8Array): void {
    const size = snapshot.byteLength;
    const bytes = this.engine.allocate(Math.max(1, size));
    this.engine.heap.set(snapshot, bytes);
    const flags = SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE;
    const code = this.engine.withText(
      "main",
      (schema) => this.engine.raw.sqlite3_deserialize(this.#database, schema, bytes, BigInt(size), BigInt(size), flags),
    );
    if (code !== SQLITE_OK) throw this.failure("open a snapshot", code);
  }

  #open(): Pointer {
    if (this.#database !== 0) return this.#database;
    throw new SqliteError("Cannot use a database in memory: it was closed", "SQLITE_MISUSE");
  }
}
