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

/** More samples than anybody has, as SQLite takes them for a limit. */
const MOST_SAMPLES = 2 ** 31;

/** Nothing was found, and nothing was wrong. */
export const MISS: Found = Object.freeze({
  entries: Object.freeze([]),
  stale: false,
  expired: false,
  corrupt: false,
});

/** What is to be put; its bytes are the store's own. */
export class NewPut {
  readonly request: RequestRecord;
  readonly placement: Placement;
  readonly tags: readonly string[];
  /** How much it will write at most, about. */
  readonly most: number;
  readonly #tools: RowTools;
  #entries: readonly NewEntry[];
  #compressed: readonly CompressedEntry[] | undefined;

  /** Copies what is to be put: nothing the caller does to its bytes later changes it. */
  constructor(
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions,
    tools: RowTools,
  ) {
    const { key, body, sketch } = request;
    this.request = { ...request, key: key.slice(), body: body.slice(), sketch: sketch.slice() };
    this.placement = placement;
    this.tags = tags.slice();
    this.#tools = tools;
    this.#entries = entries.map((entry) => ({ ...entry, body: entry.body.slice() }));
    this.most = bytesOf(body, this.#entries);
  }

  /**
   * Its answers, compressed when they are first asked for: thousands may be put in one turn of the event loop, which has no
   * time for that.
   */
  get entries(): readonly CompressedEntry[] {
    this.#compressed ??= this.#entries.map((entry) => compressEntry(entry, this.#tools));
    this.#entries = [];
    return this.#compressed;
  }

  /** How much it will write, about. */
  get bytes(): number {
    return bytesOf(this.request.body, this.entries);
  }
}

function bytesOf(request: Uint8Array, entries: readonly { readonly body: Uint8Array }[]): number {
  return entries.reduce((sum, { body }) => sum + body.byteLength, request.byteLength);
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
    const most = Math.min(Math.ceil(samples), MOST_SAMPLES);
    try {
      const rows = packedRows(this.#select, key, most);
      if (rows.length === 0) return MISS;
      const entries: StoredRow[] = [];
      let last = -1;
      for (const packed of rows) {
        const row = readEntry(packed, key, now, this.#connection.tools, this.#findDictionary);
        if (!(row instanceof StoredRow) || row.sample <= last) return this.#findOthers(key, most, now, grace);
        last = row.sample;
        row.sample = entries.length;
        entries.push(row);
      }
      return { entries, stale: false, expired: false, corrupt: false };
    } catch (error) {
      if (!(error instanceof SqliteError) || error.code !== "SQLITE_CORRUPT") throw error;
      this.#connection.broken = true;
      return { ...MISS, corrupt: true };
    }
  }

  /** What there is where some of the first rows are to be passed over. */
  #findOthers(key: Key, most: number, now: Milliseconds, grace: Milliseconds): Found {
    const select = this.#connection.statement(`${SELECT_ENTRIES} OFFSET ?`);
    const entries: StoredRow[] = [];
    const late: StoredRow[] = [];
    const found = { stale: false, expired: false, corrupt: false };
    let [seen, last] = [0, -1];
    for (let batch = most, isEnd = false; !isEnd && entries.length < most; batch = Math.max(batch, seen)) {
      const rows = packedRows(select, key, batch, seen);
      isEnd = rows.length < batch;
      seen += rows.length;
      for (const packed of rows) {
        const row = readEntry(packed, key, now - grace, this.#connection.tools, this.#findDictionary);
        if (!(row instanceof StoredRow)) {
          found[row] = true;
        } else if (row.sample <= last) {
          found.corrupt = true;
        } else {
          last = row.sample;
          (row.expires !== null && row.expires <= now ? late : entries).push(row);
          if (entries.length === most) break;
        }
      }
    }
    entries.push(...late.slice(0, most - entries.length));
    for (const [index, row] of entries.entries()) row.sample = index;
    return { entries, ...found };
  }

  /** Stores a request and its answers; has to be called in a write transaction. */
  put({ request, entries, placement, tags }: NewPut): void {
    const { clock, tools } = this.#connection;
    const { key, sketch } = request;
    if (!this.#hasRequest.get(key)) {
      this.#insertRequest.run(...requestRow(request, clock.now(), tools), sketch);
      this.#listener.requestAdded();
    }
    const there = placement === "replace_all" ? [] : this.#usableSamples(key);
    const replaced = placement === "replace" ? there : [];
    let sample = (there.at(-1) ?? -1) + 1;
    for (const [index, entry] of entries.entries()) {
      this.#insert.run(...entryRow(key, replaced[index] ?? sample++, entry, tools));
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
   * The numbers of a request's samples that can be served, ascending. What is appended comes after them, so that those that
   * were found stay where they were; what lies there, broken, expired or older, gives way.
   */
  #usableSamples(key: Key): number[] {
    const now = this.#connection.clock.now();
    const usable = new Set<number>();
    for (const packed of packedRows(this.#select, key, MOST_SAMPLES)) {
      const row = readEntry(packed, key, now, this.#connection.tools, this.#findDictionary);
      if (row instanceof StoredRow) usable.add(row.sample);
    }
    return [...usable].toSorted((left, right) => left - right);
  }
}

function marks(columns: string): string {
  return columns.split(",").map(() => "?").join(", ");
}
