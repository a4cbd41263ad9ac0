/**
 * Work on a database that nobody waits for. It is done in quiet moments and in slices, so that whoever comes meanwhile is
 * served at once.
 *
 * @module
 */

/** One kind of work on one open database. */
export interface Upkeep {
  /** Whether {@link work} has something to do. Cheap enough to be asked after every lookup. */
  readonly hasWork: boolean;
  /**
   * Does one slice, some 4 ms of it.
   *
   * @throws SqliteError, after which {@link hasWork} must not stay true for the same reason for ever.
   */
  work(): void;
  /** Does all of it, briefly, since the database is about to be closed. Absent where it can wait. Never throws. */
  finish?(): void;
}
