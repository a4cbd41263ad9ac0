/**
 * All stores of ours, for machines that have files and sockets. Each is imported when it is chosen, so that a program
 * pays for what it uses only.
 *
 * @module
 */

import type { Runtime } from "../runtime/runtime.ts";
import type { CacheBackend } from "./backend.ts";
import { defined } from "./environment.ts";
import type { Machine, OpenTier, StoreSettings, TierOptions } from "./open_store.ts";
import { naming, PORTABLE_STORES, refuseLimit } from "./portable_stores.ts";

const openSqlite: OpenTier = async (runtime, tier, settings) => {
  const { openSqliteStore } = await import("../store/sqlite/sqlite_store.ts");
  const { locking } = settings;
  return await openSqliteStore({
    ...onDisk(runtime, tier, settings),
    ...limitOf(tier, settings),
    ...defined({ locking }),
  });
};

const openFile: OpenTier = async (runtime, tier, settings, isAlone) => {
  const { openFileStore } = await import("../store/file/file_store.ts");
  return await openFileStore({ ...onDisk(runtime, tier, settings), ...isAlone && limitOf(tier, settings) });
};

const openRedis: OpenTier = async (runtime, tier, settings, isAlone) => {
  const advice = "the server has a limit of its own, maxmemory";
  if (isAlone) refuseLimit("a Redis store", advice, limitOf(tier, settings).maxBytes);
  const { openRedisStore } = await import("../store/redis/redis_store.ts");
  const { keepExpired, redisFrom } = settings;
  const from = tier.redis === undefined ? redisFrom : undefined;
  return await naming(from, () => openRedisStore({ ...tier.redis ?? settings.redis, runtime, keepExpired }));
};

const EVERY_STORE: { readonly [backend in CacheBackend]: OpenTier } = {
  ...PORTABLE_STORES,
  sqlite: openSqlite,
  file: openFile,
  redis: openRedis,
};

/** A machine that has all of them. */
export function withEveryStore(runtime: Runtime): Machine {
  return { runtime, stores: EVERY_STORE };
}

function onDisk(runtime: Runtime, { directory }: TierOptions, settings: StoreSettings) {
  const { synchronous, lockTimeout, keepExpired } = settings;
  return {
    runtime,
    directory: directory ?? settings.directory,
    keepExpired,
    ...defined({ synchronous, lockTimeout }),
  };
}

/** Of several, a limit that is said of all is said of those that can keep to it. */
function limitOf(tier: TierOptions, settings: StoreSettings): { readonly maxBytes?: number } {
  return defined({ maxBytes: tier.maxBytes ?? settings.maxBytes });
}
