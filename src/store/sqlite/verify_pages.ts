/**
 * Pages of a database file, read without SQLite: what it gives up at the first broken page for, somebody who looks for
 * damage, or for what is left, has to look at all the same.
 *
 * The format: https://sqlite.org/fileformat2.html, sections 1.3 to 1.8 and 2.1.
 *
 * @module
 */

import type { SqlValue } from "../../sqlite/driver.ts";
import {
  decodeText,
  PACKED_BLOB,
  PACKED_INTEGER,
  PACKED_NULL,
  PACKED_REAL,
  PACKED_TEXT,
} from "../../sqlite/packed_row.ts";

/** The pages of a database, the newest version of each. */
export interface PageReader {
  /** Bytes of a page. */
  readonly pageSize: number;
  /** How many there are. */
  readonly count: number;
  /** A page by its number, from 1; `undefined` where it cannot be read. Nobody may change it. */
  page(number: number): Uint8Array | undefined;
}

/** What a page of a b-tree is, by its first byte. */
export const INTERIOR_INDEX = 2;
export const INTERIOR_TABLE = 5;
export const LEAF_INDEX = 10;
export const LEAF_TABLE = 13;

/** The page whose bytes SQLite locks lies there, and holds nothing. */
const LOCK_BYTE = 0x40000000;
const FILE_HEADER_BYTES = 100;
/** No payload is longer: SQLite's own limit. */
const LONGEST_PAYLOAD = 1_000_000_000;

/** A page of a b-tree. */
export interface TreePage {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** One of {@link INTERIOR_INDEX} and the others. */
  readonly type: number;
  /** Where its cells are. */
  readonly cells: readonly number[];
  /** The child behind its last cell; 0 in a leaf. */
  readonly right: number;
}

/** A cell. */
export interface Cell {
  /** The page before it; 0 in a leaf. */
  readonly child: number;
  /** Of a table; 0 in an index. */
  readonly rowid: number;
  /** Bytes of its record; 0 in an interior page of a table, which has none. */
  readonly size: number;
  /** Where its record begins, and how much of it lies in the page. */
  readonly at: number;
  readonly local: number;
  /** The page on which its record goes on; 0 where it does not. */
  readonly overflow: number;
}

/** A record: a row, or an entry of an index. Text is as its bytes. */
export interface PageRecord {
  readonly values: readonly (number | Uint8Array | null)[];
  /** Their types, as in a packed row. */
  readonly types: readonly number[];
}

/** The page that holds the pointers to whose pages lie behind it belong, for a page that has one; else `undefined`. */
export function pointerMapOf({ pageSize }: PageReader, number: number): number | undefined {
  if (number < 2 || number === lockPage(pageSize)) return undefined;
  const stride = Math.floor(pageSize / 5) + 1;
  const page = 2 + Math.floor((number - 2) / stride) * stride;
  return page === lockPage(pageSize) ? page + 1 : page;
}

/** Number of the page that holds nothing. */
export function lockPage(pageSize: number): number {
  return LOCK_BYTE / pageSize + 1;
}

/** What the pointer map says of a page: what it is (1 a root, 2 free, 3 and 4 overflow, 5 of a tree), and its parent. */
export function pointerOf(
  reader: PageReader,
  number: number,
): { readonly kind: number; readonly parent: number } | undefined {
  const map = pointerMapOf(reader, number);
  if (map === undefined || map === number) return undefined;
  const bytes = reader.page(map);
  const at = 5 * (number - map - 1);
  if (bytes === undefined || at < 0 || at + 5 > bytes.byteLength) return undefined;
  return { kind: bytes[at]!, parent: word(bytes, at + 1) };
}

/** A page of a tree; `undefined` where it is none, or its header cannot be. */
export function readTreePage(reader: PageReader, number: number): TreePage | undefined {
  const bytes = reader.page(number);
  if (bytes === undefined) return undefined;
  const header = number === 1 ? FILE_HEADER_BYTES : 0;
  const type = bytes[header]!;
  const isInterior = type === INTERIOR_INDEX || type === INTERIOR_TABLE;
  if (!isInterior && type !== LEAF_INDEX && type !== LEAF_TABLE) return undefined;
  const count = half(bytes, header + 3);
  const pointers = header + (isInterior ? 12 : 8);
  const first = pointers + 2 * count;
  if (first > reader.pageSize) return undefined;
  const cells: number[] = [];
  for (let index = 0; index < count; index++) cells.push(half(bytes, pointers + 2 * index));
  return { number, bytes, type, cells, right: isInterior ? word(bytes, header + 8) : 0 };
}

/** A cell of a page; `undefined` where it cannot be. */
export function readCell({ pageSize }: PageReader, { bytes, type }: TreePage, from: number): Cell | undefined {
  const isTable = type === INTERIOR_TABLE || type === LEAF_TABLE;
  const isInterior = type === INTERIOR_TABLE || type === INTERIOR_INDEX;
  let at = from;
  if (from < 8 || from + 4 > pageSize) return undefined;
  const child = isInterior ? word(bytes, at) : 0;
  if (isInterior) at += 4;
  if (type === INTERIOR_TABLE) {
    const rowid = varint(bytes, at);
    return rowid && { child, rowid: rowid.value, size: 0, at: rowid.end, local: 0, overflow: 0 };
  }
  const size = varint(bytes, at);
  if (size === undefined || size.value > LONGEST_PAYLOAD) return undefined;
  at = size.end;
  const rowid = isTable ? varint(bytes, at) : { value: 0, end: at };
  if (rowid === undefined) return undefined;
  at = rowid.end;
  const local = localBytes(size.value, pageSize, isTable);
  const overflow = local < size.value ? 4 : 0;
  if (at + local + overflow > pageSize) return undefined;
  return {
    child,
    rowid: rowid.value,
    size: size.value,
    at,
    local,
    overflow: overflow > 0 ? word(bytes, at + local) : 0,
  };
}

/**
 * A cell's record, from all its pages; `undefined` where one is missing. `onOverflow` is told of each page on which it
 * goes on.
 */
export function payloadOf(
  reader: PageReader,
  { bytes }: TreePage,
  cell: Cell,
  onOverflow: (page: number, parent: number) => void = () => {},
): Uint8Array | undefined {
  const { size, at, local } = cell;
  if (local === size) return bytes.subarray(at, at + size);
  // A length that is wrong must not take memory for what cannot be there.
  if (size > reader.count * reader.pageSize) return undefined;
  const payload = new Uint8Array(size);
  payload.set(bytes.subarray(at, at + local));
  let filled = local;
  let parent = 0;
  for (let next = cell.overflow; filled < size;) {
    const page = next < 2 || next > reader.count ? undefined : reader.page(next);
    if (page === undefined) return undefined;
    onOverflow(next, parent);
    const part = page.subarray(4, Math.min(reader.pageSize, 4 + size - filled));
    payload.set(part, filled);
    filled += part.byteLength;
    parent = next;
    next = word(page, 0);
    if (filled === size && next !== 0) return undefined;
  }
  return payload;
}

/** The values in a record; `undefined` where it is none. */
export function readRecord(payload: Uint8Array): PageRecord | undefined {
  const header = varint(payload, 0);
  if (header === undefined || header.value > payload.byteLength) return undefined;
  const values: (number | Uint8Array | null)[] = [];
  const types: number[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let at = header.value;
  for (let position = header.end; position < header.value;) {
    const serial = varint(payload, position);
    if (serial === undefined || serial.end > header.value) return undefined;
    position = serial.end;
    const size = bytesOf(serial.value);
    if (size === undefined || at + size > payload.byteLength) return undefined;
    const [value, type] = valueOf(payload, view, serial.value, at, size);
    values.push(value);
    types.push(type);
    at += size;
  }
  return at === payload.byteLength ? { values, types } : undefined;
}

/** A record's values as SQL has them. */
export function sqlValues({ values, types }: PageRecord): SqlValue[] {
  return values.map((value, index) =>
    value instanceof Uint8Array ? types[index] === PACKED_TEXT ? decodeText(value) : value.slice() : value
  );
}

/** A big-endian number of two bytes, 0 standing for 65536 as nowhere in a page. */
export function half(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** A big-endian number of four bytes. */
export function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** A number of one to nine bytes, and where it ends; `undefined` where the bytes end first. */
export function varint(
  bytes: Uint8Array,
  from: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let index = 0; index < 9; index++) {
    const byte = bytes[from + index];
    if (byte === undefined) return undefined;
    if (index === 8) return { value: value * 256 + byte, end: from + 9 };
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, end: from + index + 1 };
  }
  return undefined;
}

/** How much of a record lies in its page: section 1.6. */
function localBytes(size: number, usable: number, isTable: boolean): number {
  const most = isTable ? usable - 35 : Math.floor((usable - 12) * 64 / 255) - 23;
  if (size <= most) return size;
  const least = Math.floor((usable - 12) * 32 / 255) - 23;
  const rest = least + (size - least) % (usable - 4);
  return rest <= most ? rest : least;
}

function bytesOf(serial: number): number | undefined {
  if (serial >= 12) return Math.floor((serial - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0][serial];
}

function valueOf(
  payload: Uint8Array,
  view: DataView,
  serial: number,
  at: number,
  size: number,
): readonly [value: number | Uint8Array | null, type: number] {
  if (serial === 0) return [null, PACKED_NULL];
  if (serial >= 12) return [payload.subarray(at, at + size), serial % 2 === 0 ? PACKED_BLOB : PACKED_TEXT];
  if (serial === 7) return [view.getFloat64(at), PACKED_REAL];
  if (serial >= 8) return [serial - 8, PACKED_INTEGER];
  if (size === 8) return [Number(view.getBigInt64(at)), PACKED_INTEGER];
  let value = view.getInt8(at);
  for (let index = 1; index < size; index++) value = value * 256 + payload[at + index]!;
  return [value, PACKED_INTEGER];
}
