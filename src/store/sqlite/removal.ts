/**
 * Removes what somebody selected from one database, in slices, so that others are served meanwhile. How far it has got
 * is remembered here and not by a connection: the database may be closed, and opened again, in between.
 *
 * Rows are looked for in a read transaction, and only those that fit are removed in a write transaction: where nothing
 * fits, nobody is kept from writing.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlStatement, SqlValue } from "../../sqlite/driver.ts";
import type { Key, Removed, Selection } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { EntryPlace, EntryRemover } from "./entry_removal.ts";
import { PLACE_COLUMNS, placeOf } from "./entry_removal.ts";

const SELECTION: readonly string[] = ["model", "keys", "namespace", "tag", "outcome", "createdBefore"];

/** Whether a row of `entry` fits; its parameters are {@link Removal}'s `#filter`. */
const FITS = "(?2 IS NULL OR entry.outcome = ?2) AND (?3 IS NULL OR entry.created < ?3) AND (?4 IS NULL OR EXISTS " +
  "(SELECT 1 FROM request WHERE request.key = entry.key AND namespace = ?4)) AND (?5 IS NULL OR EXISTS " +
  "(SELECT 1 FROM tag WHERE tag.key = entry.key AND tag = ?5))";
/** From the last sample to the first, so that those that are still there keep their places. */
const OF_KEY = `SELECT ${PLACE_COLUMNS} FROM entry WHERE key = ?1 AND ${FITS} ORDER BY sample DESC LIMIT ?6`;
/**
 * From the last row to the first: requests go from the end of their table, so blocks of sketches go with them one by
 * one, and what is put meanwhile is not looked at.
 */
const OF_ALL = `SELECT ${PLACE_COLUMNS}, ${FITS} FROM entry WHERE rowid < ?1 ORDER BY rowid DESC LIMIT ?6`;
const TAGGED = "SELECT key FROM tag WHERE tag = ? AND key > ? ORDER BY key LIMIT ?";

/** Looking at rows that do not fit goes on for so long, and so many at a time. */
const LONGEST_LOOK: Milliseconds = 2;
const LOOKED_AT = 128;
const MOST_LOOKED_AT = 2048;

/** What may be there though no answer is: failures of calls that never gave one, counts of hits that came late. */
const REST: readonly string[] = ["request", "failure", "access", "tag"].map((table) =>
  `SELECT key, NOT EXISTS (SELECT 1 FROM entry WHERE entry.key = ${table}.key) FROM ${table} WHERE key > ? ` +
  "ORDER BY key LIMIT ?"
);

/** What one slice has found. */
interface Slice {
  readonly places: readonly EntryPlace[];
  /** Requests of which nothing is to be known any more. */
  readonly finished: readonly Key[];
  /** Remembers how far it went, once what it found is gone. */
  advance(): void;
}

/** A removal under way. */
export class Removal {
  /** Whether all is gone. */
  done = false;
  /** What went so far. */
  removed: Removed = { entries: 0, storedBytes: 0 };
  readonly #selection: Selection;
  readonly #filter: readonly SqlValue[];
  /** Whether a request that fits is forgotten even where it has no answer. */
  readonly #forgets: boolean;
  #keys: readonly Key[];
  /** The last request with the tag that was taken up. */
  #tagged: Key = new Uint8Array(0);
  #below = Number.MAX_SAFE_INTEGER;
  /** Which of {@link REST} is removed now; `undefined` while there are answers. */
  #rest: number | undefined;
  /** The last key in it that was looked at. */
  #restKey: Key = new Uint8Array(0);

  /**
   * Removes from one database what `selection` says; its `model` is for whoever chooses the database.
   *
   * @throws TypeError, RangeError when the selection is wrong: what was meant to be little must not turn out to be all.
   */
  constructor(selection: Selection) {
    refuseUnknownOptions("remove entries", selection, SELECTION);
    const { keys, namespace, tag, outcome, createdBefore } = selection;
    if (createdBefore !== undefined && !(typeof createdBefore === "number" && !Number.isNaN(createdBefore))) {
      throw new RangeError(`Cannot remove entries: createdBefore must be a time in milliseconds: ${createdBefore}`);
    }
    const ofKeys = keys !== undefined;
    this.#selection = selection;
    this.#keys = keys ?? [];
    this.#filter = [outcome ?? null, createdBefore ?? null, namespace ?? null, ofKeys ? tag ?? null : null];
    this.#forgets = this.#filter.every((value) => value === null);
  }

  /**
   * Removes some.
   *
   * @throws SqliteError when nothing was removed; it may be tried again.
   */
  some(remover: EntryRemover): void {
    const { connection } = remover;
    if (this.#rest !== undefined) return this.#removeRest(remover, this.#rest);
    connection.enterReading(connection.clock.now());
    const { keys, tag } = this.#selection;
    const { places, finished, advance } = keys || tag !== undefined ? this.#ofKeys(remover) : this.#ofAll(remover);
    if (places.length + finished.length > 0) {
      const { entries, storedBytes } = connection.write(() => {
        const removed = remover.remove(places);
        for (const key of finished) remover.forget(key);
        if (finished.length > 0) remover.dropLateSketches();
        return removed;
      });
      this.removed = { entries: this.removed.entries + entries, storedBytes: this.removed.storedBytes + storedBytes };
    }
    advance();
  }

  /** The next answers to requests that are known by their keys. */
  #ofKeys(remover: EntryRemover): Slice {
    const { connection, most } = remover;
    const keys = this.#keys.length > 0 ? this.#keys : this.#taggedKeys(connection, most);
    const select = connection.statement(OF_KEY);
    const places: EntryPlace[] = [];
    let [bytes, done] = [0, 0];
    for (const key of keys.slice(0, most)) {
      for (const row of select.all(key, ...this.#filter, most)) {
        const place = placeOf(row);
        places.push(place);
        bytes += place.storedBytes;
        if (remover.isEnough(places.length, bytes)) break;
      }
      // There may be more of this one, which is taken up again.
      if (remover.isEnough(places.length, bytes)) break;
      done++;
    }
    const finished = keys.slice(0, done);
    return {
      places,
      finished: this.#forgets ? finished : [],
      advance: () => {
        this.#tagged = finished.at(-1) ?? this.#tagged;
        this.#keys = keys.slice(done);
        if (this.#keys.length === 0 && (this.#selection.keys || keys.length === 0)) this.done = true;
      },
    };
  }

  #taggedKeys(connection: Connection, most: number): Key[] {
    const { keys, tag } = this.#selection;
    if (keys || tag === undefined) return [];
    return connection.statement(TAGGED).all(tag, this.#tagged, most).map(([key]) => key as Key);
  }

  /** The next answers that fit among all. */
  #ofAll(remover: EntryRemover): Slice {
    const { connection } = remover;
    const { clock } = connection;
    const select: SqlStatement = connection.statement(OF_ALL);
    const end = clock.monotonic() + LONGEST_LOOK;
    const places: EntryPlace[] = [];
    let [below, bytes, looked, isEnd] = [this.#below, 0, 0, false];
    const isFull = (): boolean => remover.isEnough(places.length, bytes);
    while (!isFull() && !isEnd && looked < MOST_LOOKED_AT && clock.monotonic() <= end) {
      const rows = select.all(below, ...this.#filter, LOOKED_AT);
      isEnd = rows.length < LOOKED_AT;
      for (const row of rows) {
        if (isFull()) {
          isEnd = false;
          break;
        }
        looked++;
        const place = placeOf(row);
        below = place.rowid;
        if (row[4] !== 1) continue;
        places.push(place);
        bytes += place.storedBytes;
      }
    }
    return {
      places,
      finished: [],
      advance: () => {
        this.#below = below;
        if (!isEnd) return;
        if (this.#forgets) this.#rest = 0;
        else this.done = true;
      },
    };
  }

  /** Others may have put so much meanwhile that looking for what they have not put takes long. */
  #removeRest(remover: EntryRemover, rest: number): void {
    const { connection } = remover;
    const { clock } = connection;
    connection.enterReading(clock.now());
    const select = connection.statement(REST[rest]!);
    const end = clock.monotonic() + LONGEST_LOOK;
    const lonely: Key[] = [];
    let [last, isEnd] = [this.#restKey, false];
    do {
      const rows = select.all(last, remover.most);
      isEnd = rows.length < remover.most;
      for (const [key, isLonely] of rows) if (isLonely === 1) lonely.push(key as Key);
      last = rows.at(-1)?.[0] as Key ?? last;
    } while (!isEnd && lonely.length === 0 && clock.monotonic() <= end);
    if (lonely.length > 0) {
      connection.write(() => {
        for (const key of lonely) remover.forget(key);
        remover.dropLateSketches();
      });
    }
    this.#restKey = last;
    if (!isEnd) return;
    this.#restKey = new Uint8Array(0);
    if (rest + 1 < REST.length) this.#rest = rest + 1;
    else this.done = true;
  }
}
