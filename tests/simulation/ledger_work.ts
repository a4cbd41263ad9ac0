/** What the instances of most seeds do: transactions, reads and checkpoints straight on the engine. */

import { isBusy } from "../../src/sqlite/error.ts";
import type { SqliteError } from "../../src/sqlite/error.ts";
import type { OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { createLedgerOnce, Ledger, Truth } from "./ledger.ts";
import { FOLDER } from "./machine.ts";
import type { Action, Plan } from "./plan.ts";
import type { Parts, Work } from "./process.ts";
import { Violation } from "./violation.ts";

export const DATABASE: string = `${FOLDER}/d.sqlite`;

/** How often somebody in the way is waited for. */
const TRIES = 40;
const TOLERATED = ["SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "EIO", "ENOSPC"];

/** A process that keeps the ledger. */
export class LedgerWork implements Work {
  readonly databases: readonly string[] = [DATABASE];
  readonly #parts: Parts;
  readonly #plan: Plan;
  readonly #truth: Truth;
  #database: OpenDatabase | undefined;
  #ledger: Ledger | undefined;

  constructor(parts: Parts, plan: Plan) {
    this.#parts = parts;
    this.#plan = plan;
    this.#truth = new Truth(parts.truth);
  }

  async perform(action: Action): Promise<void> {
    if (action.kind === "reopen") this.close();
    else if (action.kind === "write") await this.#write(action);
    else if (action.kind === "read") await this.#read(action);
    else if (action.kind === "checkpoint") await this.#checkpoint(action.mode);
  }

  async judge(): Promise<void> {
    await this.#connect();
    const { driver } = this.#database!;
    driver.exec("BEGIN");
    const n = this.#ledger!.check(true);
    if (n < this.#truth.high) throw new Violation(`lost: ${n} is left of ${this.#truth.high}`);
    driver.exec("COMMIT");
    this.close();
  }

  isTolerable(error: unknown): boolean {
    return (this.#plan.rates.fail > 0 || this.#parts.consequences) &&
      TOLERATED.includes(String((error as { code?: string }).code));
  }

  close(): void {
    const database = this.#database;
    this.forget();
    database?.close();
  }

  forget(): void {
    this.#database = this.#ledger = undefined;
  }

  async #write({ pages, begin, undo }: Action & { readonly kind: "write" }): Promise<void> {
    const { turns } = this.#parts;
    const truth = this.#truth;
    const floor = truth.high;
    let attempt = 0;
    const written = await this.#patiently(({ driver }, ledger) => {
      driver.exec(`BEGIN ${begin}`);
      const n = ledger.number + 1;
      this.#parts.turns.trace?.(`=== n is to be ${n}`);
      if (n <= floor) throw new Violation(`went back: writes ${n} after ${floor} was committed`);
      attempt = truth.attempt(n);
      try {
        ledger.write(n, attempt, pages);
      } catch (error) {
        truth.undo(attempt);
        throw error;
      }
      return true;
    });
    if (!written) return;
    if (undo) {
      truth.undo(attempt);
      this.#database!.driver.exec("ROLLBACK");
      return;
    }
    truth.doubt(attempt);
    if (!await this.#commit()) {
      truth.undo(attempt);
      this.#undo();
      return;
    }
    // SQLite does not notice that it died while it gave up its lock, but nobody is told by the dead.
    turns.live();
    if (!this.#database!.hasLog) return this.close();
    truth.acknowledge(attempt);
    this.#parts.turns.trace?.(`=== acknowledged, high is ${truth.high}`);
  }

  /** Commits; `false` while somebody is in the way of beginning the log anew. */
  async #commit(): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        this.#database!.driver.exec("COMMIT");
        return true;
      } catch (error) {
        if (this.#parts.turns.dead || !isBusy(error)) throw error;
        // Unlike SQLITE_BUSY this has undone the transaction.
        if ((error as SqliteError).code === "SQLITE_PROTOCOL") return false;
      }
      await this.#parts.runtime.clock.sleep(1);
    }
    return false;
  }

  async #read({ full, again }: Action & { readonly kind: "read" }): Promise<void> {
    const { runtime } = this.#parts;
    const truth = this.#truth;
    const floor = truth.high;
    const seen = await this.#patiently(({ driver }, ledger) => {
      driver.exec("BEGIN");
      return ledger.check(full);
    });
    if (seen === undefined) return;
    if (seen < floor) throw new Violation(`went back: read ${seen} after ${floor} was committed`);
    truth.saw(seen);
    if (again) {
      await runtime.clock.sleep(1);
      const second = this.#ledger!.check(!full);
      if (second !== seen) throw new Violation(`torn: one read transaction saw ${seen}, then ${second}`);
    }
    this.#database!.driver.exec("COMMIT");
  }

  async #checkpoint(mode: string): Promise<void> {
    await this.#patiently(({ driver }) => {
      const statement = driver.prepare(`PRAGMA wal_checkpoint(${mode})`);
      try {
        return statement.get()?.[0] === 0 ? true : undefined;
      } finally {
        statement.finalize();
      }
    });
  }

  /** Tries something until nobody is in the way, but not for ever. */
  async #patiently<T>(run: (database: OpenDatabase, ledger: Ledger) => T | undefined): Promise<T | undefined> {
    const { turns, runtime } = this.#parts;
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        await this.#connect();
        const result = run(this.#database!, this.#ledger!);
        turns.live();
        if (result !== undefined) return result;
      } catch (error) {
        if (turns.dead) throw error;
        this.#undo();
        if (!isBusy(error)) throw error;
      }
      await runtime.clock.sleep(1);
    }
    return undefined;
  }

  #undo(): void {
    try {
      this.#database?.driver.exec("ROLLBACK");
    } catch {
      // SQLite has done so itself, or there was nothing to undo.
    }
  }

  async #connect(): Promise<void> {
    if (this.#database) return;
    const { runtime } = this.#parts;
    const database = await openDatabase({
      runtime,
      path: DATABASE,
      create: true,
      locking: "shared",
      synchronous: this.#plan.synchronous,
      lockTimeout: 100,
      schema: createLedgerOnce,
    });
    this.#database = database;
    this.#ledger = new Ledger(database.driver, this.#truth);
    database.driver.exec(`PRAGMA cache_size = ${this.#plan.cacheSize}`);
  }
}
