/**
 * The daily ledger of a SQLite store: amounts are added up in memory, written into their model's database when there is
 * time, and read from all of them.
 *
 * @module
 */

import type { DailyAmounts, DailyLedger } from "../store.ts";
import type { Amount } from "./amounts_by_day.ts";
import { AmountsByDay } from "./amounts_by_day.ts";
import type { WrittenAmounts } from "./daily_table.ts";
import { readAmounts } from "./daily_table.ts";
import type { Databases, ReadSome } from "./databases.ts";
import { modelOf } from "./schema.ts";

/** The ledger of a store. */
export class SqliteLedger implements DailyLedger {
  readonly #databases: Databases;
  readonly #waiting: AmountsByDay;

  constructor(databases: Databases, waiting: AmountsByDay) {
    this.#databases = databases;
    this.#waiting = waiting;
  }

  add({ model, day, amounts }: DailyAmounts): void {
    for (const [name, amount] of Object.entries(amounts)) this.#waiting.add(model, { day, name, amount });
    this.#databases.notice(model);
  }

  async read(): Promise<DailyAmounts[]> {
    const sums = new AmountsByDay();
    const read = new Set<string>();
    await this.#databases.readEach(() => this.#reader(sums, read));
    for (const model of this.#waiting.models) if (!read.has(model)) this.#addWaiting(sums, model);
    return sums.list();
  }

  /** Adds a database's amounts, and those that wait for it, to `sums` once all of them were read. */
  #reader(sums: AmountsByDay, read: Set<string>): ReadSome {
    let found: Amount[] = [];
    let after: WrittenAmounts["last"];
    let taken = this.#waiting.taken;
    return (driver) => {
      const model = modelOf(driver);
      if (taken !== this.#waiting.taken) {
        // What was written since may lie before what was read last.
        [found, after, taken] = [[], undefined, this.#waiting.taken];
      }
      const { amounts, last } = readAmounts(driver, after);
      found.push(...amounts);
      after = last;
      if (after) return true;
      for (const amount of found) sums.add(model, amount);
      this.#addWaiting(sums, model);
      read.add(model);
      return false;
    };
  }

  #addWaiting(sums: AmountsByDay, model: string): void {
    for (const amount of this.#waiting.of(model)) sums.add(model, amount);
  }
}
