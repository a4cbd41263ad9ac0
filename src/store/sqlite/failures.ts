/**
 * Failures of a SQLite store.
 *
 * @module
 */

import { refuseLongError } from "../limits.ts";
import type { FailureRecord, Failures, Key, MaybePromise, NewFailure } from "../store.ts";
import type { Databases } from "./databases.ts";

/** What a failure writes beside its error, about. */
const ROW_BYTES = 128;

/** The failures of a store. */
export class SqliteFailures implements Failures {
  readonly #databases: Databases;

  constructor(databases: Databases) {
    this.#databases = databases;
  }

  record(model: string, key: Key, failure: NewFailure): Promise<void> {
    refuseLongError(failure.error);
    const [failed, kept] = [key.slice(), { ...failure, error: failure.error.slice() }];
    return this.#databases.write(model, {
      purpose: "record a failure",
      bytes: ROW_BYTES + kept.error.byteLength,
      run: ({ failures }) => failures.record(failed, kept),
    });
  }

  last(model: string, key: Key): MaybePromise<FailureRecord | undefined> {
    return this.#databases.read(model, "look for a failure in", (database) => database.lastFailure(key));
  }
}
