/**
 * Packs: a cache, or a part of one, in files that can be sent, kept, merged and reviewed, whatever it is stored in.
 * `docs/packs.md` specifies the format.
 *
 * ```ts
 * import { openCache } from "@warmcache/warmcache";
 * import { exportPack, openPack } from "@warmcache/warmcache/tools";
 *
 * await exportPack({ directory: ".warmcache" }, "tests/recorded");
 *
 * const recorded = await openPack("tests/recorded");
 * await using cache = await openCache({ backend: recorded, mode: "replay" });
 * ```
 *
 * @module
 */

import { ResponseCache } from "../cache/response_cache.ts";
import { loadZstd } from "../codec/zstd.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { CacheError } from "../store/error.ts";
import { toCacheError } from "../store/file/failure.ts";
import { exportStore } from "../store/pack/export_store.ts";
import type { ExportOptions, ExportReport, PackReport } from "../store/pack/export_store.ts";
import type { PackTools } from "../store/pack/format.ts";
import { type ImportOptions, type ImportReport, importStore } from "../store/pack/import_store.ts";
import { type MergeOptions, mergePacks as merge } from "../store/pack/merge_packs.ts";
import { openPackStore, type PackStoreOptions } from "../store/pack/pack_store.ts";
import { type PackVerification, verifyPack as verify } from "../store/pack/verify_pack.ts";
import type { Store } from "../store/store.ts";
import { readEnvironment } from "./environment.ts";
import { openCacheAndStoreOn, type OpenCacheOptions, storeOf } from "./open_cache.ts";

export type { ExportOptions, ExportReport, PackReport } from "../store/pack/export_store.ts";
export type { Compression } from "../store/pack/format.ts";
export type { ImportOptions, ImportReport } from "../store/pack/import_store.ts";
export type { MergeOptions } from "../store/pack/merge_packs.ts";
export type { PackStoreOptions } from "../store/pack/pack_store.ts";
export type { PackProgress, PackWork } from "../store/pack/progress.ts";
export type { PackProblem, PackVerification } from "../store/pack/verify_pack.ts";

const WORK = ["onProgress", "signal"];

/**
 * Writes what a cache can serve now into the pack at `directory`, of which a pack that is there is the older state. The
 * same content makes the same bytes.
 *
 * @param source where the cache is, as for `openCache`; or an open one, or its store, which stay open.
 * @throws CacheError `foreign_file` or `newer_schema` where something else is at `directory`; `unavailable` when it cannot
 * be written; as `openCache` does. A pack that was there is then what it was.
 * @throws the signal's reason.
 */
export async function exportPack(
  source: OpenCacheOptions | ResponseCache | Store,
  directory: string,
  options: ExportOptions = {},
): Promise<ExportReport> {
  refuseUnknownOptions("export a pack", options, [...WORK, "model", "namespace", "compression", "grace"]);
  refuseOddCompression(options.compression);
  refuseOddDirectory("export", directory);
  const tools = await packTools();
  return await withStore(tools, source, async (store) => await exportStore(tools, store, directory, options));
}

/**
 * Puts what the pack at `directory` holds into a cache, behind what that has. Repeated, it changes nothing; interrupted, it
 * is begun again and goes on where it was.
 *
 * @param target where the cache is, as for `openCache`; or an open one, or its store, which stay open.
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` for what is no sound pack; as `openCache` does.
 * @throws the signal's reason.
 */
export async function importPack(
  directory: string,
  target: OpenCacheOptions | ResponseCache | Store,
  options: ImportOptions = {},
): Promise<ImportReport> {
  refuseUnknownOptions("import a pack", options, [...WORK, "foreignKeys"]);
  refuseOddDirectory("import", directory);
  const tools = await packTools();
  return await withStore(tools, target, async (store) => await importStore(tools, directory, store, options));
}

/**
 * Merges packs into one at `target`, which may be one of them. The order in which they are given does not matter, nor does
 * it whether they are merged at once or one after the other.
 *
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` when one of them is no sound pack; `unavailable` when the
 * target cannot be written, which is then what it was.
 * @throws the signal's reason.
 */
export async function mergePacks(
  directories: readonly string[],
  target: string,
  options: MergeOptions = {},
): Promise<PackReport> {
  refuseUnknownOptions("merge packs", options, [...WORK, "foreignKeys", "compression"]);
  refuseOddCompression(options.compression);
  for (const directory of [...directories, target]) refuseOddDirectory("merge", directory);
  return await merge(await packTools(), directories, target, options);
}

/**
 * Looks at every byte of the pack at `directory`.
 *
 * @throws CacheError `foreign_file` or `newer_schema` for what is no pack that this version knows; `corrupt` when its
 * manifest is broken.
 * @throws the signal's reason.
 */
export async function verifyPack(directory: string, options: ImportOptions = {}): Promise<PackVerification> {
  refuseUnknownOptions("verify a pack", options, [...WORK, "foreignKeys"]);
  refuseOddDirectory("verify", directory);
  return await verify(await packTools(), directory, options);
}

/**
 * Opens the pack at `directory` as a store that is only read: as `backend`, or as the last one of `tiers`.
 *
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` for what is no pack, or has not all of its shards.
 */
export async function openPack(directory: string, options: PackStoreOptions = {}): Promise<Store> {
  refuseUnknownOptions("open a pack", options, ["foreignKeys", "memoryBytes"]);
  refuseOddDirectory("open", directory);
  return await openPackStore(await packTools(), directory, options);
}

async function packTools(): Promise<PackTools> {
  const runtime = await loadRuntime();
  try {
    return { runtime, zstd: await loadZstd() };
  } catch (error) {
    throw toCacheError(error);
  }
}

async function withStore<T>(
  { runtime }: PackTools,
  where: OpenCacheOptions | ResponseCache | Store,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  if (where instanceof ResponseCache) return await use(storeOf(where));
  if ("lookup" in where) return await use(where);
  if (readEnvironment(runtime).isOff) {
    // What is opened then holds nothing, and would be exported as that.
    throw new CacheError(
      "unavailable",
      "Cannot use a cache for a pack: NO_CACHE is set, so that none is opened; unset it",
    );
  }
  const { cache, store } = await openCacheAndStoreOn(runtime, where);
  try {
    return await use(store);
  } finally {
    await cache.close();
  }
}

function refuseOddDirectory(tried: string, directory: unknown): void {
  if (typeof directory === "string" && directory !== "") return;
  const received = directory === "" ? "an empty one" : String(directory);
  throw new TypeError(`Cannot ${tried} a pack: its folder has to be named by a string: ${received}`);
}

function refuseOddCompression(compression: unknown): void {
  if (compression === undefined || compression === "zstd" || compression === "none") return;
  throw new TypeError(`Cannot write a pack: compression has to be "zstd" or "none": ${String(compression)}`);
}
