/**
 * `repairCache`: makes a broken cache whole again, as far as can be, while nobody uses it.
 *
 * @module
 */

import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { RepairReport } from "../store/repair.ts";
import type { Progress } from "../store/verify.ts";
import { defined, readEnvironment } from "./environment.ts";

export type { FileRepair, RepairOutcome, RepairReport, SalvageCounts } from "../store/repair.ts";

/** What to repair, and how. */
export interface RepairCacheOptions {
  /** Where the cache's files are. Default: `WARMCACHE_DIR`, else `.warmcache`. */
  readonly directory?: string;
  /** Which backend's they are: `sqlite` (the default) is the one whose files can be repaired. */
  readonly backend?: "sqlite";
  /** What is of these models only. Default: all. */
  readonly models?: readonly string[];
  /** Whether to make anew what nothing is wrong with, too. Default: false. */
  readonly rebuild?: boolean;
  /** How long to wait for a file that somebody else uses. Default: 1 second. */
  readonly lockTimeout?: Milliseconds;
  /** Hears how far it has come. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends it early, with the signal's reason: what is repaired by then stays so, all else is as it was. */
  readonly signal?: AbortSignal;
}

const OPTIONS: Record<keyof RepairCacheOptions, true> = {
  directory: true,
  backend: true,
  models: true,
  rebuild: true,
  lockTimeout: true,
  onProgress: true,
  signal: true,
};

/**
 * Verifies the files of a cache, closely, and makes new ones of those that are broken: with every answer that can still
 * be read and vouched for. The old files are kept beside them, under the name that the report gives.
 *
 * ```ts ignore
 * const report = await repairCache({ directory: ".warmcache" });
 * for (const { file, outcome, kept } of report.files) console.log(file, outcome, kept);
 * ```
 *
 * @throws TypeError for an option that means nothing; the reason of `signal`; CacheError `locked` while somebody uses the
 * cache, which was not changed then, or `unavailable` when the directory cannot be used.
 */
export async function repairCache(options: RepairCacheOptions = {}): Promise<RepairReport> {
  return await repairCacheOn(await loadRuntime(), options);
}

/** {@link repairCache} on a given machine. */
export async function repairCacheOn(runtime: Runtime, options: RepairCacheOptions): Promise<RepairReport> {
  refuseUnknownOptions("repair a cache", options, Object.keys(OPTIONS));
  const { directory, backend = "sqlite", models, rebuild, lockTimeout, onProgress, signal } = options;
  if (directory !== undefined && (typeof directory !== "string" || directory === "")) {
    throw new TypeError(`Cannot repair a cache: directory has to be a string that names one: ${String(directory)}`);
  }
  if (backend !== "sqlite") {
    const advice =
      "a broken bin of the file store is kept beside the next one that is put, and other stores keep no files";
    throw new TypeError(`Cannot repair a cache of this backend: ${String(backend)} (known: sqlite); ${advice}`);
  }
  if (models !== undefined && !(Array.isArray(models) && models.every((model) => typeof model === "string"))) {
    throw new TypeError(`Cannot repair a cache: models has to be a list of strings: ${String(models)}`);
  }
  if (lockTimeout !== undefined && !(lockTimeout >= 0)) {
    throw new RangeError(`Cannot repair a cache: lockTimeout must be 0 or more: ${lockTimeout}`);
  }
  const { repairDatabases } = await import("../store/sqlite/repair.ts");
  return await repairDatabases({
    runtime,
    directory: directory ?? readEnvironment(runtime).directory ?? ".warmcache",
    ...defined({ models, rebuild, lockTimeout, onProgress, signal }),
  });
}
