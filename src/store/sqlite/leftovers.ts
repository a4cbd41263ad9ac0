/**
 * Removes what nobody will ask for again: claims of processes that died before they gave them up, and failures of long
 * ago.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { LONGEST_BINDING } from "../limits.ts";
import type { Connection } from "./connection.ts";
import type { Upkeep } from "./upkeep.ts";

/** How long a failure is remembered. */
const FAILURE_AGE: Milliseconds = 30 * 24 * 60 * 60 * 1000;
/** How often it is looked for what is left over while something is added to it. */
const EVERY: Milliseconds = 60 * 60 * 1000;
/** Rows looked at in one slice; those with the longest errors take two pages each. */
const AT_ONCE = 512;

interface Kept {
  readonly table: "claim" | "failure";
  /** The column with its time, which is later than `since` and not later than `until` from now in a row that is kept. */
  readonly time: "expires" | "last";
  readonly since: Milliseconds;
  readonly until: Milliseconds;
}

const KEPT: readonly Kept[] = [
  { table: "claim", time: "expires", since: 0, until: LONGEST_BINDING },
  // What a clock that was wrong has dated far ahead is not kept for ever either.
  { table: "failure", time: "last", since: -FAILURE_AGE, until: FAILURE_AGE },
];

/** The upkeep of a database's claims and failures: once when it is opened, and then when some were added. */
export class Leftovers implements Upkeep {
  readonly #connection: Connection;
  /** What was looked at last: which of {@link KEPT}, and which row; `undefined` when there is nothing to do. */
  #at: { readonly index: number; readonly rowid: number } | undefined = { index: 0, rowid: 0 };
  #began: Milliseconds;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#began = connection.clock.monotonic();
  }

  get hasWork(): boolean {
    return this.#at !== undefined;
  }

  /** Something was added that may be left over one day. */
  expect(): void {
    const now = this.#connection.clock.monotonic();
    if (this.#at || now - this.#began < EVERY) return;
    this.#began = now;
    this.#at = { index: 0, rowid: 0 };
  }

  work(): void {
    const { index, rowid } = this.#at!;
    // Whatever goes wrong, it can wait.
    this.#at = undefined;
    const { table, time, since, until } = KEPT[index]!;
    const now = this.#connection.clock.now();
    const isKept = `(${time} > ? AND ${time} <= ?)`;
    this.#connection.enterReading(now);
    // By rowid, so that a slice takes as long whatever it finds.
    const rows = this.#connection
      .statement(`SELECT rowid, ${isKept} FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ?`)
      .all(now + since, now + until, rowid, AT_ONCE);
    const leftOver = rows.filter(([, kept]) => kept !== 1);
    if (leftOver.length > 0) {
      // Others may have used it again meanwhile.
      const remove = this.#connection.statement(`DELETE FROM ${table} WHERE rowid = ? AND NOT ${isKept}`);
      this.#connection.write(() => {
        for (const [id] of leftOver) remove.run(id!, now + since, now + until);
      });
    }
    if (rows.length === AT_ONCE) this.#at = { index, rowid: rows.at(-1)![0] as number };
    else if (index + 1 < KEPT.length) this.#at = { index: index + 1, rowid: 0 };
  }
}
