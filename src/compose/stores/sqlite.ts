/**
 * The SQLite store by itself, for `openCache({ backend: store })`, for tiers, and for whoever wants a store without a
 * cache: one database per model in a directory.
 *
 * ```ts
 * import { openSqliteStore } from "@warmcache/warmcache/sqlite";
 * import { openCache } from "@warmcache/warmcache";
 *
 * const store = await openSqliteStore({ directory: ".warmcache", dictionaryFrom: 500 });
 * await using cache = await openCache({ backend: store });
 * ```
 *
 * @module
 */

import { loadRuntime } from "../../runtime/load.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { openSqliteStore as openOn } from "../../store/sqlite/sqlite_store.ts";
import type { Store } from "../../store/store.ts";

/** Where and how to store. */
export interface OpenSqliteStoreOptions {
  /** Where the databases lie; made on first write. */
  readonly directory: string;
  /** `full`: what was acknowledged survives a power failure; `normal` (the default): it survives a crash. */
  readonly synchronous?: "normal" | "full";
  /** Who else may use the databases meanwhile. Default: `shared` where it can be had, else `exclusive`. */
  readonly locking?: "shared" | "exclusive";
  /** How long to try for a database or a lock that somebody else holds. Default: 1 second. */
  readonly lockTimeout?: Milliseconds;
  /** How many databases stay open at once. Default: 16. */
  readonly maxOpenDatabases?: number;
  /** How many bytes the databases may take on the disk before the least recently used answers go. Default: no limit. */
  readonly maxBytes?: number;
  /** How long answers are kept after their time has passed, to be served in a need. Default: 0. */
  readonly keepExpired?: Milliseconds;
  /** From how many answers on a dictionary is built of what those of a database have in common. Default: 200. */
  readonly dictionaryFrom?: number;
}

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when it cannot be shared as asked.
 */
export async function openSqliteStore(options: OpenSqliteStoreOptions): Promise<Store> {
  return await openOn({ ...options, runtime: await loadRuntime() });
}
