/**
 * Finds and removes the least recently used requests of one database, in slices. A request goes with all its answers:
 * one of them alone could not be found without those before it.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlRow } from "../../sqlite/driver.ts";
import type { Key } from "../store.ts";
import type { AgeHistogram, Cutoff } from "./age_histogram.ts";
import type { Connection } from "./connection.ts";
import type { EntryRemover } from "./entry_removal.ts";
import { PLACE_COLUMNS, placeOf } from "./entry_removal.ts";

/** Before the first key. */
export const FIRST_KEY: Key = new Uint8Array(0);

/** Requests looked at at once, since each may have hundreds of answers, and how long looking goes on in one slice. */
const AT_ONCE = 8;
const LONGEST: Milliseconds = 3;
const MOST_LOOKED_AT = 2048;
/** What a request and each of its answers take beside their bodies: columns, keys and indexes, about. */
const REQUEST_BYTES = 300;
const ENTRY_BYTES = 400;

const WEIGHT = "found.key, max(found.created), count(*), total(length(found.body)), " +
  "(SELECT last FROM access WHERE access.key = found.key), " +
  "(SELECT length(body) FROM request WHERE request.key = found.key) FROM entry AS found";
const WEIGH_SOME = `SELECT ${WEIGHT} WHERE found.key > ? GROUP BY found.key ORDER BY found.key LIMIT ${AT_ONCE}`;
const WEIGH_ONE = `SELECT ${WEIGHT} WHERE found.key = ? GROUP BY found.key`;
/** From the last sample to the first, so that those that are still there keep their places. */
const PLACES = `SELECT ${PLACE_COLUMNS} FROM entry WHERE entry.key = ? ORDER BY sample DESC LIMIT ?`;

/** What a request and its answers take, and when it was last used. */
interface Weight {
  readonly key: Key;
  readonly used: Milliseconds;
  readonly answers: number;
  readonly bytes: number;
}

/** How far a slice went. */
export interface Passed {
  /** The last request that was looked at; `undefined` when there is none left. */
  readonly last: Key | undefined;
  /** How many answers were removed. */
  readonly answers: number;
  /** Bytes of those that were as old as the cutoff. */
  readonly tied: number;
}

/** Adds some requests after `after` to `histogram`; returns the last of them, `undefined` when there is none left. */
export function weighSome(connection: Connection, histogram: AgeHistogram, after: Key): Key | undefined {
  return look(connection, after, ({ used, bytes }) => {
    histogram.add(used, bytes);
    return true;
  });
}

/**
 * Removes some requests after `after` that lie before `cutoff`, by the ages in `histogram`. One with more answers than fit
 * into a transaction loses its last ones first.
 */
export function evictSome(remover: EntryRemover, histogram: AgeHistogram, cutoff: Cutoff, after: Key): Passed {
  const { connection } = remover;
  const found: Weight[] = [];
  let [tied, rows, bytes] = [0, 0, 0];
  const isOld = ({ used, bytes }: Weight): boolean => {
    const step = histogram.stepOf(used);
    return step > cutoff.step || (step === cutoff.step && tied < cutoff.bytes && (tied += bytes) > 0);
  };
  const last = look(connection, after, (weight) => {
    if (!isOld(weight)) return true;
    found.push(weight);
    rows += weight.answers;
    bytes += weight.bytes;
    return !remover.isEnough(rows, bytes);
  });
  if (found.length === 0) return { last, answers: 0, tied };
  return connection.write(() => {
    let [answers, before] = [0, after];
    for (const { key, used } of found) {
      const row = connection.statement(WEIGH_ONE).get(key);
      // Unless somebody has removed it, or has just used it.
      if (row && weightOf(row).used <= used) {
        const places = connection.statement(PLACES).all(key, remover.most).map(placeOf);
        const some = remover.firstOf(places);
        answers += remover.remove(some).entries;
        if (some.length < (row[2] as number)) return { last: before, answers, tied };
      }
      before = key;
    }
    return { last, answers, tied };
  });
}

/** Shows `see` one request after the other until it has enough or time is up; returns the last one shown. */
function look(connection: Connection, after: Key, see: (weight: Weight) => boolean): Key | undefined {
  const { clock } = connection;
  connection.enterReading(clock.now());
  const end = clock.monotonic() + LONGEST;
  let last = after;
  for (let looked = 0; looked < MOST_LOOKED_AT; looked += AT_ONCE) {
    const rows = connection.statement(WEIGH_SOME).all(last);
    for (const row of rows) {
      const weight = weightOf(row);
      last = weight.key;
      if (!see(weight)) return last;
    }
    if (rows.length < AT_ONCE) return undefined;
    if (clock.monotonic() > end) break;
  }
  return last;
}

function weightOf([key, created, entries, stored, accessed, request]: SqlRow): Weight {
  const bytes = (stored as number) + (entries as number) * ENTRY_BYTES + ((request ?? 0) as number) + REQUEST_BYTES;
  return { key: key as Key, used: Math.max(timeOf(created), timeOf(accessed)), answers: entries as number, bytes };
}

/** What somebody has damaged was used long ago. */
function timeOf(value: unknown): Milliseconds {
  return typeof value === "number" ? value : 0;
}
