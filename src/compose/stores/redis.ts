/**
 * The Redis store by itself, for `openCache({ backend: store })` and for tiers: shared by programs on several machines.
 *
 * ```ts ignore
 * import { openRedisStore } from "@warmcache/warmcache/redis";
 * import { openCache } from "@warmcache/warmcache";
 *
 * const store = await openRedisStore({ url: "rediss://cache.example:6379" });
 * await using cache = await openCache({ backend: store });
 * ```
 *
 * @module
 */

import { loadRuntime } from "../../runtime/load.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { RedisConnection } from "../../store/redis/options.ts";
import { openRedisStore as openOn } from "../../store/redis/redis_store.ts";
import type { Store } from "../../store/store.ts";

export type { RedisConnection, RedisTls } from "../../store/redis/options.ts";

/** Where the server is, and how to talk to it. */
export interface OpenRedisStoreOptions extends RedisConnection {
  /** How long answers are kept after their time has passed, to be served in a need. Default: 0. */
  readonly keepExpired?: Milliseconds;
}

/**
 * Opens a store in Redis or Valkey. A server that is away is no error: lookups fail, answers wait, and it is tried again
 * until it is there.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when the server refuses the user or the password.
 */
export async function openRedisStore(options: OpenRedisStoreOptions = {}): Promise<Store> {
  return await openOn({ ...options, runtime: await loadRuntime() });
}
