/**
 * The open database of one model: looks up, stores, and does in idle time what a hit must not wait for.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { SqlDriver, SqlStatement } from "../../sqlite/driver.ts";
import { isBusy, SqliteError } from "../../sqlite/error.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";
import { packedRows } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import type { Found, NewEntry, Placement, RequestRecord, StoreSize, Want } from "../store.ts";
import { AccessCounts } from "./access_counts.ts";
import { Connection } from "./connection.ts";
import type { CompressedEntry, RowTools } from "./entry_row.ts";
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
import { toCacheError } from "./failure.ts";
import { pageCacheBytes } from "./page_cache.ts";

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
/** How long putting goes on in one transaction, and how much it holds: committing a MiB takes some milliseconds more. */
const LONGEST_PUTTING: Milliseconds = 5;
const MOST_PUT_BYTES = 1024 * 1024;
/** Access counts kept in memory at most, 70 ms of work for who closes; and those that are written at once: 9 ms. */
const MOST_ACCESSES = 16_384;
const ACCESSES_AT_ONCE = 2048;
/** Rows that are measured at once: 2 ms of work, more where they are read from the disk. */
const MEASURED_AT_ONCE = 2048;

/** What is to be put, compressed already; its bytes are the store's own. */
export interface PreparedPut {
  readonly request: RequestRecord;
  readonly entries: readonly CompressedEntry[];
  readonly placement: Placement;
  /** How much it will write, about. */
  readonly bytes: number;
}

/** What became of the puts tried in one transaction. */
export interface PutResult {
  /** How many were in it, from the first on. */
  readonly tried: number;
  /** Why it cannot be known whether they are stored; they must not be put again. `undefined` when they are. */
  readonly doubt: CacheError | undefined;
}

/** Compresses what is to be put. Nothing the caller does to its bytes later changes it. */
export function preparePut(
  request: RequestRecord,
  entries: readonly NewEntry[],
  placement: Placement,
  tools: RowTools,
): PreparedPut {
  const compressed = entries.map((entry): CompressedEntry => {
    const { codec, body } = compressEntry(entry, tools);
    return { entry, codec, body: body === entry.body ? body.slice() : body };
  });
  const { key, body } = request;
  return {
    request: { ...request, key: key.slice(), body: body.slice() },
    entries: compressed,
    placement,
    bytes: compressed.reduce((sum, { body }) => sum + body.byteLength, body.byteLength),
  };
}

/** What shortens a log that others write too, away from the caller's thread. */
export interface LogKeeper {
  /** Whether it can be used, as far as is known. */
  readonly works: boolean;
  /** Moves the log into the database at `path`, in its own time. */
  shorten(path: string): void;
}

/** A model's database, open. Methods throw {@link ../../sqlite/error.ts SqliteError}. */
export class ModelDatabase {
  /** Whether {@link close} was called. */
  closed = false;
  readonly #connection: Connection;
  readonly #logKeeper: LogKeeper;
  readonly #select: SqlStatement;
  readonly #insert: SqlStatement;
  readonly #hasRequest: SqlStatement;
  readonly #insertRequest: SqlStatement;
  readonly #insertAccess: SqlStatement;
  readonly #selectBytes: SqlStatement;
  readonly #accesses = new AccessCounts();
  #bytes = 0;
  #pageCache = 0;
  /** How long the log was when it was last tried to shorten it. */
  #triedAt = 0;

  constructor(owned: OpenDatabase, tools: RowTools, clock: Clock, logKeeper: LogKeeper) {
    this.#connection = new Connection(owned, tools, clock);
    this.#logKeeper = logKeeper;
    const { driver } = owned;
    this.#select = driver.prepare(SELECT_ENTRIES);
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
    this.#selectBytes = driver.prepare("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    this.#measure();
  }

  /** A page is broken or the log is gone: the connection should be given up. */
  get broken(): boolean {
    return this.#connection.broken;
  }

  /** As {@link ../store.ts Store.lookup}. Where the database is shared, `SQLITE_BUSY` says to try again. */
  lookup(wants: readonly Want[]): Found[] {
    const now = this.#connection.clock.now();
    try {
      this.#connection.enterReading(now);
      const found: Found[] = [];
      for (const want of wants) found.push(this.#find(want, now));
      if (this.#accesses.size > MOST_ACCESSES) this.#tryWriteAccesses(ACCESSES_AT_ONCE);
      return found;
    } catch (error) {
      this.#connection.endReading();
      throw error;
    }
  }

  /**
   * Stores as many of `puts`, from the first on, as one transaction has time and room for, but one at least. All of
   * these are stored, or none.
   *
   * @throws SqliteError when none is.
   */
  putSome(puts: readonly PreparedPut[]): PutResult {
    const end = this.#connection.clock.monotonic() + LONGEST_PUTTING;
    let tried = 0;
    try {
      this.#connection.write(() => {
        let bytes = 0;
        do {
          const put = puts[tried++]!;
          bytes += put.bytes;
          this.#put(put);
        } while (tried < puts.length && bytes + puts[tried]!.bytes <= MOST_PUT_BYTES && this.#connection.clock.monotonic() < end);
      });
      this.#secure();
      return { tried, doubt: undefined };
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      return { tried, doubt: error };
    }
  }

  /** Whether what is put here will be found by whoever opens the database next. */
  get isInPlace(): boolean {
    return this.#connection.owned.isInPlace;
  }

  /** Whether others find what was committed here. Where they do not, no more can be done on this connection. */
  get isSound(): boolean {
    return this.#connection.owned.hasLog;
  }

  /** As {@link measureSome}. */
  measureSome(after: number): Measured {
    return measureSome(this.#connection.driver, after);
  }

  /** Whether {@link maintain} has something to do. Cheap enough to be asked after every lookup. */
  get hasWork(): boolean {
    return this.#accesses.size > 0 || this.#hasLongLog;
  }

  /** Writes some of the gathered access counts and keeps the log short. */
  maintain(): void {
    this.#tryWriteAccesses(ACCESSES_AT_ONCE);
    // Reads, and so learns what others have done about the log.
    this.#measure();
    if (this.#hasLongLog) this.#shortenLog();
  }

  /** Gives its page cache a size that fits, where so many databases are open. */
  fitPageCache(openDatabases: number): void {
    const bytes = pageCacheBytes(this.#bytes, openDatabases);
    if (bytes === this.#pageCache) return;
    try {
      this.#connection.driver.exec(`PRAGMA cache_size = -${Math.floor(bytes / 1024)}`);
      this.#pageCache = bytes;
    } catch {
      // Busy or broken: it keeps the size it has.
    }
  }

  /** Writes out what waits and closes. Never throws: what was acknowledged is on the disk already. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#connection.endReading();
    if (!this.#connection.broken) this.#tryWriteAccesses(this.#accesses.size);
    this.#connection.owned.close();
  }

  /** Remembers how large the database is. */
  #measure(): void {
    this.#connection.endReading();
    try {
      this.#bytes = this.#selectBytes.get()![0] as number;
    } catch {
      // Busy or broken: whoever looks for answers will say so.
    }
  }

  #put({ request, entries, placement }: PreparedPut): void {
    const { key } = request;
    if (!this.#hasRequest.get(key)) {
      this.#insertRequest.run(...requestRow(request, this.#connection.clock.now(), this.#connection.tools));
    }
    const taken = placement === "append" ? this.#usableSamples(request) : new Set<number>();
    let sample = 0;
    for (const entry of entries) {
      while (taken.has(sample)) sample++;
      this.#insert.run(...entryRow(key, sample++, entry, this.#connection.tools));
    }
  }

  /** Sees to it that what was committed stays, whoever else comes and goes, and that the log does not grow for ever. */
  #secure(): void {
    if (this.isSound) return this.#boundLog();
    this.#connection.broken = true;
    this.#connection.endReading();
    try {
      this.#connection.owned.checkpoint();
    } catch (error) {
      throw toCacheError(error);
    }
    // Somebody reads what this would overwrite.
    if (this.#connection.owned.logged > 0) throw logGone(this.#connection.owned.path);
  }

  /** Whether the log should be shortened, and was not tried to be since it last changed. */
  get #hasLongLog(): boolean {
    const { logged } = this.#connection.owned;
    return logged > CHECKPOINT_BYTES && logged !== this.#triedAt;
  }

  /** Shortens a log that has grown so long that it cannot wait for a quiet moment. */
  #boundLog(): void {
    const { logged } = this.#connection.owned;
    if (logged < this.#triedAt) this.#triedAt = 0;
    if (logged <= LONGEST_LOG || logged - this.#triedAt <= CHECKPOINT_BYTES) return;
    try {
      this.#shortenLog();
    } catch {
      // What was put is in the log all the same. Whoever opens it anew finds out what is wrong.
      this.#connection.broken = true;
    }
  }

  /** On the caller's thread only where nobody else could do it, or where the log would grow for ever otherwise. */
  #shortenLog(): void {
    const { locking, path, logged } = this.#connection.owned;
    this.#triedAt = logged;
    if (locking === "shared" && this.#logKeeper.works) this.#logKeeper.shorten(path);
    else if (locking === "exclusive" || logged > LONGEST_LOG) this.#checkpoint();
  }

  #checkpoint(): void {
    this.#connection.endReading();
    try {
      this.#connection.owned.checkpoint();
    } catch (error) {
      // Somebody else is at it.
      if (!isBusy(error)) throw error;
    }
  }

  #find({ key, samples }: Want, now: Milliseconds): Found {
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
      const row = readEntry(packed, key, now, this.#connection.tools);
      if (!(row instanceof StoredRow)) found[row] = true;
      else if (row.sample === entries.length) entries.push(row);
    }
    if (entries.length > 0) this.#accesses.add(key, now);
    return found;
  }

  /**
   * The samples of a request that new ones must not overwrite. Whatever else lies there, broken, expired or older, gives
   * way, so that what is appended joins on without a gap.
   */
  #usableSamples({ key }: RequestRecord): Set<number> {
    const now = this.#connection.clock.now();
    const usable = new Set<number>();
    for (const packed of packedRows(this.#select, key, Number.MAX_SAFE_INTEGER)) {
      const row = readEntry(packed, key, now, this.#connection.tools);
      if (row instanceof StoredRow) usable.add(row.sample);
    }
    return usable;
  }

  #tryWriteAccesses(most: number): void {
    if (this.#accesses.size === 0) return;
    const accesses = this.#accesses.take(most);
    try {
      this.#connection.write(() => {
        for (const { key, count, last } of accesses) this.#insertAccess.run(key, count, last);
      });
    } catch (error) {
      // Counts are not worth an error, nor the memory to try again: a full disk must not fill that as well. Who has the
      // database locked will be gone soon.
      if (!isBusy(error) || this.#accesses.size > MOST_ACCESSES) return;
      for (const { key, count, last } of accesses) this.#accesses.add(key, last, count);
    }
  }
}

/** How much some rows hold. */
export interface Measured extends StoreSize {
  /** What to go on after; `undefined` when there is no more. */
  readonly last: number | undefined;
}

/** Measures the rows that come after one, 0 for the first, as many as can be without keeping others waiting. */
export function measureSome(driver: SqlDriver, after: number): Measured {
  const statement = driver.prepare(
    "SELECT count(*), total(size), total(stored), max(id) FROM " +
      "(SELECT rowid AS id, size, length(body) AS stored FROM entry WHERE rowid > ? ORDER BY rowid LIMIT ?)",
  );
  try {
    const [entries, bodyBytes, storedBytes, last] = statement.get(after, MEASURED_AT_ONCE) as number[];
    const more = entries === MEASURED_AT_ONCE;
    return { entries: entries!, bodyBytes: bodyBytes!, storedBytes: storedBytes!, last: more ? last : undefined };
  } finally {
    statement.finalize();
  }
}

function logGone(path: string): CacheError {
  return new CacheError("unavailable", `Cannot keep an answer in ${path}: somebody has removed its -wal file`);
}

function marks(columns: string): string {
  return columns.split(",").map(() => "?").join(", ");
}
