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

export { CacheBackend, openCache, type OpenCacheOptions } from "./src/compose/open_cache.ts";
export type { TierOptions } from "./src/compose/open_store.ts";
export type { RedisConnection, RedisTls } from "./src/store/redis/options.ts";
export type { RemoteConnection } from "./src/store/remote/options.ts";
export {
  type CacheVerifyOptions,
  type PruneOptions,
  ResponseCache,
  type ResponseCacheOptions,
} from "./src/cache/response_cache.ts";
export type { ModelCheck, Problem, ProblemKind, Progress, VerifyOptions, VerifyReport } from "./src/store/verify.ts";
export type { CacheCallOptions, CacheStatus, GetOptions, Keep, PutCallOptions } from "./src/cache/call_options.ts";
export type { Difference } from "./src/cache/explain/differences.ts";
export type { Entry, Usage } from "./src/cache/answer/entry.ts";
export type { NearRequest } from "./src/cache/explain/explain.ts";
export type { Explanation } from "./src/cache/explain/explanation.ts";
export type { IgnoreList } from "./src/cache/request/ignore_list.ts";
export type { CacheEvent } from "./src/cache/ledger/journal.ts";
export type { JsonObject } from "./src/cache/json.ts";
export type { DigestFile } from "./src/cache/request/file_contents.ts";
export type { Sha256 } from "./src/cache/request/key.ts";
export type { Mode } from "./src/cache/mode.ts";
export type { Keeping, OutcomePolicy } from "./src/cache/answer/policy.ts";
export type { BilledUsage, PricedCall, PriceOf } from "./src/cache/ledger/prices.ts";
export type { Production } from "./src/cache/flow/production.ts";
export type { SamplesOptions } from "./src/cache/batch/sampling.ts";
export type { ListOptions, StoredRequest } from "./src/cache/request/stored_request.ts";
export type { Scope } from "./src/cache/request/scope.ts";
export type { RefusedStore } from "./src/cache/flow/shelf.ts";
export type {
  AllTime,
  CacheStatistics,
  Counts,
  DayCounts,
  LastError,
  LookupOutcome,
  Saved,
  StoreStatistics,
} from "./src/cache/ledger/statistics.ts";
export type { StreamOptions } from "./src/cache/stream/streaming.ts";
export type { StreamSource } from "./src/cache/stream/live_stream.ts";
export type { ProduceContext } from "./src/cache/flow/supplier.ts";
export type { CallContext, Clock, Milliseconds, SleepOptions } from "./src/runtime/runtime.ts";
export { provideWasm, type WasmFile, type WasmSource } from "./src/runtime/wasm.ts";
export { CacheError, type CacheErrorCode } from "./src/store/error.ts";
export type {
  Amounts,
  ClaimReply,
  Claims,
  DailyAmounts,
  DailyLedger,
  EntryFields,
  FailureRecord,
  Failures,
  Found,
  Key,
  ListedRequest,
  MaybePromise,
  NewEntry,
  NewFailure,
  Outcome,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoredEntry,
  StoreFault,
  StoreSize,
  Want,
} from "./src/store/store.ts";
