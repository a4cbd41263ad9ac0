/**
 * Work on a database that nobody waits for. It is done in quiet moments and in slices, so that whoever comes meanwhile is
 * served at once.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";

/** One kind of work on one open database. */
export interface Upkeep {
  /** Whether {@link work} has something to do. */
  readonly hasWork: boolean;
  /** When it will have, though nobody uses the database, in milliseconds since 1970. Absent where that cannot be. */
  readonly due?: Milliseconds;
  /**
   * Does one slice, some 4 ms of it.
   *
   * @throws SqliteError, after which {@link hasWork} must not stay true for the same reason for ever.
   */
  work(): void;
  /** Does all of it, briefly, since the database is about to be closed. Absent where it can wait. Never throws. */
  finish?(): void;
}
