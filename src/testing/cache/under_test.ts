/**
 * What a test of a whole cache hands to the suite.
 *
 * @module
 */

import type { ResponseCache } from "../../cache/response_cache.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";

/** What callers can do with a cache: a `ResponseCache`, or something of one's own around one. */
export type CacheSurface = Pick<ResponseCache, keyof ResponseCache>;

/** An open cache, and what a test may do to it from outside. */
export interface CacheUnderTest {
  /** Empty, in its default mode, namespace and policy. The suite closes it. */
  readonly cache: CacheSurface;
  /** The time that the cache and its store go by, if a test may move it. */
  readonly clock?: { now(): Milliseconds; advance(duration: Milliseconds): void };
  /** Opens another cache on the same store, while this one is open: as another process would. */
  readonly another?: () => Promise<CacheSurface>;
  /** Opens a cache on the same store once more, after this one was closed. */
  readonly reopen?: () => Promise<CacheSurface>;
  /** Removes what the cache left. The suite has closed it, and all others that it opened. */
  cleanup(): Promise<void> | void;
}

/**
 * What a {@link CacheUnderTest} need not have. `claims`: a cache and {@link CacheUnderTest.another} on the same store
 * make one call for a request that both miss at the same time.
 */
export type CacheFacet = "clock" | "another" | "reopen" | "claims";
