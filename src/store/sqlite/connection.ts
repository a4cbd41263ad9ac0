/**
 * One connection to a model's database: its transactions, and whether it can still be trusted. What uses it, lookups,
 * puts and upkeep, each in a file of its own, need not know of each other.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { SqlDriver, SqlStatement } from "../../sqlite/driver.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";
import type { RowTools } from "./entry_row.ts";
import { breaksConnection, toCacheError } from "./failure.ts";
import { ReadTransaction } from "./read_transaction.ts";

/** A connection, and what is needed to read and write through it. */
export class Connection {
  /** A page is broken, the log is gone, or nobody knows what was committed: the connection should be given up. */
  broken = false;
  /** Something was read or written that may give upkeep work; whoever has asked for that says so. */
  isChanged = true;
  readonly owned: OpenDatabase;
  readonly driver: SqlDriver;
  readonly tools: RowTools;
  readonly clock: Clock;
  readonly #reading: ReadTransaction;
  readonly #statements = new Map<string, SqlStatement>();
  readonly #begin: SqlStatement;
  readonly #commit: SqlStatement;
  readonly #rollback: SqlStatement;

  constructor(owned: OpenDatabase, tools: RowTools, clock: Clock) {
    this.owned = owned;
    this.driver = owned.driver;
    this.tools = tools;
    this.clock = clock;
    this.#reading = new ReadTransaction(owned, clock);
    this.#begin = owned.driver.prepare("BEGIN IMMEDIATE");
    this.#commit = owned.driver.prepare("COMMIT");
    this.#rollback = owned.driver.prepare("ROLLBACK");
  }

  /**
   * A statement that is prepared when it is first asked for, and then kept.
   *
   * @throws SqliteError
   */
  statement(sql: string): SqlStatement {
    const kept = this.#statements.get(sql);
    if (kept) return kept;
    const statement = this.driver.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * As {@link ReadTransaction.enter}: what is read next sees all that is committed.
   *
   * @throws SqliteError
   */
  enterReading(now: Milliseconds): void {
    this.#reading.enter(now);
  }

  /** Ends the read transaction, if one is open. Never throws. */
  endReading(): void {
    this.#reading.end();
  }

  /**
   * Runs `action` in a write transaction: all of it happens, or nothing.
   *
   * @throws SqliteError, or what `action` throws, when nothing happened; CacheError when nobody knows.
   */
  write<T>(action: () => T): T {
    this.endReading();
    this.isChanged = true;
    this.#begin.run();
    let committing = false;
    try {
      const result = action();
      committing = true;
      this.#commit.run();
      return result;
    } catch (error) {
      try {
        this.#rollback.run();
      } catch {
        // SQLite has rolled back by itself: a full disk, an I/O error.
      }
      if (!committing || !breaksConnection(error)) throw error;
      // It may be in the log, and be found there by whoever opens the database next.
      this.broken = true;
      throw toCacheError(error);
    }
  }
}
