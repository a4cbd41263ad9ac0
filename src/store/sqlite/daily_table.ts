/**
 * The amounts by day in a model's database, and how those that wait get there. They are added in the database, so that
 * what several processes add at once is all there.
 *
 * @module
 */

import type { SqlDriver } from "../../sqlite/driver.ts";
import { isBusy } from "../../sqlite/error.ts";
import { CacheError } from "../error.ts";
import type { Amount, AmountsByDay } from "./amounts_by_day.ts";
import type { Connection } from "./connection.ts";
import type { Upkeep } from "./upkeep.ts";

/** Amounts that are written, or read, at once: some 4 ms of work. */
const AT_ONCE = 1024;

const ADD = "INSERT INTO daily (day, name, amount) VALUES (?, ?, ?) " +
  "ON CONFLICT (day, name) DO UPDATE SET amount = amount + excluded.amount";
const SELECT = "SELECT day, name, amount FROM daily WHERE (day, name) > (?, ?) ORDER BY day, name LIMIT ?";

/** Writes down what waits for one model. */
export class DailyTable implements Upkeep {
  readonly #connection: Connection;
  readonly #model: string;
  readonly #waiting: AmountsByDay;
  /** Writing failed, and that is unlikely to have changed. */
  #failed = false;

  constructor(connection: Connection, model: string, waiting: AmountsByDay) {
    this.#connection = connection;
    this.#model = model;
    this.#waiting = waiting;
  }

  get hasWork(): boolean {
    return !this.#failed && this.#waiting.has(this.#model);
  }

  work(): void {
    this.#write(AT_ONCE);
  }

  finish(): void {
    try {
      this.#write(Infinity);
    } catch {
      // They wait for whoever opens it next.
    }
  }

  #write(most: number): void {
    const amounts = this.#waiting.take(this.#model, most);
    if (amounts.length === 0) return;
    try {
      this.#connection.write(() => {
        const add = this.#connection.statement(ADD);
        for (const { day, name, amount } of amounts) add.run(day, name, amount);
      });
    } catch (error) {
      // A CacheError says that they may have been written.
      if (!(error instanceof CacheError)) { for (const amount of amounts) this.#waiting.add(this.#model, amount); }
      this.#failed = !isBusy(error);
      throw error;
    }
  }
}

/** Some of the amounts in a database. */
export interface WrittenAmounts {
  readonly amounts: readonly Amount[];
  /** What to go on after; `undefined` when there is no more. */
  readonly last: Omit<Amount, "amount"> | undefined;
}

/** Reads the amounts that come after one, as many as can be without keeping others waiting. Damaged ones are left out. */
export function readAmounts(driver: SqlDriver, after: Omit<Amount, "amount"> = { day: "", name: "" }): WrittenAmounts {
  const statement = driver.prepare(SELECT);
  try {
    const rows = statement.all(after.day, after.name, AT_ONCE);
    const amounts = rows.map(([day, name, amount]) => ({ day, name, amount }) as Amount);
    return {
      amounts: amounts.filter(({ amount }) => Number.isFinite(amount)),
      last: rows.length === AT_ONCE ? amounts.at(-1) : undefined,
    };
  } finally {
    statement.finalize();
  }
}
