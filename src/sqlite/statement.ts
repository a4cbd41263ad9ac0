/**
 * A prepared statement on the raw C API. Parameters that are bytes or text are copied once, into a buffer in SQLite's
 * heap that the statement keeps, and bound without another copy; results are read straight from the heap.
 *
 * This is the measured hot path of a lookup: it trades some repetition for calls saved.
 *
 * @module
 */

import type { SqlRow, SqlValue } from "./driver.ts";
import type { Pointer, RawSqlite, SqliteHeap } from "./heap.ts";
import { SQLITE_BLOB, SQLITE_DONE, SQLITE_FLOAT, SQLITE_INTEGER, SQLITE_OK, SQLITE_ROW, SQLITE_TEXT } from "./heap.ts";
import type { PackingStatement } from "./packed_row.ts";
import { packRow, writeText } from "./packed_row.ts";
import type { ResultCells } from "./result_cells.ts";

/** What a statement needs of its database. */
export interface StatementHost {
  readonly engine: SqliteHeap;
  /** Reads rows faster than the API, where that is possible. */
  readonly cells: ResultCells | undefined;
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

/** Text is given back as it was stored, a byte order mark in front included. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const NO_ROWS: readonly never[] = Object.freeze([]);

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
  /** What is bound: a number, or the length of a blob in the buffer; `undefined` for anything else. */
  #bound: (number | { readonly bytes: number } | undefined)[] = [];
  /** Whether it ran to its end and was not reset since: the next step does that by itself. */
  #done = false;

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
    if (this.#isBound(parameters)) return;
    const raw = this.#raw;
    const statement = this.#statement;
    if (this.#done) raw.sqlite3_reset(statement);
    this.#done = false;
    this.#bound = [];
    let at = this.#reserve(parameters);
    const end = this.#buffer + this.#capacity;
    for (let index = 1; index <= parameters.length; index++) {
      const value = parameters[index - 1]!;
      let code: number;
      if (value === null) {
        code = raw.sqlite3_bind_null(statement, index);
      } else if (typeof value === "number") {
        if ((value | 0) === value) code = raw.sqlite3_bind_int(statement, index, value);
        else if (Number.isSafeInteger(value)) code = raw.sqlite3_bind_int64(statement, index, BigInt(value));
        else code = raw.sqlite3_bind_double(statement, index, value);
      } else if (typeof value === "string") {
        const length = writeText(value, this.#host.engine.heap, at, end);
        code = raw.sqlite3_bind_text(statement, index, at, length, SQLITE_STATIC);
        at += length;
      } else {
        this.#host.engine.heap.set(value, at);
        code = raw.sqlite3_bind_blob(statement, index, at, value.byteLength, SQLITE_STATIC);
        at += value.byteLength;
      }
      if (code !== SQLITE_OK) throw this.#host.failure(`bind parameter ${index} of ${this.#sql}`, code);
    }
    this.#bound = parameters.map((value) => {
      if (typeof value === "number") return value;
      return value instanceof Uint8Array ? { bytes: value.byteLength } : undefined;
    });
  }

  /**
   * Whether nothing but the bytes of blobs differs from what is bound; they are replaced where they lie. A lookup that is
   * asked again and again so does without binding and resetting, a tenth of what a miss costs.
   */
  #isBound(parameters: SqlValue[]): boolean {
    if (parameters.length !== this.#bound.length) return false;
    for (let index = 0; index < parameters.length; index++) {
      const value = parameters[index]!;
      const bound = this.#bound[index];
      if (typeof value === "number" ? bound !== value : !isBlobOf(bound, value)) return false;
    }
    let at = this.#buffer;
    const { heap } = this.#host.engine;
    for (const value of parameters) {
      if (typeof value !== "object") continue;
      heap.set(value!, at);
      at += value!.byteLength;
    }
    return true;
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
    this.#done = code === SQLITE_DONE;
    if (code === SQLITE_ROW) return true;
    if (code === SQLITE_DONE) return false;
    throw this.#host.failure(`run ${this.#sql}`, code);
  }

  #reset(): void {
    // At its end it holds nothing any more.
    if (this.#done && this.#capacity <= KEPT_BYTES) return;
    this.#raw.sqlite3_reset(this.#statement);
    this.#done = false;
    if (this.#capacity > KEPT_BYTES) {
      this.#bound = [];
      for (let index = 1; index <= this.#parameters; index++) this.#raw.sqlite3_bind_null(this.#statement, index);
      this.#release();
    }
  }

  #row(): SqlValue[] {
    return this.#host.cells?.values(this.#statement, this.#columns) ?? this.#rowByApi();
  }

  #packedRow(): Uint8Array {
    return this.#host.cells?.pack(this.#statement, this.#columns) ?? this.#packedByApi();
  }

  #rowByApi(): SqlValue[] {
    const row: SqlValue[] = [];
    for (let column = 0; column < this.#columns; column++) {
      const value = this.#value(column);
      if (value === null || typeof value === "number") row.push(value);
      else row.push(this.#type(column) === SQLITE_TEXT ? decoder.decode(value) : value.slice());
    }
    return row;
  }

  #packedByApi(): Uint8Array {
    const values: (number | Uint8Array | null)[] = [];
    const types: number[] = [];
    for (let column = 0; column < this.#columns; column++) {
      types.push(this.#type(column));
      const value = this.#value(column);
      // Asking for the next one may let the memory grow, and take this view away.
      values.push(value instanceof Uint8Array ? value.slice() : value);
    }
    return packRow(values, types);
  }

  #type(column: number): number {
    return this.#raw.sqlite3_column_type(this.#statement, column);
  }

  /** A column's value; texts and blobs as bytes where they lie, valid until the next column is asked for. */
  #value(column: number): number | Uint8Array | null {
    const type = this.#type(column);
    if (type === SQLITE_INTEGER || type === SQLITE_FLOAT) {
      return this.#raw.sqlite3_column_double(this.#statement, column);
    }
    if (type !== SQLITE_TEXT && type !== SQLITE_BLOB) return null;
    const start = this.#raw.sqlite3_column_blob(this.#statement, column);
    const length = this.#raw.sqlite3_column_bytes(this.#statement, column);
    return this.#host.engine.heap.subarray(start, start + length);
  }
}

function isBlobOf(bound: number | { readonly bytes: number } | undefined, value: SqlValue): boolean {
  return typeof bound === "object" && value instanceof Uint8Array && value.byteLength === bound.bytes;
}
