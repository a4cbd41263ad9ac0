/**
 * What requests came to, minute by minute, for the last hour of this process: the store's ledger counts days.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { RequestRecord } from "../operations/request_watch.ts";

/** How many minutes are kept. */
export const KEPT_MINUTES = 60;

const MINUTE: Milliseconds = 60_000;

/** The requests of one minute. */
export interface Minute {
  /** When it began, in milliseconds since 1970. */
  readonly start: Milliseconds;
  /** Requests that the response cache was asked about. */
  readonly lookups: number;
  /** Of these, answered without a call of their own. */
  readonly hits: number;
  /** Requests refused or failed, whatever they were for. */
  readonly errors: number;
}

type Bucket = { -readonly [Name in keyof Minute]: Minute[Name] };

/** The last hour. */
export class Minutes {
  readonly #buckets: Bucket[] = [];

  /** Counts a request that is over, in the minute in which it came. */
  add({ time, cache, status }: RequestRecord): void {
    const bucket = this.#bucketAt(time);
    if (bucket === undefined) return;
    if (cache !== undefined && cache !== "bypass") bucket.lookups++;
    if (isAnswered(cache)) bucket.hits++;
    if (status >= 400) bucket.errors++;
  }

  /** One for each of the last minutes, those without a request too; the current one last. */
  last(now: Milliseconds): readonly Minute[] {
    const current = startOf(now);
    return Array.from({ length: KEPT_MINUTES }, (_, index) => {
      const start = current - (KEPT_MINUTES - 1 - index) * MINUTE;
      return this.#buckets.find((bucket) => bucket.start === start) ?? { start, lookups: 0, hits: 0, errors: 0 };
    });
  }

  /** `undefined` for a minute that is out of reach: that request took longer than an hour. */
  #bucketAt(time: Milliseconds): Bucket | undefined {
    const start = startOf(time);
    const newest = this.#buckets.at(-1);
    if (newest?.start === start) return newest;
    if (newest !== undefined && newest.start > start) return this.#buckets.find((bucket) => bucket.start === start);
    const bucket = { start, lookups: 0, hits: 0, errors: 0 };
    this.#buckets.push(bucket);
    if (this.#buckets.length > KEPT_MINUTES) this.#buckets.shift();
    return bucket;
  }
}

/** Whether nobody was paid, and no model ran, for a request. */
export function isAnswered(cache: RequestRecord["cache"]): boolean {
  return cache === "hit" || cache === "shared";
}

function startOf(time: Milliseconds): Milliseconds {
  return Math.floor(time / MINUTE) * MINUTE;
}
