/**
 * The file store by itself, for `openCache({ backend: store })` and for tiers: a JSON file for each request, readable by
 * people and friendly to `git`.
 *
 * ```ts
 * import { openFileStore } from "@warmcache/warmcache/file";
 * import { openCache } from "@warmcache/warmcache";
 *
 * const store = await openFileStore({ directory: "answers" });
 * await using cache = await openCache({ backend: store });
 * ```
 *
 * @module
 */

import { loadRuntime } from "../../runtime/load.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { openFileStore as openOn } from "../../store/file/file_store.ts";
import type { Store } from "../../store/store.ts";

/** Where and how to store. There is no limit to be set: `prune` the cache now and then. */
export interface OpenFileStoreOptions {
  /** Where the models' folders lie; made on first write. */
  readonly directory: string;
  /** `full`: what was acknowledged survives a power failure; `normal` (the default): it survives a crash. */
  readonly synchronous?: "normal" | "full";
  /** How long to try for the lock of a model's folder while others write there. Default: 5 seconds. */
  readonly lockTimeout?: Milliseconds;
  /** How long answers are kept after their time has passed, to be served in a need. Default: 0. */
  readonly keepExpired?: Milliseconds;
}

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 */
export async function openFileStore(options: OpenFileStoreOptions): Promise<Store> {
  return await openOn({ ...options, runtime: await loadRuntime() });
}
