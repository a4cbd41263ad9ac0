/**
 * The answers in a model's database, with the requests they are answers to and the words these can be removed by: what
 * is there, and how more of it gets there.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlStatement } from "../../sqlite/driver.ts";
import { SqliteError } from "../../sqlite/error.ts";
import { packedRows } from "../../sqlite/packed_row.ts";
import type { Found, Key, NewEntry, Placement, PutOptions, RequestRecord, Want } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { Dictionaries } from "./dictionaries.ts";
import type { CompressedEntry, FindDictionary, RowTools } from "./entry_row.ts";
import {
  compressEntry,
  ENTRY_COLUMNS,
  entryRow,
  readEntry,
  REQUEST_COLUMNS,
  requestRow,
  SELECT_ENTRIES,
  StoredRow,
} from "./entry_row.ts";

/** Nothing was found, and nothing was wrong. */
export const MISS: Found = Object.freeze({
  entries: Object.freeze([]),
  stale: false,
  expired: false,
  corrupt: false,
});

/** What is to be put, compressed already; its bytes are the store's own. */
export interface PreparedPut {
  readonly request: RequestRecord;
  readonly entries: readonly CompressedEntry[];
  readonly placement: Placement;
  readonly tags: readonly string[];
  /** How much it will write, about. */
  readonly bytes: number;
}

/** Compresses what is to be put. Nothing the caller does to its bytes later changes it. */
export function preparePut(
  request: RequestRecord,
  entries: readonly NewEntry[],
  placement: Placement,
  { tags = [] }: PutOptions,
  tools: RowTools,
): PreparedPut {
  const compressed = entries.map((entry): CompressedEntry => {
    const compressed = compressEntry(entry, tools);
    const { body } = compressed;
    return body === entry.body ? { ...compressed, body: body.slice() } : compressed;
  });
  const { key, body, sketch } = request;
  return {
    request: { ...request, key: key.slice(), body: body.slice(), sketch: sketch.slice() },
    entries: compressed,
    placement,
    tags: tags.slice(),
    bytes: compressed.reduce((sum, { body }) => sum + body.byteLength, body.byteLength),
  };
}

/** Who is told of what was put; it may be put again if the transaction fails. */
export interface PutListener {
  entryAdded(): void;
  requestAdded(): void;
  /** An answer will expire then. */
  expires(time: Milliseconds): void;
}

/** The answers of one database. Methods throw {@link ../../sqlite/error.ts SqliteError}. */
export class EntryTable {
  readonly #connection: Connection;
  readonly #findDictionary: FindDictionary;
  readonly #listener: PutListener;
  readonly #select: SqlStatement;
  readonly #insert: SqlStatement;
  readonly #hasRequest: SqlStatement;
  readonly #insertRequest: SqlStatement;

  constructor(connection: Connection, dictionaries: Dictionaries, listener: PutListener) {
    this.#connection = connection;
    this.#findDictionary = (id) => dictionaries.find(id);
    this.#listener = listener;
    const { driver } = connection;
    this.#select = driver.prepare(SELECT_ENTRIES);
    this.#insert = driver.prepare(
      `INSERT OR REPLACE INTO entry (${ENTRY_COLUMNS}) VALUES (${marks(ENTRY_COLUMNS)})`,
    );
    this.#hasRequest = driver.prepare("SELECT 1 FROM request WHERE key = ?");
    this.#insertRequest = driver.prepare(
      `INSERT INTO request (${REQUEST_COLUMNS}, sketch) VALUES (${marks(REQUEST_COLUMNS)}, ?)`,
    );
  }

  /** What there is of one {@link Want}; has to be called in a read transaction. */
  find({ key, samples, grace = 0 }: Want, now: Milliseconds): Found {
    let rows: Uint8Array[];
    try {
      rows = packedRows(this.#select, key, samples);
    } catch (error) {
      if (!(error instanceof SqliteError) || error.code !== "SQLITE_CORRUPT") throw error;
      this.#connection.broken = true;
      return { ...MISS, corrupt: true };
    }
    if (rows.length === 0) return MISS;
    const entries: StoredRow[] = [];
    const found = { entries, stale: false, expired: false, corrupt: false };
    for (const packed of rows) {
      const row = readEntry(packed, key, now - grace, this.#connection.tools, this.#findDictionary);
      if (!(row instanceof StoredRow)) found[row] = true;
      else if (row.sample === entries.length) entries.push(row);
    }
    return found;
  }

  /** Stores a request and its answers; has to be called in a write transaction. */
  put({ request, entries, placement, tags }: PreparedPut): void {
    const { clock, tools } = this.#connection;
    const { key, sketch } = request;
    if (!this.#hasRequest.get(key)) {
      this.#insertRequest.run(...requestRow(request, clock.now(), tools), sketch);
      this.#listener.requestAdded();
    }
    const taken = placement === "append" ? this.#usableSamples(key) : new Set<number>();
    let sample = 0;
    for (const entry of entries) {
      while (taken.has(sample)) sample++;
      this.#insert.run(...entryRow(key, sample++, entry, tools));
      this.#listener.entryAdded();
      const { expires } = entry.entry;
      if (expires !== null) this.#listener.expires(expires);
    }
    if (placement === "replace_all") {
      this.#connection.statement("DELETE FROM entry WHERE key = ? AND sample >= ?").run(key, sample);
    }
    for (const tag of tags) {
      this.#connection.statement("INSERT OR IGNORE INTO tag (tag, key) VALUES (?, ?)").run(tag, key);
    }
  }

  /**
   * The samples of a request that new ones must not overwrite. Whatever else lies there, broken, expired or older, gives
   * way, so that what is appended joins on without a gap.
   */
  #usableSamples(key: Key): Set<number> {
    const now = this.#connection.clock.now();
    const usable = new Set<number>();
    for (const packed of packedRows(this.#select, key, Number.MAX_SAFE_INTEGER)) {
      const row = readEntry(packed, key, now, this.#connection.tools, this.#findDictionary);
      if (row instanceof StoredRow) usable.add(row.sample);
    }
    return usable;
  }
}

function marks(columns: string): string {
  return columns.split(",").map(() => "?").join(", ");
}
