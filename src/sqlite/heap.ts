/**
 * SQLite's memory, and its C functions: what statements need of an engine, however the engine came about
 * ({@link ./engine.ts}, {@link ./memory_engine.ts}).
 *
 * @module
 */

/** An address in SQLite's heap; 0 is null. */
export type Pointer = number;

/** The C functions that are used, as WASM exports (https://sqlite.org/c3ref/funclist.html). */
export interface RawSqlite {
  sqlite3_malloc(size: number): Pointer;
  sqlite3_free(pointer: Pointer): void;
  sqlite3_open_v2(name: Pointer, database: Pointer, flags: number, vfs: Pointer): number;
  sqlite3_close_v2(database: Pointer): number;
  sqlite3_exec(database: Pointer, sql: Pointer, callback: Pointer, argument: Pointer, message: Pointer): number;
  sqlite3_errmsg(database: Pointer): Pointer;
  sqlite3_changes(database: Pointer): number;
  /** `sqlite3_db_config` for options that are set by an integer. */
  sqlite3__wasm_db_config_ip(database: Pointer, option: number, value: number, result: Pointer): number;
  sqlite3_prepare_v3(
    database: Pointer,
    sql: Pointer,
    length: number,
    flags: number,
    statement: Pointer,
    tail: Pointer,
  ): number;
  sqlite3_finalize(statement: Pointer): number;
  sqlite3_step(statement: Pointer): number;
  sqlite3_reset(statement: Pointer): number;
  sqlite3_bind_parameter_count(statement: Pointer): number;
  sqlite3_bind_null(statement: Pointer, index: number): number;
  sqlite3_bind_int(statement: Pointer, index: number, value: number): number;
  sqlite3_bind_int64(statement: Pointer, index: number, value: bigint): number;
  sqlite3_bind_double(statement: Pointer, index: number, value: number): number;
  sqlite3_bind_text(statement: Pointer, index: number, text: Pointer, bytes: number, destructor: Pointer): number;
  sqlite3_bind_blob(statement: Pointer, index: number, blob: Pointer, bytes: number, destructor: Pointer): number;
  sqlite3_column_count(statement: Pointer): number;
  sqlite3_column_value(statement: Pointer, column: number): Pointer;
  sqlite3_column_type(statement: Pointer, column: number): number;
  sqlite3_column_double(statement: Pointer, column: number): number;
  sqlite3_column_blob(statement: Pointer, column: number): Pointer;
  sqlite3_column_bytes(statement: Pointer, column: number): number;
}

/** Result codes and types that are tested for by number (https://sqlite.org/rescode.html). */
export const SQLITE_OK = 0;
export const SQLITE_ROW = 100;
export const SQLITE_DONE = 101;
export const SQLITE_INTEGER = 1;
export const SQLITE_FLOAT = 2;
export const SQLITE_TEXT = 3;
export const SQLITE_BLOB = 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** SQLite's memory as bytes and texts. */
export class SqliteHeap {
  readonly raw: RawSqlite;
  readonly #memory: { readonly buffer: ArrayBuffer };
  #heap: Uint8Array<ArrayBuffer>;

  /** Over an instance's exports and its memory. */
  constructor(raw: RawSqlite, memory: { readonly buffer: ArrayBuffer }) {
    this.raw = raw;
    this.#memory = memory;
    this.#heap = new Uint8Array(memory.buffer);
  }

  /** All of SQLite's memory. Ask again after every call that may allocate: growing it detaches the old view. */
  get heap(): Uint8Array<ArrayBuffer> {
    if (this.#heap.byteLength === 0) this.#heap = new Uint8Array(this.#memory.buffer);
    return this.#heap;
  }

  /**
   * Memory that the caller frees with `raw.sqlite3_free`.
   *
   * @throws RangeError when there is none left.
   */
  allocate(size: number): Pointer {
    const pointer = this.raw.sqlite3_malloc(size);
    if (pointer === 0) throw new RangeError(`Cannot allocate memory in SQLite's heap: ${size} bytes`);
    return pointer;
  }

  /** Calls `run` with a zero-terminated UTF-8 copy of `text` that lives as long as the call. */
  withText<T>(text: string, run: (pointer: Pointer, bytes: number) => T): T {
    const bytes = encoder.encode(text);
    const pointer = this.allocate(bytes.byteLength + 1);
    try {
      this.heap.set(bytes, pointer);
      this.heap[pointer + bytes.byteLength] = 0;
      return run(pointer, bytes.byteLength);
    } finally {
      this.raw.sqlite3_free(pointer);
    }
  }

  /** Calls `run` with room for one pointer, and returns what it left there. */
  withOutput(run: (output: Pointer) => void): Pointer {
    const output = this.allocate(4);
    try {
      this.heap.fill(0, output, output + 4);
      run(output);
      return new DataView(this.heap.buffer).getUint32(output, true);
    } finally {
      this.raw.sqlite3_free(output);
    }
  }

  /** A zero-terminated UTF-8 string. */
  readText(pointer: Pointer): string {
    return decoder.decode(this.heap.subarray(pointer, this.heap.indexOf(0, pointer)));
  }
}
