/**
 * The write-ahead log of an open database: that it is still there when something was committed to it, and that it does
 * not grow for ever.
 *
 * @module
 */

import { isBusy } from "../../sqlite/error.ts";
import { CacheError } from "../error.ts";
import type { Connection } from "./connection.ts";
import { toCacheError } from "./failure.ts";
import type { Upkeep } from "./upkeep.ts";

/**
 * The log is moved into the database in a quiet moment once it has grown so far: 4 to 13 ms of work, fsync included
 * (two-core VM, SSD). Soon afterwards it is in any moment, where nobody else can do it.
 */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;
const PRESSING_BYTES = 5 * 1024 * 1024;
/** A log that others are asked to move must not grow for ever where they cannot. */
const LONGEST_LOG = 16 * CHECKPOINT_BYTES;
/** Where the disk is limited the log takes such a part of it, but has room for some transactions. */
const LOG_PART = 1 / 128;
const SHORTEST_LOG = 128 * 1024;

/** How long the log may grow at most where databases may take `maxBytes` on the disk. */
export function longestLog(maxBytes: number | undefined): number {
  if (maxBytes === undefined) return LONGEST_LOG;
  return Math.min(Math.max(maxBytes * LOG_PART, SHORTEST_LOG), LONGEST_LOG);
}

/** How long it may grow without need. */
export function longLog(maxBytes: number | undefined): number {
  return Math.min(longestLog(maxBytes), CHECKPOINT_BYTES);
}

/** What shortens a log that others write too, away from the caller's thread. */
export interface LogKeeper {
  /** Whether it can be used, as far as is known. */
  readonly works: boolean;
  /** Moves the log into the database at `path`, in its own time. */
  shorten(path: string): void;
}

/** The log of one database. */
export class Log implements Upkeep {
  readonly #connection: Connection;
  readonly #keeper: LogKeeper;
  readonly #long: number;
  readonly #longest: number;
  /** How long the log was when it was last tried to shorten it. */
  #triedAt = 0;

  /** The databases may take `maxBytes` on the disk. */
  constructor(connection: Connection, keeper: LogKeeper, maxBytes: number | undefined) {
    this.#connection = connection;
    this.#keeper = keeper;
    this.#long = longLog(maxBytes);
    this.#longest = longestLog(maxBytes);
  }

  /** How many bytes of it are not moved into the database yet, as far as is known. */
  get length(): number {
    return this.#connection.owned.logged;
  }

  /** Whether it has to be shortened before more is written that could wait. */
  get isTooLong(): boolean {
    const { locking } = this.#connection.owned;
    return this.length > (locking === "exclusive" ? Math.min(this.#longest, PRESSING_BYTES) : this.#longest);
  }

  /** Whether it has grown so long that it cannot wait for a quiet moment. */
  get isPressing(): boolean {
    const { logged, locking } = this.#connection.owned;
    if (logged < this.#triedAt) this.#triedAt = 0;
    const longest = locking === "exclusive" ? PRESSING_BYTES : LONGEST_LOG;
    return logged > longest && logged - this.#triedAt > CHECKPOINT_BYTES;
  }

  /** Whether it should be shortened, and was not tried to be since it last changed. */
  get hasWork(): boolean {
    return this.length > this.#long && this.length !== this.#triedAt;
  }

  work(): void {
    this.#connection.endReading();
    // Whoever reads learns what others have done about the log.
    this.#connection.statement("PRAGMA page_count").get();
    if (this.hasWork) this.shorten();
  }

  /**
   * Sees to it that what was just committed stays, whoever else comes and goes.
   *
   * @throws CacheError when nobody knows whether it stays.
   */
  secure(): void {
    const { owned } = this.#connection;
    if (owned.hasLog) return;
    this.#connection.broken = true;
    this.#connection.endReading();
    try {
      owned.checkpoint();
    } catch (error) {
      throw toCacheError(error);
    }
    if (owned.logged === 0) return;
    // Somebody reads what this would overwrite.
    throw new CacheError(
      "unavailable",
      `Cannot keep an answer in ${owned.path}: somebody has removed its -wal file`,
    );
  }

  /** On the caller's thread only where nobody else could do it, or where the log would grow for ever otherwise. */
  shorten(): void {
    const { locking, path, logged } = this.#connection.owned;
    this.#triedAt = logged;
    if (locking === "shared" && this.#keeper.works) this.#keeper.shorten(path);
    else if (locking === "exclusive" || logged > LONGEST_LOG) this.#checkpoint();
  }

  /**
   * Moves all of it into the database and cuts it off, on the caller's thread; `false` while somebody reads or writes it.
   *
   * @throws SqliteError
   */
  cut(): boolean {
    const { owned } = this.#connection;
    this.#connection.endReading();
    try {
      if (this.#connection.statement("PRAGMA wal_checkpoint(TRUNCATE)").get()![0] !== 0) return false;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
    // There is nothing left to move, and to be counted.
    owned.checkpoint();
    return true;
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
}
