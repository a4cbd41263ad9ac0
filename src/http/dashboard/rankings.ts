/**
 * The slowest and the dearest requests since the server started, by whose they are: what one key asked for is not
 * another's to see. Who asked what for how much, never what was said.
 *
 * @module
 */

import type { RequestRecord } from "../operations/request_watch.ts";
import { isAnswered } from "./minutes.ts";

/** How long the lists are. */
export const RANKED = 8;

/** The lists of one key, or of all. */
export interface Ranked {
  /** Those that took longest until the last byte. */
  readonly slowest: readonly RequestRecord[];
  /** Those whose answers were bought for most. */
  readonly dearest: readonly RequestRecord[];
  /** The last ones, newest first. */
  readonly latest: readonly RequestRecord[];
}

/** The requests of one key. */
class Lists implements Ranked {
  readonly slowest: RequestRecord[] = [];
  readonly dearest: RequestRecord[] = [];
  readonly latest: RequestRecord[] = [];

  add(record: RequestRecord): void {
    insert(this.slowest, record, durationOf);
    if (paidFor(record) > 0) insert(this.dearest, record, paidFor);
    this.latest.unshift(record);
    if (this.latest.length > RANKED) this.latest.pop();
  }
}

/** Ranks requests for answers: those that name a model. */
export class Rankings {
  /** By the ids of keys, of which a server has so many and no more. */
  readonly #byKey = new Map<string | undefined, Lists>();

  /** Takes note of a request that is over. */
  add(record: RequestRecord): void {
    if (record.model === undefined) return;
    let lists = this.#byKey.get(record.keyId);
    if (lists === undefined) this.#byKey.set(record.keyId, lists = new Lists());
    lists.add(record);
  }

  /** The requests of one key; of all, where `owner` is `undefined`. */
  of(owner: string | undefined): Ranked {
    if (owner !== undefined) return this.#byKey.get(owner) ?? new Lists();
    const all = [...this.#byKey.values()];
    return {
      slowest: all.flatMap(({ slowest }) => slowest).sort((a, b) => b.duration - a.duration).slice(0, RANKED),
      dearest: all.flatMap(({ dearest }) => dearest).sort((a, b) => paidFor(b) - paidFor(a)).slice(0, RANKED),
      latest: all.flatMap(({ latest }) => latest).sort((a, b) => b.time - a.time).slice(0, RANKED),
    };
  }
}

/** What an answer was bought for, in millionths of a US dollar; 0 where it was there already. */
export function paidFor({ cache, costMicrodollars = 0 }: RequestRecord): number {
  return isAnswered(cache) ? 0 : costMicrodollars;
}

function durationOf({ duration }: RequestRecord): number {
  return duration;
}

/** Puts a record in its place in a list that begins with the largest, and drops what is too much. */
function insert(list: RequestRecord[], record: RequestRecord, measure: (record: RequestRecord) => number): void {
  const value = measure(record);
  if (list.length === RANKED && value <= measure(list[RANKED - 1]!)) return;
  const place = list.findIndex((each) => measure(each) < value);
  list.splice(place === -1 ? list.length : place, 0, record);
  if (list.length > RANKED) list.pop();
}
