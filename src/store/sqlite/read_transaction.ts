/**
 * One read transaction for the lookups of one turn of the event loop: beginning and ending one costs as much as a
 * lookup does, more where processes share the database.
 *
 * A transaction left open would keep others from shortening the log, and would not see what they write. So it ends with
 * the turn; for a caller who never lets the loop turn, after 5 ms; before this connection writes; and when somebody else
 * has committed since it began.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { SqlStatement } from "../../sqlite/driver.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";

const LONGEST: Milliseconds = 5;

/** The read transaction of a connection, open or not. */
export class ReadTransaction {
  readonly #database: OpenDatabase;
  readonly #clock: Clock;
  readonly #begin: SqlStatement;
  readonly #commit: SqlStatement;
  readonly #endWithTurn: () => void;
  #isOpen = false;
  #began: Milliseconds = 0;
  #awaitsEnd = false;

  constructor(database: OpenDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    this.#begin = database.driver.prepare("BEGIN");
    this.#commit = database.driver.prepare("COMMIT");
    this.#endWithTurn = () => {
      this.#awaitsEnd = false;
      this.end();
    };
  }

  /**
   * Makes sure that what is read next is read in a transaction that sees all that is committed. `now` is
   * {@link Clock.now}, which every lookup asks for anyway; a clock that is set meanwhile ends the transaction early.
   *
   * @throws SqliteError
   */
  enter(now: Milliseconds): void {
    if (this.#isOpen) {
      const age = now - this.#began;
      if (age >= 0 && age < LONGEST && !this.#database.hasNews) return;
      this.end();
    }
    this.#begin.run();
    this.#isOpen = true;
    this.#began = now;
    if (this.#awaitsEnd) return;
    this.#awaitsEnd = true;
    this.#clock.afterTurn(this.#endWithTurn);
  }

  /** Ends it, if it is open. Never throws. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#commit.run();
    } catch {
      // After some failures SQLite has ended it by itself.
    }
  }
}
