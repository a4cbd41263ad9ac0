/**
 * The statistics of a cache, gathered from where they are kept.
 *
 * @module
 */

import type { CacheParts } from "../parts.ts";
import { allTimeOf, type CacheStatistics, type StoreStatistics, summaryOf } from "./statistics.ts";

/** As {@link ../response_cache.ts ResponseCache.stats}. What the store cannot say now is not known. */
export async function gatherStatistics({ store, journal }: CacheParts): Promise<CacheStatistics> {
  const { name, location, ledger } = store;
  let held: StoreStatistics = {
    name,
    location,
    entries: null,
    bodyBytes: null,
    storedBytes: null,
    totalBytes: null,
    ratio: null,
  };
  let allTime: CacheStatistics["allTime"] = null;
  try {
    const size = await store.size();
    held = { name, location, ...size, ratio: size.storedBytes === 0 ? null : size.bodyBytes / size.storedBytes };
    journal.post();
    if (ledger !== undefined) allTime = allTimeOf(await ledger.read());
  } catch (error) {
    journal.remember(error);
  }
  const counts = journal.tallies.snapshot();
  const { lastError } = journal;
  return { ...counts, store: held, lastError, allTime, summary: () => summaryOf(counts) };
}
