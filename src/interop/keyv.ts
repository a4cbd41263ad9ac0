/**
 * A store for Keyv on the response cache, for programs that cache with Keyv already: SQLite that several processes share,
 * Redis, files, compression and checksums by one line.
 *
 * ```ts
 * import Keyv from "keyv";
 * import { openCache } from "@warmcache/warmcache";
 * import { KeyvStore } from "@warmcache/warmcache/keyv";
 *
 * await using cache = await openCache({ backend: "memory" });
 * const keyv = new Keyv({ store: new KeyvStore(cache), namespace: "weather" });
 * await keyv.set("Rome", { degrees: 31 });
 * console.log(await keyv.get("Rome")); // { degrees: 31 }
 * ```
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import { checkKeyValueOptions, type KeyValueOptions, KeyValues } from "./key_values.ts";

export type { KeyValueOptions, ResponseCache };

/** One of several values to be set. */
export interface KeyvEntry {
  /** Where. */
  readonly key: string;
  /** What. */
  readonly value: unknown;
  /** For how long; the cache's own time by default. */
  readonly ttl?: Milliseconds | undefined;
}

/**
 * Keyv's storage adapter, for Keyv 5 and 6. Its namespace is the cache's, whatever the cache's own is: `keyv` until Keyv
 * names one. A store belongs to one Keyv; several stores may share a cache, and a namespace.
 *
 * A value that Keyv does not serialise has to be JSON or bytes. What is set is not stored where the cache's mode does
 * not write (`set` is `false` then); in the mode `replay` what is not there is an error, which Keyv emits. Deleting and
 * clearing is not a matter of the mode. Lookups are counted in the cache's statistics. The cache is closed by whoever
 * opened it, not by Keyv.
 *
 * @see https://keyv.org
 */
export class KeyvStore {
  /**
   * Keyv 5 iterates only over stores that say they are one of those it knows, and its test suite puts options of its own
   * in here.
   */
  readonly opts: Record<string, unknown> = { dialect: "sqlite", url: "" };
  readonly #cache: ResponseCache;
  readonly #options: KeyValueOptions;
  #namespace: string | undefined;
  #values: KeyValues;

  /**
   * Makes a store.
   *
   * @throws TypeError for an option that does not exist.
   */
  constructor(cache: ResponseCache, options: KeyValueOptions = {}) {
    checkKeyValueOptions("make a store for Keyv", options);
    this.#cache = cache;
    this.#options = options;
    this.#values = this.#valuesIn("keyv");
  }

  /** What keeps this Keyv's values apart from others'. Keyv sets it. */
  get namespace(): string | undefined {
    return this.#namespace;
  }

  /** @throws TypeError when it is another one already: of two Keyvs on one store each would get the other's values. */
  set namespace(namespace: string | undefined) {
    if (namespace === undefined || namespace === this.#namespace) return;
    if (this.#namespace !== undefined) {
      throw new TypeError(
        `Cannot use one store for two namespaces (make a KeyvStore for each Keyv): ${this.#namespace}, ${namespace}`,
      );
    }
    this.#namespace = namespace;
    this.#values = this.#valuesIn(namespace);
  }

  /** The value under a key, if there is one. */
  async get(key: string): Promise<unknown> {
    return await this.#values.get(key);
  }

  /** The values under keys, in their order. */
  async getMany(keys: readonly string[]): Promise<unknown[]> {
    return await this.#values.getMany(keys);
  }

  /**
   * Stores a value; one whose time has come already is removed. Whether it was stored.
   *
   * @throws TypeError for what is neither JSON nor bytes; CacheError.
   */
  async set(key: string, value: unknown, ttl?: Milliseconds): Promise<boolean> {
    if (typeof ttl !== "number" || !(ttl <= 0)) return await this.#values.set(key, value, ttl);
    await this.#values.delete(key);
    return true;
  }

  /** Stores several values; whether each was stored. */
  async setMany(entries: readonly KeyvEntry[]): Promise<boolean[]> {
    return await Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
  }

  /** Removes a value; whether there was one. */
  async delete(key: string): Promise<boolean> {
    return await this.#values.delete(key);
  }

  /** Removes values; whether all of them were there. */
  async deleteMany(keys: readonly string[]): Promise<boolean> {
    return (await Promise.all(keys.map((key) => this.#values.delete(key)))).every(Boolean);
  }

  /** Whether there is a value. */
  async has(key: string): Promise<boolean> {
    return await this.#values.has(key);
  }

  /** Which keys have a value. */
  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return await this.#values.hasMany(keys);
  }

  /** Removes the values of this namespace, and nothing else. */
  async clear(): Promise<void> {
    await this.#values.clear();
  }

  /** All values of this namespace with their keys, in no order that means anything. */
  async *iterator(): AsyncGenerator<[string, unknown], void> {
    yield* this.#values.all();
  }

  #valuesIn(namespace: string): KeyValues {
    return new KeyValues(this.#cache, { library: "keyv", namespace }, this.#options);
  }
}
