/**
 * A cache for the answers of language models: every answer is kept on disk, compressed and checksummed, and never
 * bought or waited for twice.
 *
 * ```ts
 * import { openCache } from "@warmcache/warmcache";
 *
 * const ask = (body: object) => Promise.resolve({ model: "example", choices: [{ text: "hi", finish_reason: "stop" }] });
 *
 * await using cache = await openCache({ backend: "memory" });
 * const request = { model: "example", prompt: "Say hi" };
 * await cache.wrap(request, ask, { endpoint: "/v1/completions" }); // asks
 * await cache.wrap(request, ask, { endpoint: "/v1/completions" }); // does not
 * console.log((await cache.stats()).hits); // 1
 * ```
 *
 * @module
 */

export { type CacheBackend, openCache, type OpenCacheOptions } from "./src/compose/open_cache.ts";
export {
  type CacheCallOptions,
  type CacheStatus,
  ResponseCache,
  type ResponseCacheOptions,
} from "./src/cache/response_cache.ts";
export type { Entry, Usage } from "./src/cache/entry.ts";
export type { IgnoreList } from "./src/cache/ignore_list.ts";
export type { CacheEvent } from "./src/cache/journal.ts";
export type { Sha256 } from "./src/cache/key.ts";
export type { Production } from "./src/cache/production.ts";
export type { Scope } from "./src/cache/scope.ts";
export type { RefusedStore } from "./src/cache/shelf.ts";
export type {
  CacheStatistics,
  Counts,
  LastError,
  LookupOutcome,
  Saved,
  StoreStatistics,
} from "./src/cache/statistics.ts";
export type { CallContext, Clock, Milliseconds, SleepOptions } from "./src/runtime/runtime.ts";
export { provideWasm, type WasmFile, type WasmSource } from "./src/runtime/wasm.ts";
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
