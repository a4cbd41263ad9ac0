/**
 * What entry points have in common, whichever machine they are for: the cache itself, the contract of stores, and the
 * types that both speak of.
 *
 * @module
 */

export { CacheBackend } from "./backend.ts";
export type { OpenCacheOptions } from "./join_cache.ts";
export type { TierOptions } from "./open_store.ts";
export type { RedisConnection, RedisTls } from "../store/redis/options.ts";
export type { RemoteConnection } from "../store/remote/options.ts";
export {
  type CacheVerifyOptions,
  type PruneOptions,
  ResponseCache,
  type ResponseCacheOptions,
} from "../cache/response_cache.ts";
export type { ModelCheck, Problem, ProblemKind, Progress, VerifyOptions, VerifyReport } from "../store/verify.ts";
export type { CacheCallOptions, CacheStatus, GetOptions, Keep, PutCallOptions } from "../cache/call_options.ts";
export type { Difference } from "../cache/explain/differences.ts";
export type { Entry, Usage } from "../cache/answer/entry.ts";
export type { NearRequest } from "../cache/explain/explain.ts";
export type { Explanation } from "../cache/explain/explanation.ts";
export type { IgnoreList } from "../cache/request/ignore_list.ts";
export type { CacheEvent } from "../cache/ledger/journal.ts";
export type { JsonObject } from "../cache/json.ts";
export type { DigestFile } from "../cache/request/file_contents.ts";
export type { Sha256 } from "../cache/request/key.ts";
export type { Mode } from "../cache/mode.ts";
export type { Keeping, OutcomePolicy } from "../cache/answer/policy.ts";
export type { BilledUsage, PricedCall, PriceOf } from "../cache/ledger/prices.ts";
export type { Production } from "../cache/flow/production.ts";
export type { SamplesOptions } from "../cache/batch/sampling.ts";
export type { ListOptions, StoredRequest } from "../cache/request/stored_request.ts";
export type { Scope } from "../cache/request/scope.ts";
export type { RefusedStore } from "../cache/flow/shelf.ts";
export type {
  AllTime,
  CacheStatistics,
  Counts,
  DayCounts,
  LastError,
  LookupOutcome,
  Saved,
  StoreStatistics,
} from "../cache/ledger/statistics.ts";
export type { StreamOptions } from "../cache/stream/streaming.ts";
export type { StreamSource } from "../cache/stream/live_stream.ts";
export type { ProduceContext } from "../cache/flow/supplier.ts";
export type { CallContext, Clock, Milliseconds, SleepOptions } from "../runtime/runtime.ts";
export { provideWasm, type WasmFile, type WasmSource } from "../runtime/wasm.ts";
export { CacheError, type CacheErrorCode } from "../store/error.ts";
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
} from "../store/store.ts";
