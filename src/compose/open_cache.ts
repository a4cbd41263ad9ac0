/**
 * `openCache`: joins the response cache to the store it was asked for and to the machine it runs on. Stores are
 * imported when they are chosen, so that a program pays for one only.
 *
 * @module
 */

import type { Keep } from "../cache/call_options.ts";
import type { CacheEvent } from "../cache/ledger/journal.ts";
import type { OutcomePolicy } from "../cache/answer/policy.ts";
import type { PriceOf } from "../cache/ledger/prices.ts";
import { ResponseCache } from "../cache/response_cache.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { Store } from "../store/store.ts";
import { tablePrices } from "./prices.ts";

/** Where entries are kept. */
export type CacheBackend = "sqlite" | "memory";

/** How to open a cache. */
export interface OpenCacheOptions extends Keep {
  /** Where the `sqlite` backend keeps its files, one per model. Default: `.warmcache`. */
  readonly directory?: string;
  /** A backend of ours by name, or a store of your own. Default: `sqlite`. */
  readonly backend?: CacheBackend | Store;
  /**
   * For how long the `sqlite` backend keeps what has expired, for calls that may serve it: `staleWhileRevalidate` and
   * `staleIfError` of a call cannot be longer. Default: the longer of the cache's own two.
   */
  readonly keepExpired?: Milliseconds;
  /** Keeps apart entries that would have the same key. Default: the empty one. */
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
   * How much the cache may hold, in bytes, before the least recently used answers go: what the files in `directory` take
   * on the disk, or the `memory` backend in memory. Default: no limit on disk, 256 MiB in memory.
   */
  readonly maxBytes?: number;
  /** How long to wait for a database or a lock that another process holds. Default: 1 second. */
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

const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;

const OPTIONS: Record<keyof OpenCacheOptions, true> = {
  directory: true,
  backend: true,
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
 * @throws TypeError for a misspelled option or a value of the wrong kind.
 * @throws CacheError `unavailable` when it cannot be shared as asked.
 */
export async function openCache(options: OpenCacheOptions = {}): Promise<ResponseCache> {
  return await openCacheOn(await loadRuntime(), options);
}

/** {@link openCache} on a given machine. */
export async function openCacheOn(runtime: Runtime, options: OpenCacheOptions): Promise<ResponseCache> {
  refuseUnknownOptions("open a cache", options, Object.keys(OPTIONS));
  const { directory, namespace, mode, ttl, staleWhileRevalidate, staleIfError } = options;
  const { ignore, policy, negativeTtl, claimDuration, refusedStore, report } = options;
  if (directory !== undefined && typeof directory !== "string") {
    throw new TypeError(`Cannot open a cache in a directory that is no string: ${String(directory)}`);
  }
  return new ResponseCache({
    store: await openStore(runtime, options),
    clock: runtime.clock,
    sha256: runtime.sha256,
    digestFile: (path) => runtime.digestFile(path),
    ...defined({
      callContext: runtime.newCallContext?.(),
      priceOf: options.priceOf === undefined ? tablePrices() : options.priceOf ?? undefined,
      namespace,
      mode,
      ttl,
      staleWhileRevalidate,
      staleIfError,
      // A cache in memory lets go of the least recently used only, and a store of one's own may do as it likes.
      keepExpired: (options.backend ?? "sqlite") === "sqlite" ? keptExpired(options) : undefined,
      ignore,
      policy,
      negativeTtl,
      claimDuration,
      refusedStore,
      report,
    }),
  });
}

async function openStore(runtime: Runtime, options: OpenCacheOptions): Promise<Store> {
  const { backend = "sqlite", directory = ".warmcache", synchronous, locking, lockTimeout } = options;
  if (typeof backend === "object") return backend;
  switch (backend) {
    case "sqlite": {
      const { openSqliteStore } = await import("../store/sqlite/sqlite_store.ts");
      const keepExpired = keptExpired(options);
      const rest = defined({ synchronous, locking, lockTimeout, maxBytes: options.maxBytes });
      return openSqliteStore({ runtime, directory, keepExpired, ...rest });
    }
    case "memory": {
      const { openMemoryStore } = await import("../store/memory/memory_store.ts");
      return openMemoryStore({ clock: runtime.clock, maxBytes: options.maxBytes ?? DEFAULT_MEMORY_BYTES });
    }
    default:
      throw new TypeError(`Cannot open a cache: unknown backend: ${String(backend)} (known: sqlite, memory)`);
  }
}

function keptExpired({ keepExpired, staleWhileRevalidate = 0, staleIfError = 0 }: OpenCacheOptions): Milliseconds {
  return keepExpired ?? Math.max(staleWhileRevalidate, staleIfError);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the properties that are `undefined`, which are not the same as absent ones to the receiver. */
function defined<T extends object>(object: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}
