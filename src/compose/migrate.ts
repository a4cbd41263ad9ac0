/**
 * Migration: from one backend of ours to another, and from what other programs have cached. `docs/migration.md` says what
 * comes over of each, what does not, and why.
 *
 * ```ts
 * import { migrateCache } from "@warmcache/warmcache/tools";
 *
 * const report = await migrateCache({
 *   from: { path: "/home/me/.promptfoo/cache" },
 *   to: { directory: ".warmcache" },
 *   dryRun: true,
 * });
 * console.log(report.carried, report.left);
 * ```
 *
 * @module
 */

import { carry, type MigrationProgress } from "../migration/carry.ts";
import type { Source } from "../migration/finding.ts";
import { FOREIGN_FORMATS, type ForeignPlace, openForeign } from "../migration/open_foreign.ts";
import type { MigrationReport } from "../migration/report.ts";
import { StoreSource } from "../migration/store_source.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Store } from "../store/store.ts";
import { readEnvironment } from "./environment.ts";
import { openCacheAndStoreOn, type OpenCacheOptions } from "./open_cache.ts";

export type { MigrationProgress } from "../migration/carry.ts";
export type { LeaveReason } from "../migration/finding.ts";
export type { KnownRequest } from "../migration/formats/litellm.ts";
export type { ForeignFormat, ForeignPlace } from "../migration/open_foreign.ts";
export type { LeftAnswers, MigrationReport, ModelMigration } from "../migration/report.ts";
export type { OpenCacheOptions } from "./open_cache.ts";

/** What to migrate, and how. */
export interface MigrateOptions {
  /**
   * Where the answers are: with another program, at a path; or in a cache of ours, told as for `openCache`, or its store,
   * opened, which stays open. It is not changed.
   */
  readonly from: ForeignPlace | { readonly store: OpenCacheOptions | Store };
  /** Where they go: told as for `openCache`, or its store, opened, which stays open. */
  readonly to: OpenCacheOptions | Store;
  /** Looks at everything and writes nothing. Default: false. */
  readonly dryRun?: boolean;
  /**
   * What becomes of answers whose time has passed: they stay behind (`leave`, the default), or come along (`carry`), for
   * a cache that serves them in a need (`staleIfError`).
   */
  readonly expired?: "leave" | "carry";
  /** In which namespace the requests of another program are. Default: that of `to`, else empty. */
  readonly namespace?: string;
  /** What the cache's keys leave out beyond their own list, as for `openCache`, for requests of another program. */
  readonly ignore?: Readonly<Record<string, readonly string[]>>;
  /** Hears how far it has come, every few answers. */
  readonly onProgress?: (progress: MigrationProgress) => void;
  /** Ends it. What has been carried until then is there; the next time goes on behind it. */
  readonly signal?: AbortSignal;
}

const OPTIONS = ["from", "to", "dryRun", "expired", "namespace", "ignore", "onProgress", "signal"];
const PLACE_OPTIONS = ["path", "format", "provider", "upstreams", "requests"];
/** For as long as this, so to speak for ever, a source keeps what has expired while it is read. */
const FOR_EVER = 1000 * 365 * 24 * 3600 * 1000;

/**
 * Carries answers into a cache, and reports what came over and what did not. Begun again it adds nothing that is there,
 * and so goes on where it was broken off. Nothing that a file says is executed.
 *
 * @throws TypeError for options that make no sense, such as a cache that would be carried into itself.
 * @throws CacheError `unavailable` when something cannot be opened; `foreign_file` when what lies at `path` is none of the
 * known formats; `corrupt` or `locked` for a database that cannot be read; as `openCache` does.
 * @throws the signal's reason.
 */
export async function migrateCache(options: MigrateOptions): Promise<MigrationReport> {
  return await migrateCacheOn(await loadRuntime(), options);
}

/** {@link migrateCache} on a given machine. */
export async function migrateCacheOn(runtime: Runtime, options: MigrateOptions): Promise<MigrationReport> {
  refuseOddOptions(options);
  const { from, to, dryRun = false, expired = "leave", onProgress, signal } = options;
  signal?.throwIfAborted();
  const carrying = { runtime, dryRun, expired, onProgress, signal };
  const keep = expired === "carry" ? { keepExpired: FOR_EVER } : {};
  const into = async (source: Source): Promise<MigrationReport> =>
    await withStore(runtime, to, keep, async (target) => {
      if (target.isReadOnly && !dryRun) {
        throw new TypeError(`Cannot migrate into ${target.location}: it is only read`);
      }
      return await carry(source, target, carrying);
    });
  if ("path" in from) {
    const cache = isStore(to) ? {} : to;
    // As `openCache` finds it, so that the cache that is opened there afterwards finds them.
    const told = isStore(to) ? undefined : readEnvironment(runtime).namespace;
    const { namespace = cache.namespace ?? told ?? "", ignore = cache.ignore ?? {} } = options;
    return await into(await openForeign(from, { runtime, namespace, ignore }));
  }
  return await withStore(runtime, from.store, { keepExpired: FOR_EVER }, async (store) => {
    if (store === to) throw new TypeError(`Cannot migrate a cache into itself: ${store.location}`);
    return await into(new StoreSource(store, runtime.clock));
  });
}

/** Uses a store: the caller's own, or one that is opened for it, with `defaults` where nothing else is said. */
async function withStore<T>(
  runtime: Runtime,
  where: OpenCacheOptions | Store,
  defaults: OpenCacheOptions,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  if (isStore(where)) return await use(where);
  const { cache, store } = await openCacheAndStoreOn(runtime, { ...defaults, ...where });
  try {
    return await use(store);
  } finally {
    await cache.close();
  }
}

function isStore(where: OpenCacheOptions | Store): where is Store {
  return "lookup" in where;
}

function refuseOddOptions(options: MigrateOptions): void {
  const tried = "migrate a cache";
  refuseUnknownOptions(tried, options, OPTIONS);
  const { from, to, expired = "leave" } = options;
  for (const [name, value] of Object.entries({ from, to })) {
    if (typeof value !== "object" || value === null) {
      throw new TypeError(`Cannot ${tried}: ${name} has to say where a cache is: ${String(value)}`);
    }
  }
  if (expired !== "leave" && expired !== "carry") {
    throw new TypeError(`Cannot ${tried}: expired is "leave" or "carry": ${String(expired)}`);
  }
  if (!("path" in from)) {
    refuseUnknownOptions(tried, from, ["store"]);
    if (typeof from.store !== "object" || from.store === null) {
      throw new TypeError(`Cannot ${tried}: from has neither path nor store: ${Object.keys(from).join(", ")}`);
    }
    const isSame = !isStore(from.store) && !isStore(to) && JSON.stringify(from.store) === JSON.stringify(to);
    if (isSame || from.store === to) throw new TypeError(`Cannot ${tried}: from and to are the same`);
    return;
  }
  refuseUnknownOptions(tried, from, PLACE_OPTIONS);
  if (typeof from.path !== "string" || from.path === "") {
    throw new TypeError(`Cannot ${tried}: path has to name a file or folder: ${String(from.path)}`);
  }
  if (from.format !== undefined && !FOREIGN_FORMATS.includes(from.format)) {
    const known = FOREIGN_FORMATS.join(", ");
    throw new TypeError(`Cannot ${tried}: unknown format (known: ${known}): ${String(from.format)}`);
  }
}
