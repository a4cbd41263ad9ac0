/**
 * The database of a store, as its tables see it: statements that are prepared once, transactions, and the tables' making
 * before the first of them that writes. Errors of SQLite leave it as the store's.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { SqlDriver, SqlStatement } from "../../sqlite/driver.ts";
import type { RowCodecs } from "../sqlite/entry_row.ts";
import { toCacheError } from "../sqlite/failure.ts";
import { hasTables, makeTables } from "./schema.ts";

/** What all tables of a store share. */
export class SqlSession {
  readonly driver: SqlDriver;
  readonly codecs: RowCodecs;
  readonly clock: Clock;
  readonly #onRollback: () => void;
  readonly #statements = new Map<string, SqlStatement>();
  /** Looked at anew after every failure: a Durable Object's `deleteAll` takes the tables, too. */
  #isMade = false;

  /** `onRollback` hears that nothing of a transaction has happened: what was counted in it is not so. */
  constructor(driver: SqlDriver, codecs: RowCodecs, clock: Clock, onRollback: () => void) {
    this.driver = driver;
    this.codecs = codecs;
    this.clock = clock;
    this.#onRollback = onRollback;
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
   * What `action` reads, or `nothing` where nothing was ever stored.
   *
   * @throws CacheError
   */
  read<T>(nothing: T, action: () => T): T {
    try {
      this.#isMade ||= hasTables(this.driver);
      return this.#isMade ? action() : nothing;
    } catch (error) {
      this.#isMade = false;
      throw toCacheError(error);
    }
  }

  /**
   * Runs `action` in a transaction: all of it happens, or nothing.
   *
   * @throws CacheError
   */
  write<T>(action: () => T): T {
    let isMade = this.#isMade;
    try {
      const result = this.#transaction(() => {
        if (!isMade && !hasTables(this.driver)) makeTables(this.driver);
        isMade = true;
        return action();
      });
      this.#isMade = isMade;
      return result;
    } catch (error) {
      this.#isMade = false;
      this.#onRollback();
      throw toCacheError(error);
    }
  }

  /** Frees the statements and closes the database. */
  close(): void {
    for (const statement of this.#statements.values()) statement.finalize();
    this.#statements.clear();
    this.driver.close();
  }

  #transaction<T>(action: () => T): T {
    if (this.driver.transaction) return this.driver.transaction(action);
    this.driver.exec("BEGIN IMMEDIATE");
    try {
      const result = action();
      this.driver.exec("COMMIT");
      return result;
    } catch (error) {
      try {
        this.driver.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself: a full disk, an I/O error.
      }
      throw error;
    }
  }
}
