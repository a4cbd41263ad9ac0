/**
 * Finds and removes the least recently used requests of one database, in slices. A request goes with all its answers:
 * one of them alone could not be found without those before it.
 *
 * How old is too old, a sample has told ({@link ./request_sample.ts}). The requests are walked through in the order in
 * which they came, in which the pages lie too, and those that are too old go, until it is enough: mostly these are the
 * first.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlRow } from "../../sqlite/driver.ts";
import type { Key } from "../store.ts";
import type { AgeHistogram, Cutoff } from "./age_histogram.ts";
import type { EntryRemover } from "./entry_removal.ts";
import { PLACE_COLUMNS, placeOf } from "./entry_removal.ts";

/** Rowids looked at at once, and how long looking goes on in one slice. */
const AT_ONCE = 128;
const LONGEST: Milliseconds = 3;
/** What a request and each of its answers take beside their bodies: columns, keys and indexes, about. */
const REQUEST_BYTES = 300;
const ENTRY_BYTES = 400;

/** What {@link weightOf} reads. */
export const WEIGHT: string = "found.key, max(found.created), count(*), total(length(found.body)), " +
  "(SELECT last FROM access WHERE access.key = found.key), " +
  "(SELECT length(body) FROM request WHERE request.key = found.key) FROM entry AS found";
const WEIGH_ONE = `SELECT ${WEIGHT} WHERE found.key = ? GROUP BY found.key`;
const NEXT = "SELECT rowid FROM entry WHERE rowid > ? ORDER BY rowid LIMIT 1";
/** What is no time was used long ago. */
const LATER = (time: string): string => `(${time} > ?3 AND ${time} < 9e999)`;
/** Requests, each by its first sample, that may have been used last at a time or before it. */
const OLD = `SELECT rowid, key FROM entry WHERE rowid >= ?1 AND rowid < ?2 AND NOT ${LATER("created")} AND ` +
  "sample = (SELECT min(sample) FROM entry AS other WHERE other.key = entry.key) AND NOT EXISTS " +
  `(SELECT 1 FROM access WHERE access.key = entry.key AND ${LATER("last")}) ORDER BY rowid`;
/** From the last sample to the first, so that those that are still there keep their places. */
const PLACES = `SELECT ${PLACE_COLUMNS} FROM entry WHERE entry.key = ? ORDER BY sample DESC LIMIT ?`;

/** What a request and its answers take, and when it was last used. */
export interface Weight {
  readonly key: Key;
  readonly used: Milliseconds;
  readonly answers: number;
  readonly bytes: number;
}

/** A request that is to go, and the rowid of its first answer. */
interface OldRequest extends Weight {
  readonly rowid: number;
}

/** How far a slice went. */
export interface Passed {
  /** The last row that was looked at; `undefined` when there is none left. */
  readonly last: number | undefined;
  /** How many answers were removed. */
  readonly answers: number;
  /** Bytes of those that were as old as the cutoff. */
  readonly tied: number;
}

/**
 * Removes some requests whose first answer comes after row `after` and that lie before `cutoff`, by the ages in
 * `histogram`. One with more answers than fit into a transaction loses its last ones first.
 */
export function evictSome(remover: EntryRemover, histogram: AgeHistogram, cutoff: Cutoff, after: number): Passed {
  const { connection } = remover;
  const { found, last, tied } = findOld(remover, histogram, cutoff, after);
  if (found.length === 0) return { last, answers: 0, tied };
  return connection.write(() => {
    let answers = 0;
    for (const { key, used, rowid } of found) {
      const row = connection.statement(WEIGH_ONE).get(key);
      // Unless somebody has removed it, or has just used it.
      if (!row || weightOf(row).used > used) continue;
      const places = connection.statement(PLACES).all(key, remover.most).map(placeOf);
      const some = remover.firstOf(places);
      answers += remover.remove(some).entries;
      if (some.length < (row[2] as number)) return { last: rowid - 1, answers, tied };
    }
    return { last, answers, tied };
  });
}

/** Looks for requests to remove until there are enough for one transaction, or time is up. */
function findOld(
  remover: EntryRemover,
  histogram: AgeHistogram,
  cutoff: Cutoff,
  after: number,
): { readonly found: readonly OldRequest[]; readonly last: number | undefined; readonly tied: number } {
  const { connection } = remover;
  const { clock } = connection;
  connection.enterReading(clock.now());
  const end = clock.monotonic() + LONGEST;
  const latest = histogram.latestOf(cutoff.step);
  const found: OldRequest[] = [];
  let [last, tied, answers, bytes] = [after, 0, 0, 0];
  do {
    const from = connection.statement(NEXT).get(last)?.[0] as number | undefined;
    if (from === undefined) return { found, last: undefined, tied };
    for (const [rowid, key] of connection.statement(OLD).all(from, from + AT_ONCE, latest)) {
      const row = connection.statement(WEIGH_ONE).get(key!);
      if (!row) continue;
      const weight = weightOf(row);
      const step = histogram.stepOf(weight.used);
      if (step < cutoff.step || (step === cutoff.step && tied >= cutoff.bytes)) continue;
      if (step === cutoff.step) tied += weight.bytes;
      found.push({ ...weight, rowid: rowid as number });
      answers += weight.answers;
      bytes += weight.bytes;
      if (remover.isEnough(answers, bytes)) return { found, last: rowid as number, tied };
    }
    last = from + AT_ONCE - 1;
  } while (clock.monotonic() <= end);
  return { found, last, tied };
}

/** The weight in a row of {@link WEIGHT}. */
export function weightOf([key, created, entries, stored, accessed, request]: SqlRow): Weight {
  const bytes = (stored as number) + (entries as number) * ENTRY_BYTES + ((request ?? 0) as number) + REQUEST_BYTES;
  return { key: key as Key, used: Math.max(timeOf(created), timeOf(accessed)), answers: entries as number, bytes };
}

/** What somebody has damaged was used long ago. */
function timeOf(value: unknown): Milliseconds {
  return typeof value === "number" ? value : 0;
}
