/**
 * The open database of one model: looks up, stores, and does in idle time what a hit must not wait for.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { SqlDriver, SqlStatement } from "../../sqlite/driver.ts";
import { SqliteError } from "../../sqlite/error.ts";
import type { OwnedDatabase } from "../../sqlite/open.ts";
import { packedRows } from "../../sqlite/packed_row.ts";
import type { Found, NewEntry, Placement, RequestRecord, StoreSize, Want } from "../store.ts";
import type { RowTools } from "./entry_row.ts";
import {
  compressEntry,
  ENTRY_COLUMNS,
  entryRow,
  readEntry,
  REQUEST_COLUMNS,
  requestRow,
  StoredRow,
} from "./entry_row.ts";

/** Nothing was found, and nothing was wrong. */
export const MISS: Found = Object.freeze({
  entries: Object.freeze([]),
  stale: false,
  expired: false,
  corrupt: false,
});

/** The log is moved into the database once it has grown so far: 4 to 13 ms of work, fsync included (two-core VM, SSD). */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;
/** A caller who never lets the event loop turn must not grow the log for ever. */
const LONGEST_LOG = 16 * CHECKPOINT_BYTES;
/** Access counts that are kept in memory at most, and those that are written at once: 9 ms of work. */
const MOST_ACCESSES = 65_536;
const ACCESSES_AT_ONCE = 2048;

interface Access {
  count: number;
  last: Milliseconds;
}

/** A model's database, open. Methods throw {@link ../../sqlite/error.ts SqliteError}. */
export class ModelDatabase {
  /** A page is broken or the log is gone: the connection should be given up. */
  broken = false;
  /** Whether {@link close} was called. */
  closed = false;
  readonly #owned: OwnedDatabase;
  readonly #driver: SqlDriver;
  readonly #tools: RowTools;
  readonly #clock: Clock;
  readonly #select: SqlStatement;
  readonly #insert: SqlStatement;
  readonly #hasRequest: SqlStatement;
  readonly #insertRequest: SqlStatement;
  readonly #insertAccess: SqlStatement;
  readonly #begin: SqlStatement;
  readonly #commit: SqlStatement;
  // Keys as strings of 32 characters, one per byte: a Map compares arrays by identity.
  readonly #accesses = new Map<string, Access>();

  constructor(owned: OwnedDatabase, tools: RowTools, clock: Clock) {
    this.#owned = owned;
    this.#tools = tools;
    this.#clock = clock;
    const driver = this.#driver = owned.driver;
    const rowColumns = ENTRY_COLUMNS.split(", ").map((column) => `row.${column}`).join(", ");
    // Joined with itself by rowid, so that all columns, key and sample too, come from the row: read by way of an index,
    // SQLite takes the columns that are in it from there, and a row in another's place would look right.
    this.#select = driver.prepare(
      `SELECT ${rowColumns} FROM entry AS found LEFT JOIN entry AS row ON row.rowid = found.rowid ` +
        "WHERE found.key = ? AND found.sample < ? ORDER BY found.sample",
    );
    this.#insert = driver.prepare(
      `INSERT OR REPLACE INTO entry (${ENTRY_COLUMNS}) VALUES (${marks(ENTRY_COLUMNS)})`,
    );
    this.#hasRequest = driver.prepare("SELECT 1 FROM request WHERE key = ?");
    this.#insertRequest = driver.prepare(
      `INSERT INTO request (${REQUEST_COLUMNS}) VALUES (${marks(REQUEST_COLUMNS)})`,
    );
    this.#insertAccess = driver.prepare(
      "INSERT INTO access (key, count, last) VALUES (?, ?, ?) " +
        "ON CONFLICT (key) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)",
    );
    this.#begin = driver.prepare("BEGIN");
    this.#commit = driver.prepare("COMMIT");
  }

  /** As {@link ../store.ts Store.lookup}. */
  lookup(wants: readonly Want[]): Found[] {
    const now = this.#clock.now();
    const find = (want: Want): Found => this.#find(want, now);
    const found = wants.length < 2 ? wants.map(find) : this.#inReadTransaction(() => wants.map(find));
    if (this.#accesses.size > MOST_ACCESSES) this.#tryWriteAccesses(ACCESSES_AT_ONCE);
    return found;
  }

  /** As {@link ../store.ts Store.put}. */
  put(request: RequestRecord, entries: readonly NewEntry[], placement: Placement): void {
    const compressed = entries.map((entry) => compressEntry(entry, this.#tools));
    const { key } = request;
    inTransaction(this.#driver, () => {
      if (!this.#hasRequest.get(key)) {
        this.#insertRequest.run(...requestRow(request, this.#clock.now(), this.#tools));
      }
      const taken = placement === "append" ? this.#usableSamples(request) : new Set<number>();
      let sample = 0;
      for (const entry of compressed) {
        while (taken.has(sample)) sample++;
        this.#insert.run(...entryRow(key, sample++, entry, this.#tools));
      }
    });
    const hasLog = this.#owned.hasLog;
    if (!hasLog || this.#owned.logged > LONGEST_LOG) this.#owned.checkpoint();
    this.broken ||= !hasLog;
  }

  /** Whether what is put here will be found by whoever opens the database next. */
  get isInPlace(): boolean {
    return this.#owned.isInPlace;
  }

  /** How much it holds. */
  size(): StoreSize {
    return measure(this.#driver);
  }

  /** Whether {@link maintain} has something to do. */
  get hasWork(): boolean {
    return this.#accesses.size > 0 || this.#owned.logged > CHECKPOINT_BYTES;
  }

  /** Writes some of the gathered access counts and keeps the log short. */
  maintain(): void {
    this.#tryWriteAccesses(ACCESSES_AT_ONCE);
    if (this.#owned.logged > CHECKPOINT_BYTES) this.#owned.checkpoint();
  }

  /** Writes out what waits and closes. Never throws: what was acknowledged is on the disk already. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.broken) this.#tryWriteAccesses(this.#accesses.size);
    this.#owned.close();
  }

  #inReadTransaction<T>(action: () => T): T {
    this.#begin.run();
    try {
      return action();
    } finally {
      this.#commit.run();
    }
  }

  #find({ key, samples }: Want, now: Milliseconds): Found {
    let rows: Uint8Array[];
    try {
      rows = packedRows(this.#select, key, samples);
    } catch (error) {
      if (!(error instanceof SqliteError) || error.code !== "SQLITE_CORRUPT") throw error;
      this.broken = true;
      return { ...MISS, corrupt: true };
    }
    if (rows.length === 0) return MISS;
    const entries: StoredRow[] = [];
    const found = { entries, stale: false, expired: false, corrupt: false };
    for (const packed of rows) {
      const row = readEntry(packed, key, now, this.#tools);
      if (!(row instanceof StoredRow)) found[row] = true;
      else if (row.sample === entries.length) entries.push(row);
    }
    if (entries.length > 0) this.#countAccess(key, now);
    return found;
  }

  /**
   * The samples of a request that new ones must not overwrite. Whatever else lies there, broken, expired or older, gives
   * way, so that what is appended joins on without a gap.
   */
  #usableSamples({ key }: RequestRecord): Set<number> {
    const now = this.#clock.now();
    const usable = new Set<number>();
    for (const packed of packedRows(this.#select, key, Number.MAX_SAFE_INTEGER)) {
      const row = readEntry(packed, key, now, this.#tools);
      if (row instanceof StoredRow) usable.add(row.sample);
    }
    return usable;
  }

  #countAccess(key: Uint8Array, now: Milliseconds): void {
    const name = String.fromCharCode(...key);
    const access = this.#accesses.get(name);
    if (!access) {
      this.#accesses.set(name, { count: 1, last: now });
      return;
    }
    access.count++;
    access.last = now;
  }

  #tryWriteAccesses(most: number): void {
    if (this.#accesses.size === 0) return;
    const accesses = this.#accesses.entries().take(most).toArray();
    for (const [name] of accesses) this.#accesses.delete(name);
    try {
      inTransaction(this.#driver, () => {
        for (const [name, { count, last }] of accesses) {
          this.#insertAccess.run(Uint8Array.from(name, (character) => character.charCodeAt(0)), count, last);
        }
      });
    } catch {
      // Counts are not worth an error, nor the memory to try again: a full disk must not fill that as well.
    }
  }
}

/** How much a database holds. */
export function measure(driver: SqlDriver): StoreSize {
  const statement = driver.prepare("SELECT count(*), total(size), total(length(body)) FROM entry");
  try {
    const [entries, bodyBytes, storedBytes] = statement.get() as [number, number, number];
    return { entries, bodyBytes, storedBytes };
  } finally {
    statement.finalize();
  }
}

/** Runs `action` in a write transaction: all of it happens, or nothing. */
function inTransaction<T>(driver: SqlDriver, action: () => T): T {
  driver.exec("BEGIN IMMEDIATE");
  try {
    const result = action();
    driver.exec("COMMIT");
    return result;
  } catch (error) {
    try {
      driver.exec("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself: a full disk, an I/O error.
    }
    throw error;
  }
}

function marks(columns: string): string {
  return columns.split(",").map(() => "?").join(", ");
}
