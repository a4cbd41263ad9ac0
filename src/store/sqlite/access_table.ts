/**
 * How often and when last each request was hit, in the database. A hit only counts in memory; the counts are written in
 * quiet moments.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { isBusy } from "../../sqlite/error.ts";
import type { Key } from "../store.ts";
import { AccessCounts } from "./access_counts.ts";
import type { Connection } from "./connection.ts";
import type { Upkeep } from "./upkeep.ts";

/** Counts kept in memory at most, 70 ms of work for who closes; and those that are written at once: 9 ms. */
const MOST = 16_384;
const AT_ONCE = 2048;

/** Of a request that was removed meanwhile nothing is kept. */
const ADD =
  "INSERT INTO access (key, count, last) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM request WHERE key = ?1) " +
  "ON CONFLICT (key) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)";

/** The accesses of one database. */
export class AccessTable implements Upkeep {
  readonly #connection: Connection;
  readonly #counts = new AccessCounts();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get hasWork(): boolean {
    return this.#counts.size > 0;
  }

  /** Whether so many are in memory that no quiet moment can be waited for. */
  get isFull(): boolean {
    return this.#counts.size > MOST;
  }

  /** Counts a hit. */
  count(key: Key, now: Milliseconds): void {
    this.#counts.add(key, now);
  }

  work(): void {
    this.#write(AT_ONCE);
  }

  finish(): void {
    try {
      this.#write(this.#counts.size);
    } catch {
      // Counts are not worth an error.
    }
  }

  #write(most: number): void {
    if (this.#counts.size === 0) return;
    const accesses = this.#counts.take(most);
    try {
      this.#connection.write(() => {
        const add = this.#connection.statement(ADD);
        for (const { key, count, last } of accesses) add.run(key, count, last);
      });
    } catch (error) {
      // Nor are they worth the memory to try again: a full disk must not fill that as well. Who has the database locked
      // will be gone soon.
      if (isBusy(error) && !this.isFull) {
        for (const { key, count, last } of accesses) this.#counts.add(key, last, count);
      }
      throw error;
    }
  }
}
