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

/** The log is moved into the database once it has grown so far: 4 to 13 ms of work, fsync included (two-core VM, SSD). */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;
/** A caller who never lets the event loop turn must not grow the log for ever. */
const LONGEST_LOG = 16 * CHECKPOINT_BYTES;
/** Where the disk is limited the log takes such a part of it, but has room for some transactions. */
const LOG_PART = 1 / 128;
const SHORTEST_LOG = 128 * 1024;

/** How long the log may grow where databases may take `maxBytes` on the disk. */
export function longLog(maxBytes: number | undefined): number {
  if (maxBytes === undefined) return CHECKPOINT_BYTES;
  return Math.min(Math.max(maxBytes * LOG_PART, SHORTEST_LOG), CHECKPOINT_BYTES);
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
  /** How long the log was when it was last tried to shorten it. */
  #triedAt = 0;

  /** It is moved into the database once it is longer than `long` bytes. */
  constructor(connection: Connection, keeper: LogKeeper, long: number) {
    this.#connection = connection;
    this.#keeper = keeper;
    this.#long = long;
  }

  /** Whether the log should be shortened, and was not tried to be since it last changed. */
  get hasWork(): boolean {
    const { logged } = this.#connection.owned;
    return logged > this.#long && logged !== this.#triedAt;
  }

  work(): void {
    this.#connection.endReading();
    // Whoever reads learns what others have done about the log.
    this.#connection.statement("PRAGMA page_count").get();
    if (this.hasWork) this.shorten();
  }

  /**
   * Sees to it that what was just committed stays, whoever else comes and goes, and that the log does not grow for ever.
   *
   * @throws CacheError when nobody knows whether it stays.
   */
  secure(): void {
    const { owned } = this.#connection;
    if (owned.hasLog) return this.#bound();
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

  /** Shortens a log that has grown so long that it cannot wait for a quiet moment. */
  #bound(): void {
    const { logged } = this.#connection.owned;
    if (logged < this.#triedAt) this.#triedAt = 0;
    if (logged <= LONGEST_LOG || logged - this.#triedAt <= CHECKPOINT_BYTES) return;
    try {
      this.shorten();
    } catch {
      // What was put is in the log all the same. Whoever opens it anew finds out what is wrong.
      this.#connection.broken = true;
    }
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
