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

/** The types of packed columns. */
export const PACKED_NULL = 0;
export const PACKED_INTEGER = 1;
export const PACKED_REAL = 2;
export const PACKED_TEXT = 3;
export const PACKED_BLOB = 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A statement that can hand over its rows packed, faster than by way of values. */
export interface PackingStatement extends SqlStatement {
  /** All its rows, packed; the caller owns the bytes. */
  packed(...parameters: SqlValue[]): Uint8Array[];
}

/** All rows of a statement, packed by itself if it can. */
export function packedRows(statement: SqlStatement | PackingStatement, ...parameters: SqlValue[]): Uint8Array[] {
  if ("packed" in statement) return statement.packed(...parameters);
  return statement.all(...parameters).map(packRow);
}

/** Packs values as SQLite will give them back once they are stored in columns without type or of their own. */
export function packRow(row: readonly SqlValue[]): Uint8Array {
  const columns = row.map((value) => {
    if (typeof value === "string") return encoder.encode(value);
    return Number.isNaN(value) ? null : value;
  });
  const size = columns.reduce<number>((sum, value) => sum + packedSize(value), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, value] of columns.entries()) {
    if (value === null) {
      bytes[at++] = PACKED_NULL;
    } else if (typeof value === "number") {
      bytes[at] = Number.isSafeInteger(value) ? PACKED_INTEGER : PACKED_REAL;
      // Integers have no negative zero.
      view.setFloat64(at + 1, value === 0 ? 0 : value, true);
      at += 9;
    } else {
      bytes[at] = typeof row[index] === "string" ? PACKED_TEXT : PACKED_BLOB;
      view.setUint32(at + 1, value.byteLength, true);
      bytes.set(value, at + 5);
      at += 5 + value.byteLength;
    }
  }
  return bytes;
}

function packedSize(value: null | number | Uint8Array): number {
  if (value === null) return 1;
  return typeof value === "number" ? 9 : 5 + value.byteLength;
}

/** Reads a packed row's columns in their order. Each `take` moves on by one column, whatever its type. */
export class PackedReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where the next column begins, in bytes from the start. */
  get position(): number {
    return this.#at;
  }

  /** The next column if it is a number, else `null`. */
  takeNumber(): number | null {
    const type = this.#bytes[this.#at];
    const value = type === PACKED_INTEGER || type === PACKED_REAL ? this.#view.getFloat64(this.#at + 1, true) : null;
    this.#skip();
    return value;
  }

  /** The next column if it is text, else `null`. */
  takeText(): string | null {
    const bytes = this.#take(PACKED_TEXT);
    return bytes && (shortAscii(bytes) ?? decoder.decode(bytes));
  }

  /** The next column if it is a blob, else `null`; a view, not a copy. */
  takeBlob(): Uint8Array | null {
    return this.#take(PACKED_BLOB);
  }

  #take(type: number): Uint8Array | null {
    const start = this.#at;
    this.#skip();
    return this.#bytes[start] === type ? this.#bytes.subarray(start + 5, this.#at) : null;
  }

  #skip(): void {
    const type = this.#bytes[this.#at];
    if (type === PACKED_NULL) this.#at += 1;
    else if (type === PACKED_INTEGER || type === PACKED_REAL) this.#at += 9;
    else this.#at += 5 + this.#view.getUint32(this.#at + 1, true);
  }
}

/** Most fields are a few ASCII letters, which a decoder takes longer to start than to read. */
function shortAscii(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength > 32) return undefined;
  let text = "";
  for (const byte of bytes) {
    if (byte > 0x7f) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}
