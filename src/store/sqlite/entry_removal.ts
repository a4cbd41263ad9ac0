/**
 * Takes answers out of a database, whoever wants them gone: somebody who asked for it, time, or want of room. With a
 * request's last answer goes all that is known of the request, in the same transaction, so that no moment shows an
 * answer without its request, or the other way round.
 *
 * @module
 */

import type { SqlRow, SqlValue } from "../../sqlite/driver.ts";
import type { Key, Removed } from "../store.ts";
import type { Connection } from "./connection.ts";

/** Where an answer is, and by what it is known again: a rowid may be used for another meanwhile. */
export interface EntryPlace {
  readonly rowid: number;
  readonly key: Key;
  readonly created: SqlValue;
  readonly storedBytes: number;
}

/** What {@link placeOf} reads. */
export const PLACE_COLUMNS = "entry.rowid, entry.key, entry.created, length(entry.body)";

/** So many rows are removed in one transaction, about 3 ms of work, and rows of so many bytes, since each page is read. */
const MOST_REMOVED = 64;
const MOST_REMOVED_BYTES = 1024 * 1024;
/** What removing a row writes to the log, about: a page of each table and index it is in. */
const LOGGED_BYTES = 32 * 1024;

/** What is known of a request besides its answers. */
const REMAINS = ["request", "tag", "access", "failure"].map((table) => `DELETE FROM ${table} WHERE key = ?`);

/** The next answers get the rowids of the last ones: whoever makes answers shorter has not passed them (recompression.ts). */
const WALK_BACK =
  "UPDATE meta SET value = (SELECT ifnull(max(rowid), 0) FROM entry) WHERE name = 'dictionary_walked' " +
  "AND value > (SELECT ifnull(max(rowid), 0) FROM entry)";

/** The place in a row of {@link PLACE_COLUMNS}. */
export function placeOf([rowid, key, created, storedBytes]: SqlRow): EntryPlace {
  return { rowid: rowid as number, key: key as Key, created: created!, storedBytes: storedBytes as number };
}

/** Removes from one database. Its methods have to be called in a write transaction. */
export class EntryRemover {
  readonly connection: Connection;
  /** How many rows to remove in one transaction. */
  readonly most: number;
  readonly #onRemoved: (answers: number) => void;

  /** A transaction may write about `longLog` bytes. `onRemoved` is told how many answers have gone. */
  constructor(connection: Connection, longLog: number, onRemoved: (answers: number) => void) {
    this.connection = connection;
    this.most = Math.min(MOST_REMOVED, Math.ceil(longLog / LOGGED_BYTES));
    this.#onRemoved = onRemoved;
  }

  /** Whether so many rows, of so many bytes, are enough for one transaction. */
  isEnough(rows: number, bytes: number): boolean {
    return rows >= this.most || bytes > MOST_REMOVED_BYTES;
  }

  /** Those of `places`, from the first on, that are enough for one transaction. */
  firstOf(places: readonly EntryPlace[]): readonly EntryPlace[] {
    let bytes = 0;
    const end = places.findIndex(({ storedBytes }, index) => this.isEnough(index + 1, bytes += storedBytes));
    return end === -1 ? places : places.slice(0, end + 1);
  }

  /** Removes the answers that are still where they were found. */
  remove(places: readonly EntryPlace[]): Removed {
    const remove = this.connection.statement("DELETE FROM entry WHERE rowid = ? AND key = ? AND created IS ?");
    let [entries, storedBytes] = [0, 0];
    let key: Key | undefined;
    for (const place of places) {
      if (remove.run(place.rowid, place.key, place.created) === 0) continue;
      entries++;
      storedBytes += place.storedBytes;
      if (key && !isEqual(key, place.key)) this.forget(key);
      key = place.key;
    }
    if (key) this.forget(key);
    this.dropLateSketches();
    if (entries > 0) {
      this.connection.statement(WALK_BACK).run();
      this.#onRemoved(entries);
    }
    return { entries, storedBytes };
  }

  /** Removes what is known of a request that has no answer left. */
  forget(key: Key): void {
    if (this.connection.statement("SELECT 1 FROM entry WHERE key = ? LIMIT 1").get(key)) return;
    for (const remains of REMAINS) this.connection.statement(remains).run(key);
  }

  /**
   * Drops the blocks of sketches that reach beyond the last request: the next request gets a rowid they cover, and would
   * never be gathered into another. Whoever removes requests calls it in the same transaction.
   */
  dropLateSketches(): void {
    this.connection.statement("DELETE FROM sketch WHERE last > (SELECT ifnull(max(rowid), 0) FROM request)").run();
  }
}

function isEqual(left: Key, right: Key): boolean {
  for (let index = 0; index < right.byteLength; index++) if (left[index] !== right[index]) return false;
  return left.byteLength === right.byteLength;
}
