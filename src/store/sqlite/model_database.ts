/**
 * The open database of one model: looks up, writes, and does in idle time what a hit must not wait for.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { SqlDriver } from "../../sqlite/driver.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";
import { CacheError } from "../error.ts";
import type { FailureRecord, Found, Key, Want } from "../store.ts";
import { AccessTable } from "./access_table.ts";
import type { AmountsByDay } from "./amounts_by_day.ts";
import { ClaimTable } from "./claim_table.ts";
import { Connection } from "./connection.ts";
import { DailyTable } from "./daily_table.ts";
import { Dictionaries } from "./dictionaries.ts";
import { EntryRemover } from "./entry_removal.ts";
import { EntryTable } from "./entry_table.ts";
import type { RowTools } from "./entry_row.ts";
import { ExpirySweep } from "./expiry.ts";
import { FailureTable } from "./failure_table.ts";
import { Leftovers } from "./leftovers.ts";
import type { LogKeeper } from "./log.ts";
import { Log, longLog } from "./log.ts";
import { pageCacheBytes } from "./page_cache.ts";
import { Recompression } from "./recompression.ts";
import { SketchIndex } from "./sketch_index.ts";
import type { Upkeep } from "./upkeep.ts";
import { Vacuum } from "./vacuum.ts";

/** How long writing goes on in one transaction, and how much it holds: committing a MiB takes some milliseconds more. */
const LONGEST_WRITING: Milliseconds = 5;
const MOST_WRITTEN_BYTES = 1024 * 1024;

/** The tables that are written for somebody who waits. */
export interface Tables {
  readonly entries: EntryTable;
  readonly claims: ClaimTable;
  readonly failures: FailureTable;
}

/** Something to be written, in one transaction with others. */
export interface Write<T> {
  /** What it does, for messages: `store an answer`. */
  readonly purpose: string;
  /** How much it will write, about. To find that out, when it is first asked for, may take a while. */
  readonly bytes: number;
  /** Writes it. Called again when the transaction it was in is tried again. */
  run(tables: Tables): T;
}

/** What became of the writes tried in one transaction. */
export interface Written {
  /** What those that were in it, from the first on, have returned. */
  readonly results: readonly unknown[];
  /** Why it cannot be known whether they are stored; they must not be tried again. `undefined` when they are. */
  readonly doubt: CacheError | undefined;
}

/** What a model's database needs besides its file. */
export interface DatabaseParts {
  readonly model: string;
  readonly tools: RowTools;
  readonly clock: Clock;
  readonly logKeeper: LogKeeper;
  readonly waitingAmounts: AmountsByDay;
  /** How long answers are kept after their time has passed. */
  readonly keepExpired: Milliseconds;
  /** How much all databases may take on the disk, if there is a limit. */
  readonly maxBytes: number | undefined;
  /** From how many answers on a dictionary is built. */
  readonly dictionaryFrom: number;
  /** As in the store's options. */
  readonly handsOver: boolean;
}

/** A model's database, open. Methods throw {@link ../../sqlite/error.ts SqliteError}. */
export class ModelDatabase {
  /** Whether {@link close} was called. */
  closed = false;
  /** What is done in quiet moments, the log last: it grows with the rest. */
  readonly upkeep: readonly Upkeep[];
  readonly connection: Connection;
  /** Whether claims are written down: somebody else reads them, now or once he has the database. */
  readonly keepsClaims: boolean;
  /** What takes answers out of it, and what that leaves to be done. */
  readonly remover: EntryRemover;
  readonly vacuum: Vacuum;
  readonly sketches: SketchIndex;
  readonly accesses: AccessTable;
  readonly log: Log;
  readonly #tables: Tables;
  readonly #leftovers: Leftovers;
  #pageCache = 0;

  constructor(
    owned: OpenDatabase,
    { model, tools, clock, logKeeper, waitingAmounts, keepExpired, maxBytes, dictionaryFrom, handsOver }: DatabaseParts,
  ) {
    const connection = new Connection(owned, tools, clock);
    this.connection = connection;
    this.keepsClaims = handsOver || owned.locking === "shared";
    const long = longLog(maxBytes);
    this.log = new Log(connection, logKeeper, maxBytes);
    this.vacuum = new Vacuum(connection, long, () => this.log.shorten());
    this.sketches = new SketchIndex(connection);
    this.remover = new EntryRemover(connection, long, (answers) => {
      this.vacuum.expect();
      this.sketches.removed(answers);
    });
    const expiry = new ExpirySweep(this.remover, keepExpired);
    const dictionaries = new Dictionaries(connection);
    const recompression = new Recompression(connection, dictionaries, dictionaryFrom, () => this.vacuum.expect());
    this.#tables = {
      entries: new EntryTable(connection, dictionaries, {
        entryAdded: () => recompression.expect(),
        requestAdded: () => this.sketches.added(),
        expires: (time) => expiry.expect(time),
      }),
      claims: new ClaimTable(connection, this.keepsClaims),
      failures: new FailureTable(connection),
    };
    this.accesses = new AccessTable(connection);
    this.#leftovers = new Leftovers(connection);
    const daily = new DailyTable(connection, model, waitingAmounts);
    this.upkeep = [
      this.accesses,
      daily,
      this.#leftovers,
      expiry,
      this.vacuum,
      this.sketches,
      recompression,
      this.log,
    ];
  }

  /** A page is broken or the log is gone: the connection should be given up. */
  get broken(): boolean {
    return this.connection.broken;
  }

  /** As {@link ../store.ts Store.lookup}. Where the database is shared, `SQLITE_BUSY` says to try again. */
  lookup(wants: readonly Want[]): Found[] {
    const now = this.connection.clock.now();
    try {
      this.connection.enterReading(now);
      const found: Found[] = [];
      for (const want of wants) {
        const each = this.#tables.entries.find(want, now);
        if (each.entries.length > 0 && !want.peek) {
          this.accesses.count(want.key, now);
          this.connection.isChanged = true;
        }
        found.push(each);
      }
      if (this.accesses.isFull) this.#makeRoomForAccesses();
      return found;
    } catch (error) {
      this.connection.endReading();
      throw error;
    }
  }

  /** As {@link ../store.ts Failures.last}. */
  lastFailure(key: Key): FailureRecord | undefined {
    return this.#tables.failures.last(key);
  }

  /**
   * Does as many of `writes`, from the first on, as one transaction has time and room for, but one at least. All of these
   * are done, or none.
   *
   * @throws SqliteError when none is.
   */
  writeSome(writes: readonly Write<unknown>[]): Written {
    const { clock } = this.connection;
    const end = clock.monotonic() + LONGEST_WRITING;
    let results: unknown[] = [];
    try {
      this.connection.write(() => {
        results = [];
        let bytes = 0;
        let next: Write<unknown> | undefined = writes[0];
        do {
          const write: Write<unknown> = next!;
          bytes += write.bytes;
          results.push(write.run(this.#tables));
          next = writes[results.length];
        } while (next && bytes + next.bytes <= MOST_WRITTEN_BYTES && clock.monotonic() < end);
      });
      this.log.secure();
      this.#leftovers.expect();
      return { results, doubt: undefined };
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      return { results, doubt: error };
    }
  }

  /** Whether this process has it for itself. */
  get isExclusive(): boolean {
    return this.connection.owned.locking === "exclusive";
  }

  /** Whether what is put here will be found by whoever opens the database next. */
  get isInPlace(): boolean {
    return this.connection.owned.isInPlace;
  }

  /** Whether others find what was committed here. Where they do not, no more can be done on this connection. */
  get isSound(): boolean {
    return this.connection.owned.hasLog;
  }

  /** Has `use` read what is committed. */
  read<T>(use: (driver: SqlDriver) => T): T {
    this.connection.endReading();
    return use(this.connection.driver);
  }

  /** Whether something of {@link upkeep} has work. */
  get hasWork(): boolean {
    return this.upkeep.some(({ hasWork }) => hasWork);
  }

  /** When something of {@link upkeep} will have work though nobody uses it; `Infinity` for never. */
  get due(): Milliseconds {
    return Math.min(...this.upkeep.map(({ due }) => due ?? Infinity));
  }

  /** Gives its page cache a size that fits, where so many databases are open. */
  fitPageCache(openDatabases: number): void {
    try {
      const size = this.connection.statement("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
      this.connection.endReading();
      const bytes = pageCacheBytes(size.get()![0] as number, openDatabases);
      if (bytes === this.#pageCache) return;
      this.connection.driver.exec(`PRAGMA cache_size = -${Math.floor(bytes / 1024)}`);
      this.#pageCache = bytes;
    } catch {
      // Busy or broken: it keeps the size it has.
    }
  }

  /** Writes out what waits and closes. Never throws: what was acknowledged is on the disk already. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.endReading();
    if (!this.connection.broken) { for (const job of this.upkeep) job.finish?.(); }
    this.connection.owned.close();
  }

  #makeRoomForAccesses(): void {
    try {
      this.accesses.work();
    } catch {
      // Counts are not worth an error.
    }
  }
}
