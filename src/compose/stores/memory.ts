/**
 * The memory store by itself, for tests and for programs that want one run's answers only.
 *
 * ```ts
 * import { openMemoryStore } from "@warmcache/warmcache/memory";
 * import { openCache } from "@warmcache/warmcache";
 *
 * const store = await openMemoryStore({ maxBytes: 64 * 1024 * 1024 });
 * await using cache = await openCache({ backend: store });
 * ```
 *
 * @module
 */

import { loadRuntime } from "../../runtime/load.ts";
import { openMemoryStore as openOn } from "../../store/memory/memory_store.ts";
import type { Store } from "../../store/store.ts";

/** How much to hold. */
export interface OpenMemoryStoreOptions {
  /** Bytes of answers and requests to hold at most. Failures take a sixteenth of that besides. */
  readonly maxBytes: number;
}

/**
 * Opens an empty store.
 *
 * @throws RangeError when `maxBytes` is no positive integer.
 */
export async function openMemoryStore(options: OpenMemoryStoreOptions): Promise<Store> {
  return openOn({ ...options, clock: (await loadRuntime()).clock });
}
