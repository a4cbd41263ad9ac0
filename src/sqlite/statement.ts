/**
 * A prepared statement on the raw C API. Parameters that are bytes or text are copied once, into a buffer in SQLite's
 * heap that the statement keeps, and bound without another copy; results are read straight from the heap.
 *
 * This is the measured hot path of a lookup: it trades some repetition for calls saved.
 *
 * @module
 */

import type { SqlRow, SqlValue } from "./driver.ts";
import type { Engine, Pointer, RawSqlite } from "./engine.ts";
import {
  SQLITE_BLOB,
  SQLITE_DONE,
  SQLITE_FLOAT,
  SQLITE_INTEGER,
  SQLITE_OK,
  SQLITE_ROW,
  SQLITE_TEXT,
} from "./engine.ts";
import type { PackingStatement } from "./packed_row.ts";
import { PACKED_BLOB, PACKED_INTEGER, PACKED_NULL, PACKED_REAL, PACKED_TEXT } from "./packed_row.ts";

/** What a statement needs of its database. */
export interface StatementHost {
  readonly engine: Engine;
  /** Rows changed by the last statement that changed any. */
  changes(): number;
  /** The error for a result code. */
  failure(action: string, code: number): Error;
  /** Called once when the statement is finalized. */
  forget(statement: WasmStatement): void;
}

/** A larger buffer is given back after use. */
const KEPT_BYTES = 64 * 1024;
/** `sqlite3_bind_*` destructor that says the bytes stay where they are. */
const SQLITE_STATIC = 0;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NO_ROWS: readonly never[] = Object.freeze([]);

// One row is packed at a time in the whole process, so all statements share the room for it.
const SCRATCH_BYTES = 1024 * 1024;
let scratch = new Uint8Array(KEPT_BYTES);
let scratchView = new DataView(scratch.buffer);

/** A statement of {@link ./database.ts WasmDatabase}. */
export class WasmStatement implements PackingStatement {
  readonly #host: StatementHost;
  readonly #raw: RawSqlite;
  readonly #sql: string;
  readonly #parameters: number;
  readonly #columns: number;
  #statement: Pointer;
  #buffer: Pointer = 0;
  #capacity = 0;

  constructor(host: StatementHost, statement: Pointer, sql: string) {
    this.#host = host;
    this.#raw = host.engine.raw;
    this.#sql = sql;
    this.#statement = statement;
    this.#parameters = this.#raw.sqlite3_bind_parameter_count(statement);
    this.#columns = this.#raw.sqlite3_column_count(statement);
  }

  run(...parameters: SqlValue[]): number {
    this.#bind(parameters);
    try {
      while (this.#step());
      return this.#host.changes();
    } finally {
      this.#reset();
    }
  }

  get(...parameters: SqlValue[]): SqlRow | undefined {
    this.#bind(parameters);
    try {
      return this.#step() ? this.#row() : undefined;
    } finally {
      this.#reset();
    }
  }

  all(...parameters: SqlValue[]): SqlRow[] {
    this.#bind(parameters);
    try {
      const rows: SqlRow[] = [];
      while (this.#step()) rows.push(this.#row());
      return rows;
    } finally {
      this.#reset();
    }
  }

  packed(...parameters: SqlValue[]): Uint8Array[] {
    this.#bind(parameters);
    try {
      if (!this.#step()) return NO_ROWS as never[];
      const rows: Uint8Array[] = [];
      do rows.push(this.#packedRow()); while (this.#step());
      return rows;
    } finally {
      this.#reset();
    }
  }

  finalize(): void {
    if (this.#statement === 0) return;
    this.#host.forget(this);
    this.#raw.sqlite3_finalize(this.#statement);
    this.#statement = 0;
    this.#release();
  }

  #bind(parameters: SqlValue[]): void {
    if (this.#statement === 0) throw new TypeError(`Cannot run a finalized statement: ${this.#sql}`);
    if (parameters.length !== this.#parameters) {
      throw new TypeError(`Cannot bind ${this.#parameters} parameters of ${this.#sql}: received ${parameters.length}`);
    }
    let at = this.#reserve(parameters);
    for (let index = 0; index < parameters.length; index++) {
      const value = parameters[index]!;
      const [code, length] = this.#bindOne(index + 1, value, at);
      if (code !== SQLITE_OK) throw this.#host.failure(`bind parameter ${index + 1} of ${this.#sql}`, code);
      at += length;
    }
  }

  /** Binds a value, with its bytes at `at`; returns the result code and how many bytes it took there. */
  #bindOne(index: number, value: SqlValue, at: Pointer): [code: number, length: number] {
    const raw = this.#raw;
    const statement = this.#statement;
    if (value === null) return [raw.sqlite3_bind_null(statement, index), 0];
    if (typeof value === "number") {
      if ((value | 0) === value) return [raw.sqlite3_bind_int(statement, index, value), 0];
      if (Number.isSafeInteger(value)) return [raw.sqlite3_bind_int64(statement, index, BigInt(value)), 0];
      return [raw.sqlite3_bind_double(statement, index, value), 0];
    }
    const heap = this.#host.engine.heap;
    if (typeof value === "string") {
      const { written } = encoder.encodeInto(value, heap.subarray(at, this.#buffer + this.#capacity));
      return [raw.sqlite3_bind_text(statement, index, at, written, SQLITE_STATIC), written];
    }
    heap.set(value, at);
    return [raw.sqlite3_bind_blob(statement, index, at, value.byteLength, SQLITE_STATIC), value.byteLength];
  }

  /** Makes the buffer large enough for all of `parameters`; returns where it begins. */
  #reserve(parameters: SqlValue[]): Pointer {
    // An empty blob at address 0 would be bound as NULL, hence one byte at least.
    let size = 1;
    for (const value of parameters) {
      if (typeof value === "string") size += value.length * 3;
      else if (value !== null && typeof value === "object") size += value.byteLength;
    }
    if (size > this.#capacity) {
      this.#release();
      this.#buffer = this.#host.engine.allocate(size);
      this.#capacity = size;
    }
    return this.#buffer;
  }

  #release(): void {
    if (this.#buffer !== 0) this.#raw.sqlite3_free(this.#buffer);
    this.#buffer = 0;
    this.#capacity = 0;
  }

  /** Runs to the next row; `false` at the end. */
  #step(): boolean {
    const code = this.#raw.sqlite3_step(this.#statement);
    if (code === SQLITE_ROW) return true;
    if (code === SQLITE_DONE) return false;
    throw this.#host.failure(`run ${this.#sql}`, code);
  }

  #reset(): void {
    this.#raw.sqlite3_reset(this.#statement);
    if (this.#capacity > KEPT_BYTES) {
      for (let index = 1; index <= this.#parameters; index++) this.#raw.sqlite3_bind_null(this.#statement, index);
      this.#release();
    }
  }

  #row(): SqlValue[] {
    const row: SqlValue[] = [];
    for (let column = 0; column < this.#columns; column++) row.push(this.#value(column));
    return row;
  }

  #value(column: number): SqlValue {
    const type = this.#raw.sqlite3_column_type(this.#statement, column);
    if (type === SQLITE_INTEGER || type === SQLITE_FLOAT) {
      return this.#raw.sqlite3_column_double(this.#statement, column);
    }
    if (type === SQLITE_TEXT) return decoder.decode(this.#bytes(column));
    return type === SQLITE_BLOB ? this.#bytes(column).slice() : null;
  }

  /** The bytes of a text or blob column, where they lie: valid until the next step. */
  #bytes(column: number): Uint8Array {
    const start = this.#raw.sqlite3_column_blob(this.#statement, column);
    const length = this.#raw.sqlite3_column_bytes(this.#statement, column);
    return this.#host.engine.heap.subarray(start, start + length);
  }

  #packedRow(): Uint8Array {
    const raw = this.#raw;
    const statement = this.#statement;
    let at = 0;
    for (let column = 0; column < this.#columns; column++) {
      const type = raw.sqlite3_column_type(statement, column);
      if (type === SQLITE_TEXT || type === SQLITE_BLOB) {
        const start = raw.sqlite3_column_blob(statement, column);
        const length = raw.sqlite3_column_bytes(statement, column);
        ensureScratch(at, at + length + 5);
        scratch[at] = type === SQLITE_TEXT ? PACKED_TEXT : PACKED_BLOB;
        scratchView.setUint32(at + 1, length, true);
        copy(this.#host.engine.heap, start, at + 5, length);
        at += length + 5;
      } else if (type === SQLITE_INTEGER || type === SQLITE_FLOAT) {
        ensureScratch(at, at + 9);
        scratch[at] = type === SQLITE_INTEGER ? PACKED_INTEGER : PACKED_REAL;
        scratchView.setFloat64(at + 1, raw.sqlite3_column_double(statement, column), true);
        at += 9;
      } else {
        ensureScratch(at, at + 1);
        scratch[at++] = PACKED_NULL;
      }
    }
    const row = scratch.slice(0, at);
    if (scratch.byteLength > SCRATCH_BYTES) setScratch(new Uint8Array(KEPT_BYTES));
    return row;
  }
}

/** Makes room for `size` bytes, keeping the first `used`. */
function ensureScratch(used: number, size: number): void {
  if (size <= scratch.byteLength) return;
  const larger = new Uint8Array(size * 2);
  larger.set(scratch.subarray(0, used));
  setScratch(larger);
}

function setScratch(bytes: Uint8Array<ArrayBuffer>): void {
  scratch = bytes;
  scratchView = new DataView(bytes.buffer);
}

function copy(heap: Uint8Array, start: Pointer, at: number, length: number): void {
  // Below some 40 bytes a loop is faster than making a view.
  if (length > 40) scratch.set(heap.subarray(start, start + length), at);
  else for (let index = 0; index < length; index++) scratch[at + index] = heap[start + index]!;
}
