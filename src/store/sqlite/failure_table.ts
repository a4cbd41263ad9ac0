/**
 * What is known of calls that failed, by request.
 *
 * @module
 */

import { SqliteError } from "../../sqlite/error.ts";
import type { FailureRecord, Key, NewFailure } from "../store.ts";
import type { Connection } from "./connection.ts";

const RECORD = "INSERT INTO failure (key, count, last, expires, error) VALUES (?, 1, ?, ?, ?) ON CONFLICT (key) DO " +
  "UPDATE SET count = count + 1, last = excluded.last, expires = excluded.expires, error = excluded.error";

/** The failures in one database. Methods throw SqliteError. */
export class FailureTable {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Counts a failure and keeps it as the last; has to be called in a write transaction. */
  record(key: Key, { last, expires, error }: NewFailure): void {
    this.#connection.statement(RECORD).run(key, last, expires, error);
  }

  /** The last failure of a request. What somebody has damaged is none. */
  last(key: Key): FailureRecord | undefined {
    this.#connection.enterReading(this.#connection.clock.now());
    try {
      const row = this.#connection.statement("SELECT count, last, expires, error FROM failure WHERE key = ?").get(key);
      if (!row) return undefined;
      const [count, last, expires, error] = row;
      if (typeof count !== "number" || typeof last !== "number" || !(error instanceof Uint8Array)) return undefined;
      return { count, last, expires: typeof expires === "number" ? expires : null, error };
    } catch (error) {
      this.#connection.endReading();
      if (!(error instanceof SqliteError) || error.code !== "SQLITE_CORRUPT") throw error;
      this.#connection.broken = true;
      return undefined;
    }
  }
}
