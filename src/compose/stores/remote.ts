/**
 * The remote store by itself, for `openCache({ backend: store })` and for tiers: the store of a warmcache server, shared
 * by whoever reaches it over HTTP.
 *
 * ```ts ignore
 * import { openRemoteStore } from "@warmcache/warmcache/remote";
 * import { openCache } from "@warmcache/warmcache";
 *
 * const store = await openRemoteStore({ url: "https://cache.example", apiKey: "…" });
 * await using cache = await openCache({ backend: store });
 * ```
 *
 * @module
 */

import { loadRuntime } from "../../runtime/load.ts";
import { openRemoteStore as openOn, type RemoteConnection } from "../../store/remote/remote_store.ts";
import type { Store } from "../../store/store.ts";

export type { RemoteConnection } from "../../store/remote/options.ts";

/**
 * Opens a store at a server. A server that is away is no error: lookups fail, answers wait, and it is tried again until it
 * is there.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when the server refuses the API key, or is none of this version.
 */
export async function openRemoteStore(options: RemoteConnection = {}): Promise<Store> {
  return await openOn({ ...options, runtime: await loadRuntime() });
}
