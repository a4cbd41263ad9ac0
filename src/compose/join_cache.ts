/**
 * A response cache, joined to the stores it was asked for and to the machine it runs on.
 *
 * @module
 */

import type { Keep } from "../cache/call_options.ts";
import type { CacheEvent } from "../cache/ledger/journal.ts";
import type { OutcomePolicy } from "../cache/answer/policy.ts";
import type { PriceOf } from "../cache/ledger/prices.ts";
import { ResponseCache, type ResponseCacheOptions } from "../cache/response_cache.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { RedisConnection } from "../store/redis/options.ts";
import type { RemoteConnection } from "../store/remote/options.ts";
import type { Store } from "../store/store.ts";
import { CacheBackend } from "./backend.ts";
import { defined, type EnvironmentSettings, readEnvironment } from "./environment.ts";
import {
  keepsExpired,
  keepsFiles,
  type Machine,
  openStore,
  planBackend,
  planTiers,
  refuseOddPlace,
  type StorePlan,
  type TierOptions,
} from "./open_store.ts";

/** How to open a cache. What is not said here is looked for in the environment; see `docs/stores.md`. */
export interface OpenCacheOptions extends Keep {
  /** Where the backends `sqlite` and `file` keep their files. Default: `WARMCACHE_DIR`, else `.warmcache`. */
  readonly directory?: string;
  /** A backend of ours by name, or a store of your own. Default: `WARMCACHE_BACKEND`, else `sqlite`. */
  readonly backend?: CacheBackend | Store;
  /**
   * Several stores instead of one `backend`: near and quick first, shared most widely last. A lookup goes down until it is
   * satisfied, and what it finds is copied up; a put goes to all. `memory` in front keeps what was read last.
   */
  readonly tiers?: readonly (CacheBackend | Store | TierOptions)[];
  /** Where the `redis` backend is. Default: `WARMCACHE_REDIS_URL`, else `redis://127.0.0.1:6379`. */
  readonly redis?: RedisConnection;
  /** Where the server of the `remote` backend is. Default: `WARMCACHE_REMOTE_URL`, else `http://127.0.0.1:8787`. */
  readonly remote?: RemoteConnection;
  /**
   * For how long our backends, `memory` and `remote` excepted, keep what has expired, for calls that may serve it:
   * `staleWhileRevalidate` and `staleIfError` of a call cannot be longer. Default: the longer of the cache's own two.
   */
  readonly keepExpired?: Milliseconds;
  /** Keeps apart entries that would have the same key. Default: `WARMCACHE_NAMESPACE`, else the empty one. */
  readonly namespace?: string;
  /** Fields to leave out of the key, by endpoint, besides those the key's specification leaves out. */
  readonly ignore?: Readonly<Record<string, readonly string[]>>;
  /** `full`: an acknowledged answer survives a power failure; `normal` (the default): it survives a crash. */
  readonly synchronous?: "normal" | "full";
  /**
   * Who else may use the `sqlite` backend's files meanwhile. `shared`: every process that shares them too, and the
   * `sqlite3` shell. It takes Linux, on Deno with `--allow-ffi`, and a disk of this machine; elsewhere it is a
   * `CacheError` `unavailable`. `exclusive`: nobody; a second process is refused. Default: `shared` where it can be had,
   * else `exclusive`.
   */
  readonly locking?: "shared" | "exclusive";
  /**
   * How much the cache may hold, in bytes, before the least recently used answers go: what the files of `sqlite` take on
   * the disk, or what `memory` holds. `file`, `redis` and `remote` take no limit here. Default: `WARMCACHE_MAX_BYTES`, else no limit
   * on disk, 256 MiB in memory.
   */
  readonly maxBytes?: number;
  /** How long to wait for a database or a lock that another process holds. Default: 1 second; 5 for `file`. */
  readonly lockTimeout?: Milliseconds;
  /** Which outcomes are stored; what is left out is as by default: errors and empty answers never, all else is. */
  readonly policy?: OutcomePolicy;
  /** What answers cost. Default: the price table of `@pydantic/genai-prices`; `null` for none. */
  readonly priceOf?: PriceOf | null;
  /** For how long a request that the provider refused as such is not tried again. Default: 10 seconds; 0 for none. */
  readonly negativeTtl?: Milliseconds;
  /**
   * For how long a process that buys an answer keeps others from buying it too; it renews that while it lives. Default:
   * 10 seconds; 0 for not at all.
   */
  readonly claimDuration?: Milliseconds;
  /** What becomes of a request whose database is refused (held by another process, written by a newer version, not
   * ours): `throw` a `CacheError` before anything is paid for (the default), or answer it uncached and count it. */
  readonly refusedStore?: "throw" | "bypass";
  /** Hears of everything that went wrong without failing a call: a full disk, a broken row. */
  readonly report?: (event: CacheEvent) => void;
}

const DEFAULT_DIRECTORY = ".warmcache";

const OPTIONS: Record<keyof OpenCacheOptions, true> = {
  directory: true,
  backend: true,
  tiers: true,
  redis: true,
  remote: true,
  namespace: true,
  mode: true,
  ttl: true,
  staleWhileRevalidate: true,
  staleIfError: true,
  keepExpired: true,
  policy: true,
  priceOf: true,
  negativeTtl: true,
  claimDuration: true,
  ignore: true,
  synchronous: true,
  locking: true,
  lockTimeout: true,
  maxBytes: true,
  refusedStore: true,
  report: true,
};

/** A cache, and what whoever lets others use it has to know. */
export interface OpenedCache {
  readonly cache: ResponseCache;
  /** The cache's, which closes it. */
  readonly store: Store;
  /** Where answers are kept, for people; without credentials. */
  readonly place: string;
  /** Whether there are files of it in its directory. */
  readonly isOnDisk: boolean;
}

/**
 * Opens a cache on a machine. Nothing is created before the first answer is stored.
 *
 * @param usualPrices what answers cost where the caller does not say.
 * @throws as `openCache` does.
 */
export async function joinCache(
  machine: Machine,
  options: OpenCacheOptions,
  usualPrices?: () => PriceOf,
): Promise<OpenedCache> {
  const { runtime } = machine;
  refuseUnknownOptions("open a cache", options, Object.keys(OPTIONS));
  const { directory, staleWhileRevalidate, staleIfError } = options;
  const { ignore, policy, negativeTtl, claimDuration, refusedStore, report } = options;
  refuseOddPlace(options);
  const environment = readEnvironment(runtime);
  const plan = planOf(options, environment);
  const store = await openStore(machine, plan, {
    directory: directory ?? environment.directory ?? DEFAULT_DIRECTORY,
    keepExpired: keptExpired(options),
    ...redisOf(options, environment),
    ...remoteOf(options, environment),
    ...defined({
      maxBytes: options.maxBytes ?? environment.maxBytes,
      synchronous: options.synchronous,
      locking: options.locking,
      lockTimeout: options.lockTimeout,
    }),
  });
  const settings: ResponseCacheOptions = {
    store,
    clock: runtime.clock,
    sha256: runtime.sha256,
    digestFile: (path) => runtime.digestFile(path),
    ...defined({
      callContext: runtime.newCallContext?.(),
      priceOf: options.priceOf === undefined ? usualPrices?.() : options.priceOf ?? undefined,
      namespace: options.namespace ?? environment.namespace,
      mode: options.mode ?? environment.mode,
      isOff: environment.isOff,
      ttl: options.ttl ?? environment.ttl,
      staleWhileRevalidate,
      staleIfError,
      keepExpired: keepsExpired(plan) ? keptExpired(options) : undefined,
      ignore,
      policy,
      negativeTtl,
      claimDuration,
      refusedStore,
      report,
    }),
  };
  const cache = await madeWith(store, () => new ResponseCache(settings));
  stores.set(cache, store);
  return {
    cache,
    store,
    place: environment.isOff ? "off: NO_CACHE is set" : store.location,
    isOnDisk: keepsFiles(plan),
  };
}

/** What is made with a store, or closes it when an option is refused: nobody else could. */
async function madeWith<T>(store: Store, make: () => T): Promise<T> {
  try {
    return make();
  } catch (error) {
    await store.close();
    throw error;
  }
}

const stores = new WeakMap<ResponseCache, Store>();

/**
 * The store behind a cache that was opened here.
 *
 * @throws TypeError for another.
 */
export function storeOf(cache: ResponseCache): Store {
  const store = stores.get(cache);
  if (store !== undefined) return store;
  throw new TypeError("Cannot use a cache that was not opened with openCache: give its store");
}

/** Which stores. Where the cache is off, none of ours: nothing is made, and nobody is called. */
function planOf({ backend, tiers }: OpenCacheOptions, { isOff, backends }: EnvironmentSettings): StorePlan {
  if (backend !== undefined && tiers !== undefined) {
    throw new TypeError(`Cannot open a cache with both backend and tiers; say one of them: ${String(backend)}`);
  }
  const said = tiers ?? (backend === undefined ? backends : undefined);
  const plan = said === undefined ? planBackend(backend ?? CacheBackend.SQLITE) : planTiers(said);
  if (!isOff) return plan;
  const own = plan.tiers.filter(({ backend }) => typeof backend === "object");
  return { tiers: own.length > 0 ? own : [{ backend: CacheBackend.MEMORY }] };
}

/** Each thing from where it is said first; a URL in code keeps its own user and password. */
function redisOf({ redis: own = {} }: OpenCacheOptions, { redis }: EnvironmentSettings): {
  readonly redis: RedisConnection;
  readonly redisFrom?: string;
} {
  const { url, urls, ...credentials } = redis ?? {};
  const ownUrls = [...own.url === undefined ? [] : [own.url], ...own.urls ?? []];
  const isTold = own.username !== undefined || own.password !== undefined ||
    ownUrls.some((each) => String(each).includes("@"));
  return {
    redis: { ...ownUrls.length === 0 && defined({ url, urls }), ...!isTold && credentials, ...own },
    ...ownUrls.length === 0 && (url ?? urls) !== undefined && {
      redisFrom: "the environment variable WARMCACHE_REDIS_URL",
    },
  };
}

/** Each thing from where it is said first; a key that is said beside another URL goes to no other server. */
function remoteOf({ remote: own = {} }: OpenCacheOptions, { remote = {} }: EnvironmentSettings): {
  readonly remote: RemoteConnection;
  readonly remoteFrom?: string;
} {
  if (own.url !== undefined && remote.url !== undefined && own.url !== remote.url) return { remote: own };
  const isFromEnvironment = own.url === undefined && remote.url !== undefined;
  return {
    remote: { ...remote, ...own },
    ...isFromEnvironment && { remoteFrom: "the environment variable WARMCACHE_REMOTE_URL" },
  };
}

function keptExpired({ keepExpired, staleWhileRevalidate = 0, staleIfError = 0 }: OpenCacheOptions): Milliseconds {
  return keepExpired ?? Math.max(staleWhileRevalidate, staleIfError);
}
