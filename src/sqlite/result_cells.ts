/**
 * Result rows, read where SQLite keeps them: an array of `sqlite3_value`, one a column. Asking for the type, address,
 * length and number of 19 columns takes some sixty calls into WASM; looking into the array takes one.
 *
 * How a `sqlite3_value` lies in memory is SQLite's own affair. The engine is pinned to one build; that this build lays it
 * out as below is proved against the C API before anything is believed ({@link chooseCells}). Where it does not, and for a
 * row with any cell of an unusual kind, there is no answer here and the caller asks the API.
 *
 * @module
 */

import type { SqlValue } from "./driver.ts";
import type { Pointer, RawSqlite, SqliteHeap } from "./heap.ts";
import type { PackingStatement } from "./packed_row.ts";
import { decodeText, PACKED_BLOB, PACKED_INTEGER, PACKED_NULL, PACKED_REAL, PACKED_TEXT } from "./packed_row.ts";

// Sizes and offsets in 32-bit words: the number's low and high half, the bytes' address and count, flags and encoding.
const CELL_WORDS = 10;
const HIGH = 1;
const ADDRESS = 2;
const LENGTH = 3;
const FLAGS = 4;

/**
 * The bits that say what a cell holds: its types, and that a blob ends in zeros that are nowhere in memory. A cell that
 * is several things at once, text and a number say, matches none of the kinds below.
 */
const KIND = 0x043f;
const NULL = 0x01;
const TEXT = 0x02;
const INTEGER = 0x04;
const REAL = 0x08;
const BLOB = 0x10;
/** Text beside its encoding, UTF-8. */
const ENCODED_KIND = 0xff043f;
const UTF_8_TEXT = 0x010002;

/** Rows up to so many bytes share memory: making room for one by itself takes longer than filling it (0.4 µs, V8). */
const LARGEST_POOLED = 4096;
/** So much a row keeps alive that was kept itself. */
const POOL_BYTES = 4 * LARGEST_POOLED;
let pool = new Uint8Array(POOL_BYTES);
let poolView = new DataView(pool.buffer);
let poolUsed = 0;

/** The cells of any statement's current row. */
export class ResultCells {
  readonly #engine: SqliteHeap;
  readonly #raw: RawSqlite;
  #heap: Uint8Array<ArrayBuffer>;
  #words: Int32Array<ArrayBuffer>;
  #reals: Float64Array<ArrayBuffer>;

  constructor(engine: SqliteHeap) {
    this.#engine = engine;
    this.#raw = engine.raw;
    this.#heap = engine.heap;
    this.#words = new Int32Array(this.#heap.buffer);
    this.#reals = new Float64Array(this.#heap.buffer);
  }

  /** The current row, packed, or `undefined` where only the API knows. */
  pack(statement: Pointer, columns: number): Uint8Array | undefined {
    const first = this.#first(statement);
    const words = this.#words;
    const end = first + columns * CELL_WORDS;
    let size = 0;
    for (let cell = first; cell < end; cell += CELL_WORDS) {
      const flags = words[cell + FLAGS]!;
      const kind = flags & KIND;
      if (kind === INTEGER || kind === REAL) size += 9;
      else if (kind === BLOB || (flags & ENCODED_KIND) === UTF_8_TEXT) size += 5 + words[cell + LENGTH]!;
      else if (kind === NULL) size += 1;
      else return undefined;
    }
    let row = pool;
    let view = poolView;
    let at = 0;
    if (size > LARGEST_POOLED) {
      row = new Uint8Array(size);
      view = new DataView(row.buffer);
    } else {
      if (poolUsed + size > POOL_BYTES) {
        row = pool = new Uint8Array(POOL_BYTES);
        view = poolView = new DataView(pool.buffer);
        poolUsed = 0;
      }
      at = poolUsed;
      poolUsed += size;
    }
    const start = at;
    for (let cell = first; cell < end; cell += CELL_WORDS) {
      const kind = words[cell + FLAGS]! & KIND;
      if (kind === NULL) {
        row[at++] = PACKED_NULL;
      } else if (kind === INTEGER) {
        row[at] = PACKED_INTEGER;
        view.setFloat64(at + 1, this.#integer(cell), true);
        at += 9;
      } else if (kind === REAL) {
        row[at] = PACKED_REAL;
        view.setFloat64(at + 1, this.#reals[cell >>> 1]!, true);
        at += 9;
      } else {
        const length = words[cell + LENGTH]!;
        row[at] = kind === TEXT ? PACKED_TEXT : PACKED_BLOB;
        view.setUint32(at + 1, length, true);
        this.#copy(words[cell + ADDRESS]! >>> 0, length, row, at + 5);
        at += 5 + length;
      }
    }
    return size === row.byteLength ? row : row.subarray(start, at);
  }

  /** The current row's values, or `undefined` where only the API knows. */
  values(statement: Pointer, columns: number): SqlValue[] | undefined {
    const first = this.#first(statement);
    const words = this.#words;
    const row: SqlValue[] = [];
    for (let column = 0; column < columns; column++) {
      const cell = first + column * CELL_WORDS;
      const flags = words[cell + FLAGS]!;
      const kind = flags & KIND;
      if (kind === NULL) row.push(null);
      else if (kind === INTEGER) row.push(this.#integer(cell));
      else if (kind === REAL) row.push(this.#reals[cell >>> 1]!);
      else if (kind === BLOB) row.push(this.#bytes(cell).slice());
      else if ((flags & ENCODED_KIND) === UTF_8_TEXT) row.push(decodeText(this.#bytes(cell)));
      else return undefined;
    }
    return row;
  }

  /** Which word the row's first cell begins at. */
  #first(statement: Pointer): number {
    const address = this.#raw.sqlite3_column_value(statement, 0) >>> 0;
    const heap = this.#engine.heap;
    if (heap !== this.#heap) {
      this.#heap = heap;
      this.#words = new Int32Array(heap.buffer);
      this.#reals = new Float64Array(heap.buffer);
    }
    return address >>> 2;
  }

  #integer(cell: number): number {
    return this.#words[cell + HIGH]! * 2 ** 32 + (this.#words[cell]! >>> 0);
  }

  #bytes(cell: number): Uint8Array<ArrayBuffer> {
    const start = this.#words[cell + ADDRESS]! >>> 0;
    return this.#heap.subarray(start, start + this.#words[cell + LENGTH]!);
  }

  #copy(start: Pointer, length: number, target: Uint8Array, at: number): void {
    const heap = this.#heap;
    // Below some 40 bytes a loop is faster than making a view.
    if (length > 40) target.set(heap.subarray(start, start + length), at);
    else for (let index = 0; index < length; index++) target[at + index] = heap[start + index]!;
  }
}

/** Rows of every kind of cell, unusual ones by themselves. */
const PROOFS: readonly string[] = [
  "SELECT NULL, 0, -5, 1 << 40, ~(1 << 40), 9223372036854775807, 2.5, -0.0, -1e300, '', 'abc', 'gr\u00f6\u00dfer', " +
  "'nul' || char(0), hex(zeroblob(500)), x'', x'00ff', CAST('abc' AS BLOB), 7",
  "SELECT zeroblob(0)",
  "SELECT 1, zeroblob(3), 2",
  "SELECT CAST(x'ff' AS TEXT), 'next'",
];

/** What may read its rows by cells. */
export interface CellHost {
  readonly engine: SqliteHeap;
  cells: ResultCells | undefined;
  prepare(sql: string): PackingStatement;
}

const proven = new WeakMap<SqliteHeap, ResultCells | undefined>();

/**
 * Has a database read its rows by cells if rows of all kinds read the same with them as with the API. That is found out
 * once per engine, through the first database, while its first row is read: any sooner, preparing a statement would look
 * into a file whose way of locking is not settled yet.
 */
export function chooseCells(host: CellHost): void {
  const { engine } = host;
  if (!proven.has(engine)) proven.set(engine, prove(host));
  host.cells = proven.get(engine);
}

function prove(host: CellHost): ResultCells | undefined {
  const read = (cells: ResultCells | undefined): string => {
    host.cells = cells;
    return JSON.stringify(PROOFS.map((sql) => {
      const statement = host.prepare(sql);
      try {
        return [statement.packed(), statement.all()];
      } finally {
        statement.finalize();
      }
    }));
  };
  try {
    const expected = read(undefined);
    const cells = new ResultCells(host.engine);
    return read(cells) === expected ? cells : undefined;
  } catch {
    // Looked for in the wrong place, a length may be anything.
    return undefined;
  }
}
