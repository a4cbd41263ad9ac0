/**
 * Failures of a store on one SQL database.
 *
 * @module
 */

import { refuseLongError } from "../limits.ts";
import type { FailureRecord, Failures, Key, NewFailure } from "../store.ts";
import type { SqlSession } from "./session.ts";

const RECORD = "INSERT INTO warmcache_failure (key, model, count, last, expires, error) VALUES (?, ?, 1, ?, ?, ?) " +
  "ON CONFLICT (key, model) DO UPDATE SET count = count + 1, last = excluded.last, expires = excluded.expires, " +
  "error = excluded.error";
const LAST = "SELECT count, last, expires, error FROM warmcache_failure WHERE key = ? AND model = ?";

/** The failures of a database. */
export class SqlFailures implements Failures {
  readonly #session: SqlSession;
  readonly #refuseClosed: (tried: string) => void;

  constructor(session: SqlSession, refuseClosed: (tried: string) => void) {
    this.#session = session;
    this.#refuseClosed = refuseClosed;
  }

  record(model: string, key: Key, { last, expires, error }: NewFailure): void {
    this.#refuseClosed("record a failure");
    refuseLongError(error);
    this.#session.write(() => this.#session.statement(RECORD).run(key, model, last, expires, error));
  }

  last(model: string, key: Key): FailureRecord | undefined {
    this.#refuseClosed("look for a failure");
    const row = this.#session.read(undefined, () => this.#session.statement(LAST).get(key, model));
    if (!row) return undefined;
    const [count, last, expires, error] = row as readonly [number, number, number | null, Uint8Array];
    return { count, last, expires, error };
  }
}
