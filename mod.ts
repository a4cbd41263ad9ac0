/**
 * A cache for the answers of language models: every answer is kept on disk, compressed and checksummed, and never
 * bought or waited for twice.
 *
 * ```ts
 * import { openCache } from "@warmcache/warmcache";
 *
 * await using cache = await openCache({ directory: ".warmcache" });
 * const answer = await cache.wrap(request, (body) => client.chat.completions.create(body));
 * ```
 *
 * @module
 */

export { type CacheBackend, openCache, type OpenCacheOptions } from "./src/compose/open_cache.ts";
export { CacheError, type CacheErrorCode } from "./src/store/error.ts";
export type {
  EntryFields,
  Found,
  Key,
  MaybePromise,
  NewEntry,
  Outcome,
  Placement,
  RequestRecord,
  Store,
  StoredEntry,
  StoreSize,
  Want,
} from "./src/store/store.ts";
export { ResponseCache } from "./src/cache/response_cache.ts";
