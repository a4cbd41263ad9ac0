/**
 * A row as one run of bytes: what a checksum is computed over, and what an entry keeps until somebody asks for a field.
 * Copying columns from SQLite's heap into such a run and hashing it costs a third of making JavaScript values of them
 * first and bytes of those again.
 *
 * Per column: its type (0 null, 1 integer, 2 real, 3 text, 4 blob), then for numbers eight bytes (IEEE 754 double), for
 * text (UTF-8) and blobs a 32-bit length and the bytes. All little-endian. Two different rows never pack alike.
 *
 * @module
 */

import type { SqlStatement, SqlValue } from "./driver.ts";

/** The types of packed columns: SQLite's own numbers for them, but for null. */
export const PACKED_NULL = 0;
export const PACKED_INTEGER = 1;
export const PACKED_REAL = 2;
export const PACKED_TEXT = 3;
export const PACKED_BLOB = 4;

/** So many bytes, or UTF-16 units. */
const SHORT = 32;

const encoder = new TextEncoder();
/** Text is given back as it was stored, a byte order mark in front included. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A statement that can hand over its rows packed, faster than by way of values. */
export interface PackingStatement extends SqlStatement {
  /** All its rows, packed. They may share memory: nobody may write to them, or hand out their buffer. */
  packed(...parameters: SqlValue[]): Uint8Array[];
}

/** All rows of a statement, packed by itself if it can. */
export function packedRows(statement: SqlStatement | PackingStatement, ...parameters: SqlValue[]): Uint8Array[] {
  if ("packed" in statement) return statement.packed(...parameters);
  return statement.all(...parameters).map((row) => packRow(row));
}

/**
 * Packs values as SQLite will give them back once they are stored in columns without type or of their own. `types`, where
 * they are known, tell integers from reals, and text that is given as its bytes from blobs.
 */
export function packRow(row: readonly SqlValue[], types?: readonly number[]): Uint8Array {
  let most = 0;
  for (const value of row) most += mostPacked(value);
  const bytes = new Uint8Array(most);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (let index = 0; index < row.length; index++) {
    const value = row[index]!;
    if (value === null || Number.isNaN(value)) {
      bytes[at++] = PACKED_NULL;
    } else if (typeof value === "number") {
      bytes[at] = types?.[index] ?? (Number.isSafeInteger(value) ? PACKED_INTEGER : PACKED_REAL);
      // Integers have no negative zero.
      view.setFloat64(at + 1, value === 0 && !types ? 0 : value, true);
      at += 9;
    } else {
      const isText = typeof value === "string";
      const length = isText ? writeText(value, bytes, at + 5, most) : value.byteLength;
      if (!isText) bytes.set(value, at + 5);
      bytes[at] = types?.[index] ?? (isText ? PACKED_TEXT : PACKED_BLOB);
      view.setUint32(at + 1, length, true);
      at += 5 + length;
    }
  }
  return bytes.subarray(0, at);
}

function mostPacked(value: SqlValue): number {
  if (value === null) return 1;
  if (typeof value === "number") return 9;
  return 5 + (typeof value === "string" ? value.length * 3 : value.byteLength);
}

/** Writes a string as UTF-8 from `at` to `end` at most; returns how many bytes it took. */
export function writeText(text: string, target: Uint8Array, at: number, end: number): number {
  // What is short and ASCII is written before an encoder would have begun.
  if (text.length <= SHORT) {
    let index = 0;
    for (; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) break;
      target[at + index] = code;
    }
    if (index === text.length) return index;
  }
  return encoder.encodeInto(text, target.subarray(at, end)).written;
}

/** A packed row, of which columns are read when asked for. */
export class PackedRow {
  readonly #bytes: Uint8Array;

  /** `bytes` have to be a packed row, whole. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A column if it is a number, else `null`. */
  number(column: number): number | null {
    const at = this.#find(column);
    const type = this.#bytes[at];
    if (type !== PACKED_INTEGER && type !== PACKED_REAL) return null;
    for (let index = 0; index < 8; index++) eight[index] = this.#bytes[at + 1 + index]!;
    return eightView.getFloat64(0, true);
  }

  /** A column if it is text, else `null`. */
  text(column: number): string | null {
    const bytes = this.#content(column, PACKED_TEXT);
    return bytes && decodeText(bytes);
  }

  /** A column if it is a blob, else `null`; a view, not a copy. */
  blob(column: number): Uint8Array | null {
    return this.#content(column, PACKED_BLOB);
  }

  /** Where a column begins, in bytes from the start. */
  #find(column: number): number {
    const bytes = this.#bytes;
    let at = 0;
    for (; column > 0; column--) {
      const type = bytes[at];
      if (type === PACKED_NULL) at += 1;
      else if (type === PACKED_INTEGER || type === PACKED_REAL) at += 9;
      else at += 5 + length(bytes, at + 1);
    }
    return at;
  }

  #content(column: number, type: number): Uint8Array | null {
    const at = this.#find(column);
    if (this.#bytes[at] !== type) return null;
    return this.#bytes.subarray(at + 5, at + 5 + length(this.#bytes, at + 1));
  }
}

// A view of each row would take longer to make than most rows to read.
const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);

function length(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** UTF-8 as a string. */
export function decodeText(bytes: Uint8Array): string {
  return shortAscii(bytes) ?? decoder.decode(bytes);
}

/** Most fields are a few ASCII letters, which a decoder takes longer to start than to read. */
function shortAscii(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength > SHORT) return undefined;
  let text = "";
  for (const byte of bytes) {
    if (byte > 0x7f) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}
