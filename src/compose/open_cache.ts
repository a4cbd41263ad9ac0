/**
 * `openCache`: joins the response cache to the store it was asked for and to the machine it runs on.
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import { loadRuntime } from "../runtime/load.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { withEveryStore } from "./every_store.ts";
import { joinCache, type OpenCacheOptions, type OpenedCache } from "./join_cache.ts";
import { tablePrices } from "./prices.ts";

export { CacheBackend } from "./backend.ts";
export { type OpenCacheOptions, type OpenedCache, storeOf } from "./join_cache.ts";
export type { TierOptions } from "./open_store.ts";
export type { RedisConnection, RedisTls } from "../store/redis/options.ts";
export type { RemoteConnection } from "../store/remote/options.ts";

/**
 * Opens a response cache. Nothing is created on disk before the first answer is stored.
 *
 * ```ts
 * import { openCache } from "@warmcache/warmcache";
 *
 * await using cache = await openCache({ directory: ".warmcache" });
 * const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hi" }] };
 * const answer = await cache.wrap(request, (body) => client.chat.completions.create(body));
 * ```
 *
 * @throws TypeError for a misspelled option, or a value of the wrong kind here or in the environment.
 * @throws CacheError `unavailable` when it cannot be shared as asked.
 */
export async function openCache(options: OpenCacheOptions = {}): Promise<ResponseCache> {
  return await openCacheOn(await loadRuntime(), options);
}

/** {@link openCache} on a given machine. */
export async function openCacheOn(runtime: Runtime, options: OpenCacheOptions): Promise<ResponseCache> {
  return (await openCacheAndStoreOn(runtime, options)).cache;
}

/** {@link openCacheOn}, and what is behind it. */
export async function openCacheAndStoreOn(runtime: Runtime, options: OpenCacheOptions): Promise<OpenedCache> {
  return await joinCache(withEveryStore(runtime), options, tablePrices);
}
