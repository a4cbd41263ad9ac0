/**
 * Rows in pages, whatever has become of the trees these belong to: taken from the places that a page says, and where a
 * page is broken, looked for at each of its bytes. What is found so is believed for its checksum, or for the digest of
 * its content, or else, with a page that lies where it belongs, for what it is worth.
 *
 * @module
 */

import { Dictionary } from "../../codec/dictionary.ts";
import { CodecError } from "../../codec/error.ts";
import type { SqlValue } from "../../sqlite/driver.ts";
import { PACKED_BLOB, PACKED_TEXT, packRow } from "../../sqlite/packed_row.ts";
import { ENTRY_COLUMNS, isIntact, REQUEST_COLUMNS } from "./entry_row.ts";
import type { RowTools } from "./entry_row.ts";
import type { PageReader, PageRecord, TreePage } from "./verify_pages.ts";
import {
  INTERIOR_TABLE,
  LEAF_TABLE,
  payloadOf,
  readCell,
  readRecord,
  readTreePage,
  sqlValues,
} from "./verify_pages.ts";

/** The columns as they lie in a row, in the order in which the table was made. */
const ENTRY_LAYOUT: readonly string[] = (
  "key, sample, schema_version, media_type, outcome, model_asked, model_answered, fingerprint, prompt_tokens, " +
  "completion_tokens, cost_microdollars, latency, created, expires, codec, dictionary, size, checksum, body"
).split(", ");
const REQUEST_LAYOUT: readonly string[] =
  "key, namespace, provider, endpoint, identity, codec, dictionary, size, created, checksum, body, sketch".split(", ");
const ENTRY_ORDER = orderOf(ENTRY_COLUMNS, ENTRY_LAYOUT);
const REQUEST_ORDER = orderOf(REQUEST_COLUMNS, REQUEST_LAYOUT);

const KEY_BYTES = 32;
/** The serial type of a blob of so many bytes, which most rows of ours begin with. */
const KEY_SERIAL = 12 + 2 * KEY_BYTES;
const OTHER: SalvagedRow = { kind: "other" };
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** A row that was found. */
export type SalvagedRow =
  | EntryFound
  | { readonly kind: "request"; readonly key: Uint8Array; readonly values: readonly SqlValue[] }
  | { readonly kind: "dictionary"; readonly dictionary: Dictionary; readonly created: SqlValue }
  | { readonly kind: "access" | "daily" | "tag"; readonly values: readonly SqlValue[] }
  | { readonly kind: "model"; readonly model: string }
  | { readonly kind: "place"; readonly key: Uint8Array; readonly sample: number; readonly rowid: number }
  /** Something of the shape of an answer or a request, with a wrong checksum; and what need not be kept. */
  | { readonly kind: "broken" | "other" };

/** An answer that was found. */
export interface EntryFound {
  readonly kind: "entry";
  readonly key: Uint8Array;
  readonly sample: number;
  readonly rowid: number;
  readonly created: number;
  readonly model: string;
  readonly version: number;
  readonly dictionary: number | null;
  /** Of `ENTRY_COLUMNS`. */
  readonly values: readonly SqlValue[];
  /** Whether it was looked for at each byte, so that it may be one that was deleted. */
  readonly isCarved: boolean;
}

/** The rows in a page. */
export function rowsIn(reader: PageReader, number: number, tools: RowTools, isPlaced: boolean): SalvagedRow[] {
  const page = readTreePage(reader, number);
  const rows: SalvagedRow[] = [];
  const seen = new Set<number>();
  let isWhole = isPlaced && page !== undefined;
  if (page !== undefined && page.type !== INTERIOR_TABLE) {
    for (const at of page.cells) {
      const row = rowAt(reader, page, at, tools, false);
      if (row === undefined || row.kind === "broken") isWhole = false;
      if (row === undefined) continue;
      rows.push(row);
      if (row.kind !== "broken") seen.add(at);
    }
  }
  return isWhole ? rows : [...rows, ...carve(reader, number, tools, seen)];
}

/** Looks for rows that vouch for themselves at each byte of a page. */
function* carve(
  reader: PageReader,
  number: number,
  tools: RowTools,
  seen: ReadonlySet<number>,
): Generator<SalvagedRow> {
  const bytes = reader.page(number);
  if (bytes === undefined) return;
  const page: TreePage = { number, bytes, type: LEAF_TABLE, cells: [], right: 0 };
  for (let at = 8; at < reader.pageSize - KEY_BYTES; at++) {
    if (seen.has(at)) continue;
    const cell = readCell(reader, page, at);
    if (cell === undefined || cell.size < KEY_BYTES) continue;
    // Behind the header's own length: the first column is a key, or no value before the digest of a dictionary.
    const begins = bytes[cell.at + 1] === KEY_SERIAL || (bytes[cell.at + 1] === 0 && bytes[cell.at + 2] === KEY_SERIAL);
    if (!begins) continue;
    const row = rowAt(reader, page, at, tools, true);
    if (row?.kind === "entry" || row?.kind === "request" || row?.kind === "dictionary") yield row;
  }
}

/** What lies at a place of a page; `undefined` for what is nothing. */
function rowAt(
  reader: PageReader,
  page: TreePage,
  at: number,
  tools: RowTools,
  isCarved: boolean,
): SalvagedRow | undefined {
  const cell = readCell(reader, page, at);
  const payload = cell && payloadOf(reader, page, cell);
  const record = payload && readRecord(payload);
  if (cell === undefined || record === undefined) return undefined;
  const { length } = record.values;
  if (page.type !== LEAF_TABLE) return indexed(record);
  if (length === ENTRY_LAYOUT.length) return entryOf(record, cell.rowid, tools, isCarved);
  if (length === REQUEST_LAYOUT.length || length === REQUEST_LAYOUT.length - 1) return requestOf(record, tools);
  if (length === 4) return dictionaryOf(record, cell.rowid, tools);
  const [first, second, third] = sqlValues(record);
  if (length === 3 && isKey(first) && isCount(second) && isCount(third)) {
    return { kind: "access", values: [first, second, third] };
  }
  if (length === 2 && first === "model" && typeof second === "string") return { kind: "model", model: second };
  return OTHER;
}

/** A row of a table that is an index, or an entry of an index that says something. */
function indexed(record: PageRecord): SalvagedRow {
  const { types, values: { length } } = record;
  const [first, second, third] = sqlValues(record);
  if (length === 3 && isKey(first) && isCount(second) && isCount(third)) {
    return { kind: "place", key: first, sample: second, rowid: third };
  }
  if (length === 2 && types[0] === PACKED_TEXT && isKey(second)) return { kind: "tag", values: [first!, second] };
  if (length === 2 && isKey(first) && types[1] === PACKED_TEXT) return { kind: "tag", values: [second!, first] };
  const isDaily = length === 3 && typeof first === "string" && DAY.test(first) && typeof second === "string" &&
    typeof third === "number" && Number.isFinite(third);
  return isDaily ? { kind: "daily", values: [first, second, third] } : OTHER;
}

function entryOf(record: PageRecord, rowid: number, tools: RowTools, isCarved: boolean): SalvagedRow {
  const values = ordered(record, ENTRY_ORDER, tools);
  if (values === undefined) return { kind: "broken" };
  const at = (column: string): SqlValue => values[ENTRY_COLUMNS.split(", ").indexOf(column)]!;
  return {
    kind: "entry",
    key: at("key") as Uint8Array,
    sample: at("sample") as number,
    rowid,
    created: at("created") as number,
    model: at("model_asked") as string,
    version: at("schema_version") as number,
    dictionary: at("dictionary") as number | null,
    values,
    isCarved,
  };
}

function requestOf(record: PageRecord, tools: RowTools): SalvagedRow {
  const values = ordered(record, REQUEST_ORDER, tools);
  if (values === undefined) return { kind: "broken" };
  const sketch = sqlValues(record)[REQUEST_LAYOUT.length - 1] ?? null;
  return { kind: "request", key: values[0] as Uint8Array, values: [...values, sketch] };
}

function dictionaryOf(record: PageRecord, rowid: number, { sha256 }: RowTools): SalvagedRow {
  const [id, digest, content, created] = sqlValues(record);
  if (id !== null || !isKey(digest) || !(content instanceof Uint8Array)) return OTHER;
  try {
    const dictionary = new Dictionary(content, sha256);
    // One of the two has to vouch for it.
    const isVouched = dictionary.id === rowid || isEqual(sha256(content), digest);
    return isVouched ? { kind: "dictionary", dictionary, created: created ?? 0 } : { kind: "broken" };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return { kind: "broken" };
  }
}

/** A record's values in another order, if its checksum holds. */
function ordered(record: PageRecord, order: readonly number[], tools: RowTools): SqlValue[] | undefined {
  const raw = order.map((at) => record.values[at]!);
  const types = order.map((at) => record.types[at]!);
  const isSealed = types.at(-1) === PACKED_BLOB && isIntact(packRow(raw, types), tools.checksum);
  if (!isSealed) return undefined;
  const values = sqlValues(record);
  return order.map((at) => values[at]!);
}

function orderOf(columns: string, layout: readonly string[]): readonly number[] {
  return columns.split(", ").map((column) => layout.indexOf(column));
}

function isKey(value: SqlValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === KEY_BYTES;
}

function isCount(value: SqlValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && left.every((byte, at) => byte === right[at]);
}
