/**
 * Gives the disk back what a database no longer needs. SQLite keeps the pages of removed rows for rows to come; once
 * these are many, pages from the file's end are moved into them, some at a time, and the file is cut off.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Connection } from "./connection.ts";
import type { Upkeep } from "./upkeep.ts";

/** Free pages are left to rows to come while they are so few, or such a part of all. */
const FEW = 64;
const SMALL_PART = 0.05;
/** How long a slice may take, and how many pages it moves; each next one half as many, or twice. */
const LONGEST: Milliseconds = 4;
const MOST = 512;
/** What moving a page writes to the log: the page, and those that lead to it. */
const LOGGED_BYTES = 8192;

const COUNT = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, " +
  "pragma_page_size";

/** How large a database is, log included, once that is moved into it. */
export interface DatabaseSize {
  /** Bytes of all pages. */
  readonly total: number;
  /** Bytes of pages that hold something. */
  readonly used: number;
}

/** The free pages of one database. */
export class Vacuum implements Upkeep {
  readonly #connection: Connection;
  readonly #most: number;
  readonly #shortenLog: () => void;
  /** Whether there may be too many of them. */
  #isExpected = true;
  #slice = 16;
  #isMoving = false;

  /**
   * A transaction may write about `longLog` bytes. `shortenLog` is called when pages were moved: the file is cut off when the log is moved into it.
   */
  constructor(connection: Connection, longLog: number, shortenLog: () => void) {
    this.#connection = connection;
    this.#most = Math.min(MOST, Math.ceil(longLog / LOGGED_BYTES));
    this.#shortenLog = shortenLog;
  }

  get hasWork(): boolean {
    return this.#isExpected;
  }

  /** Rows were removed. */
  expect(): void {
    this.#isExpected = true;
  }

  work(): void {
    // Whatever goes wrong, more will be removed some day.
    this.#isExpected = false;
    if (!this.#isMoving && !this.isWorthwhile) return;
    this.#isMoving = this.some();
    this.#isExpected = this.#isMoving;
    if (!this.#isMoving) this.#shortenLog();
  }

  /** Whether so many pages are free that the file should shrink. */
  get isWorthwhile(): boolean {
    const [pages, free] = this.#count();
    return free > FEW && free > pages * SMALL_PART;
  }

  /**
   * Moves some pages; returns whether there are more to be moved.
   *
   * @throws SqliteError when none was moved.
   */
  some(): boolean {
    const { clock, driver } = this.#connection;
    const began = clock.monotonic();
    const free = this.#connection.write(() => {
      driver.exec(`PRAGMA incremental_vacuum(${this.#slice})`);
      return this.#count()[1];
    });
    const took = clock.monotonic() - began;
    if (took > LONGEST) this.#slice = Math.max(1, this.#slice >> 1);
    else if (took < LONGEST / 2) this.#slice = Math.min(this.#most, this.#slice * 2);
    return free > 0;
  }

  /** How many bytes it will have once the log is moved into it, as far as is known. */
  tryTotal(): number {
    try {
      return this.size().total;
    } catch {
      // Busy or broken: whoever uses it will say so.
      return 0;
    }
  }

  /** How large the database is now. */
  size(): DatabaseSize {
    this.#connection.enterReading(this.#connection.clock.now());
    const [pages, free, pageSize] = this.#count();
    return { total: pages * pageSize, used: (pages - free) * pageSize };
  }

  #count(): [pages: number, free: number, pageSize: number] {
    return this.#connection.statement(COUNT).get() as unknown as [number, number, number];
  }
}
