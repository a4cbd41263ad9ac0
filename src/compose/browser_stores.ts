/**
 * The stores that a browser has: `sqlite` in the site's private file system, shared by its tabs, and those that every
 * machine has. Where there is no such file system, answers are kept in memory, and it is said that they are.
 *
 * @module
 */

import type { Runtime, WorkerHandle } from "../runtime/runtime.ts";
import { CacheError } from "../store/error.ts";
import type { TabStore } from "../store/opfs/tab_store.ts";
import { defined } from "./environment.ts";
import type { Machine, OpenTier } from "./open_store.ts";
import { MEMORY_BYTES, PORTABLE_STORES } from "./portable_stores.ts";

/** How the stores of a cache in a browser are opened. */
export interface BrowserStoresOptions {
  /** Starts the Worker of the `sqlite` backend. */
  readonly spawn?: () => WorkerHandle;
  /** Whether memory takes the place of files that cannot be had. */
  readonly mayUseMemory: boolean;
  /** Hears why it does. */
  readonly onMemory: (why: string) => void;
  /** Hears of each store in files. */
  readonly onTabStore: (store: TabStore) => void;
}

/** A browser, with its stores. */
export function withBrowserStores(runtime: Runtime, options: BrowserStoresOptions): Machine {
  const { spawn, mayUseMemory, onMemory, onTabStore } = options;
  const openSqlite: OpenTier = async (machine, tier, settings) => {
    const { synchronous, keepExpired } = settings;
    const directory = tier.directory ?? settings.directory;
    const maxBytes = tier.maxBytes ?? settings.maxBytes;
    const { openTabStore } = await import("../store/opfs/tab_store.ts");
    try {
      const store = await openTabStore({
        runtime: machine,
        directory,
        keepExpired,
        ...defined({ spawn, synchronous, maxBytes }),
      });
      onTabStore(store);
      return store;
    } catch (error) {
      if (!mayUseMemory || !(error instanceof CacheError)) throw error;
      const { openMemoryStore } = await import("../store/memory/memory_store.ts");
      onMemory(error.message);
      const { clock } = machine;
      // What there is room for on a disk need not fit into memory.
      const most = Math.min(maxBytes ?? Infinity, MEMORY_BYTES);
      return openMemoryStore({ clock, maxBytes: most, location: `memory (${error.message})` });
    }
  };
  return { runtime, stores: { ...PORTABLE_STORES, sqlite: openSqlite } };
}
