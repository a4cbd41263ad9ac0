/**
 * The response cache in a page, or in a Worker of one: answers stay in the site's private file system, in the SQLite files
 * that servers have, and all tabs of the site share them.
 *
 * ```ts ignore
 * import { openCache } from "@warmcache/warmcache/browser";
 *
 * const cache = await openCache();
 * const answer = await cache.wrap(request, (body) => client.chat.completions.create(body));
 * ```
 *
 * `docs/browser.md` says what a bundle has to bring, and what works where.
 *
 * @module
 */

import type { CacheEvent } from "../cache/ledger/journal.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { browserRuntime } from "../runtime/browser.ts";
import { provideRuntime } from "../runtime/current.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { webWorkerHandle } from "../runtime/web_worker.ts";
import type { TabStore } from "../store/opfs/tab_store.ts";
import { withBrowserStores } from "./browser_stores.ts";
import { joinCache, type OpenCacheOptions } from "./join_cache.ts";

export * from "./portable_api.ts";

/** Memory has taken the place of files that cannot be had here. */
export interface KeptInMemory {
  /** Which event it is. */
  readonly type: "kept_in_memory";
  /** Why. */
  readonly why: string;
}

/** How to open a cache in a browser. */
export interface OpenBrowserCacheOptions
  extends Omit<OpenCacheOptions, "redis" | "locking" | "lockTimeout" | "report"> {
  /**
   * Where `sqlite` keeps its files in the site's private file system. Of several tabs with the same directory, the one
   * that keeps the files decides on `maxBytes`, `synchronous` and `keepExpired`. Default: `.warmcache`.
   */
  readonly directory?: string;
  /**
   * How many bytes the files may take before the least recently used answers go. Default: half of what the browser says
   * the site may store, 1 GiB at most; in `memory`, 256 MiB.
   */
  readonly maxBytes?: number;
  /**
   * Starts the Worker of `sqlite`, for bundlers that have to see where its module is:
   * `() => new Worker(new URL("./worker.js", import.meta.url), { type: "module" })`, where that module imports
   * `@warmcache/warmcache/browser/worker`. Default: the module `worker.js` beside this one.
   */
  readonly worker?: () => Worker;
  /**
   * What becomes of `sqlite` where there is no private file system (a page without https, some private windows, old
   * browsers): answers are kept in `memory`, for as long as the page lives, and `report` and the store's location say so
   * (the default); or `throw` a `CacheError` `unavailable`.
   */
  readonly withoutFiles?: "memory" | "throw";
  /** Hears of everything that went wrong without failing a call: no private file system, a full disk, a broken row. */
  readonly report?: (event: CacheEvent | KeptInMemory) => void;
}

/** How to take a database in. */
export interface ImportDatabaseOptions {
  /** Whether it takes the place of the one that is there of the same model. Default: no. */
  readonly replace?: boolean;
}

const machine: Runtime = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

const tabStores = new WeakMap<ResponseCache, TabStore>();

/**
 * Opens a response cache, shared with the other tabs of the site that open the same directory.
 *
 * @throws TypeError for a misspelled option, or a value of the wrong kind.
 * @throws CacheError `unavailable` where answers cannot be kept in files, with `withoutFiles: "throw"`.
 */
export async function openCache(options: OpenBrowserCacheOptions = {}): Promise<ResponseCache> {
  const { worker, withoutFiles = "memory", report = () => {}, ...common } = options;
  refuseOdd(options);
  let tabStore: TabStore | undefined;
  const stores = withBrowserStores(machine, {
    ...worker && { spawn: () => webWorkerHandle(worker()) },
    mayUseMemory: withoutFiles === "memory",
    onMemory: (why) => {
      try {
        report({ type: "kept_in_memory", why });
      } catch {
        // A listener that throws must not cost a cache.
      }
    },
    onTabStore: (store) => tabStore ??= store,
  });
  const { cache } = await joinCache(stores, { ...common, report });
  if (tabStore !== undefined) tabStores.set(cache, tabStore);
  return cache;
}

/**
 * The database of a model, as a file that opens anywhere: with `openCache` on a server in a directory of such files, with
 * the `sqlite3` shell. The cache waits meanwhile.
 *
 * @param model the model that requests name.
 * @throws TypeError for a cache without files; CacheError `unavailable` when nothing is stored of the model.
 */
export async function exportDatabase(cache: ResponseCache, model: string): Promise<Blob> {
  return await tabStoreOf(cache, "export a database").exportDatabase(model);
}

/**
 * Takes in a database, as {@link exportDatabase} gives one or as it lies in the directory of a server's closed cache.
 *
 * @returns the model whose it is.
 * @throws TypeError for a cache without files.
 * @throws CacheError `foreign_file` when it is no database of a cache, `newer_schema`, `corrupt`; `unavailable` when there
 * is one of the same model and it is not to be replaced, or no room.
 */
export async function importDatabase(
  cache: ResponseCache,
  file: Blob,
  { replace = false }: ImportDatabaseOptions = {},
): Promise<string> {
  if (!(file instanceof Blob)) throw new TypeError(`Cannot import a database that is no Blob or File: ${typeof file}`);
  return await tabStoreOf(cache, "import a database").importDatabase(file, replace);
}

function tabStoreOf(cache: ResponseCache, tried: string): TabStore {
  const store = tabStores.get(cache);
  if (store !== undefined) return store;
  throw new TypeError(`Cannot ${tried}: this cache has no files; open it with the backend sqlite, in a secure page`);
}

/** Options that mean something on servers only, and those that {@link joinCache} does not know. */
function refuseOdd(options: OpenBrowserCacheOptions): void {
  for (const name of ["redis", "locking", "lockTimeout"]) {
    if (Object.hasOwn(options, name)) {
      throw new TypeError(`Cannot open a cache: ${name} means nothing in a browser`);
    }
  }
  const { worker, withoutFiles = "memory" } = options;
  if (worker !== undefined && typeof worker !== "function") {
    throw new TypeError(`Cannot open a cache: worker has to be a function that starts one: ${typeof worker}`);
  }
  if (withoutFiles !== "memory" && withoutFiles !== "throw") {
    throw new TypeError(`Cannot open a cache: withoutFiles must be "memory" or "throw": ${withoutFiles}`);
  }
}
