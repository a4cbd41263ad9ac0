/**
 * What the cache has last said of itself. Its store may be far away, or hang: whoever asks for metrics gets what is known
 * and does not wait, and what he will get the next time is looked up meanwhile.
 *
 * @module
 */

import type { CacheStatistics } from "../../cache/ledger/statistics.ts";
import type { ResponseCache } from "../../cache/response_cache.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** A store is not asked more often. */
const SHORTEST_AGE: Milliseconds = 5000;

/** The last statistics of a cache. */
export class StoreSnapshot {
  readonly #cache: Pick<ResponseCache, "stats">;
  readonly #clock: Clock;
  #latest: CacheStatistics | undefined;
  #asked: Milliseconds = -Infinity;
  #isAsking = false;

  constructor(cache: Pick<ResponseCache, "stats">, clock: Clock) {
    this.#cache = cache;
    this.#clock = clock;
  }

  /** What is known; `undefined` before anything is. */
  get latest(): CacheStatistics | undefined {
    this.#ask();
    return this.#latest;
  }

  #ask(): void {
    const now = this.#clock.monotonic();
    if (this.#isAsking || now - this.#asked < SHORTEST_AGE) return;
    this.#isAsking = true;
    this.#asked = now;
    this.#cache.stats().then((latest) => void (this.#latest = latest), () => {
      // A cache that is closed says nothing any more.
    }).finally(() => void (this.#isAsking = false));
  }
}
