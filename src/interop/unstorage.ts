/**
 * A driver for unstorage on the response cache, for programs on Nitro, Nuxt or h3 that keep things there already.
 *
 * ```ts
 * import { createStorage } from "unstorage";
 * import { openCache } from "@warmcache/warmcache";
 * import { unstorageDriver } from "@warmcache/warmcache/unstorage";
 *
 * await using cache = await openCache({ backend: "memory" });
 * const storage = createStorage({ driver: unstorageDriver(cache) });
 * await storage.setItem("weather:Rome", { degrees: 31 }, { ttl: 3600 });
 * console.log(await storage.getItem("weather:Rome")); // { degrees: 31 }
 * ```
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import { checkKeyValueOptions, type KeyValueOptions, KeyValues } from "./key_values.ts";

export type { KeyValueOptions, ResponseCache };

/** How the driver keeps its items. */
export type UnstorageOptions = KeyValueOptions & {
  /** Items in different namespaces never meet. `unstorage` by default, whatever the cache's own is. */
  readonly namespace?: string;
};

/** What may be said of one item. */
export interface ItemOptions {
  /** How many seconds it is kept, as in unstorage's own drivers; 0, or by default: the cache's own time. */
  readonly ttl?: number;
}

// No interface: only an alias is as good as the record that unstorage asks for.
/** What is known of an item. */
export type ItemMeta = {
  /** When it was stored. */
  readonly mtime: Date;
  /** When its time will have come; absent for never. */
  readonly expires?: Date;
};

/** What an item can be. */
export type ItemValue = string | number | boolean | object | null;

/** The driver, as unstorage wants one. */
export interface UnstorageDriver {
  /** For messages. */
  readonly name: string;
  /** The cache behind it. */
  getInstance(): ResponseCache;
  /** Whether there is an item. */
  hasItem(key: string): Promise<boolean>;
  /** An item, `null` if there is none. */
  getItem(key: string): Promise<ItemValue>;
  /** Several items. */
  getItems(items: { readonly key: string }[]): Promise<{ key: string; value: ItemValue }[]>;
  /** An item as it was set: JSON, or bytes. */
  getItemRaw(key: string): Promise<ItemValue>;
  /** Stores an item. */
  setItem(key: string, value: string, options?: ItemOptions): Promise<void>;
  /** Stores several items. */
  setItems(items: { key: string; value: string; options?: ItemOptions }[], options?: ItemOptions): Promise<void>;
  /** Stores an item: JSON, or bytes. */
  setItemRaw(key: string, value: unknown, options?: ItemOptions): Promise<void>;
  /** Removes an item. */
  removeItem(key: string): Promise<void>;
  /** When an item was stored. */
  getMeta(key: string): Promise<ItemMeta | null>;
  /** The keys that begin with `base`. */
  getKeys(base?: string): Promise<string[]>;
  /** Removes the items whose keys begin with `base`. */
  clear(base?: string): Promise<void>;
}

/**
 * Makes a driver for `createStorage` or `mount`. Raw items are JSON or bytes; bytes come back as a `Uint8Array`. In the
 * modes that do not write nothing is stored; in the mode `replay` what is not there is an error. Removing is not a matter
 * of the mode. The cache is closed by whoever opened it: `dispose` leaves it open.
 *
 * @throws TypeError for an option that does not exist.
 * @see https://unstorage.unjs.io
 */
export function unstorageDriver(cache: ResponseCache, options: UnstorageOptions = {}): UnstorageDriver {
  checkKeyValueOptions("make a driver for unstorage", options, ["namespace"]);
  const { namespace = "unstorage", ...rest } = options;
  const values = new KeyValues(cache, { library: "unstorage", namespace }, rest);
  const itemAt = async (key: string): Promise<ItemValue> => itemOf(await values.get(key));
  const setItem = async (key: string, value: unknown, { ttl }: ItemOptions = {}): Promise<void> => {
    await values.set(key, value, ttl ? ttl * 1000 : undefined);
  };
  return {
    name: "warmcache",
    getInstance: () => cache,
    hasItem: (key) => values.has(key),
    getItem: itemAt,
    async getItems(items) {
      const found = await values.getMany(items.map(({ key }) => key));
      return items.map(({ key }, index) => ({ key, value: itemOf(found[index]) }));
    },
    getItemRaw: itemAt,
    setItem,
    async setItems(items, common = {}) {
      await Promise.all(items.map(({ key, value, options }) => setItem(key, value, { ...common, ...options })));
    },
    setItemRaw: setItem,
    removeItem: async (key) => void await values.delete(key),
    async getMeta(key) {
      const [entry] = await values.entries([key]);
      if (entry === undefined) return null;
      const { created, expires } = entry;
      return { mtime: new Date(created), ...(expires !== null && { expires: new Date(expires) }) };
    },
    getKeys: (base = "") => Array.fromAsync(values.keys(base)),
    clear: (base = "") => values.clear(base),
  };
}

function itemOf(value: unknown): ItemValue {
  return (value ?? null) as ItemValue;
}
