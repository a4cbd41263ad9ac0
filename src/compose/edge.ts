/**
 * The response cache at the edge: in workerd, Cloudflare's Workers, and what is like them, where there are no files. In a
 * Durable Object answers stay in its SQL; anywhere, a remote cache or memory keeps them.
 *
 * ```ts ignore
 * import { DurableObject } from "cloudflare:workers";
 * import { openCache } from "@warmcache/warmcache/edge";
 *
 * export class Answers extends DurableObject {
 *   #cache = openCache({ storage: this.ctx.storage });
 *   async ask(request: { model: string }) {
 *     return await (await this.#cache).wrap(request, (body) => callProvider(body));
 *   }
 * }
 * ```
 *
 * `docs/edge.md` says what a bundle has to bring, and what works where.
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import { provideRuntime } from "../runtime/current.ts";
import { edgeRuntime } from "../runtime/edge.ts";
import { durableObjectDriver, type DurableObjectStorage } from "../sqlite/durable_object_driver.ts";
import type { SqlDriver } from "../sqlite/driver.ts";
import type { SqlStoreOptions } from "../store/sql/sql_store.ts";
import type { Store } from "../store/store.ts";
import { defined } from "./environment.ts";
import { joinCache, type OpenCacheOptions } from "./join_cache.ts";
import type { OpenTier } from "./open_store.ts";
import { PORTABLE_STORES } from "./portable_stores.ts";

export * from "./portable_api.ts";
export { durableObjectDriver, type DurableObjectStorage } from "../sqlite/durable_object_driver.ts";
export type { SqlDriver, SqlRow, SqlStatement, SqlValue } from "../sqlite/driver.ts";
export { SqliteError } from "../sqlite/error.ts";
export { type MemorySqlDriver, openMemoryDatabase } from "../sqlite/memory_database.ts";
export { type BunStatement, type NativeDatabase, nativeDriver, type NodeStatement } from "../sqlite/native_driver.ts";
export type { SqlStoreOptions } from "../store/sql/sql_store.ts";
export { type Codec, type CompressOptions, FAST, THOROUGH } from "../codec/codec.ts";
export type { Dictionary } from "../codec/dictionary.ts";

/** How to open a cache at the edge. */
export interface OpenEdgeCacheOptions
  extends Omit<OpenCacheOptions, "directory" | "redis" | "synchronous" | "locking" | "lockTimeout"> {
  /**
   * Where `sqlite` keeps answers: a Durable Object's `ctx.storage`, or a driver on another SQL database, such as one in
   * memory ({@link openMemoryDatabase}). It belongs to this cache alone: a Durable Object opens its cache once.
   */
  readonly storage?: DurableObjectStorage | SqlDriver;
}

const machine = edgeRuntime();
provideRuntime(() => Promise.resolve(machine));

/** Options that mean something where there are files or sockets only. */
const ELSEWHERE: readonly string[] = ["directory", "redis", "synchronous", "locking", "lockTimeout"];

/**
 * Opens a response cache: on `storage` where it is given, else with the `backend` or `tiers` that are. Nothing is created
 * before the first answer is stored.
 *
 * @throws TypeError for a misspelled option, a value of the wrong kind, or where nothing says what keeps the answers.
 */
export async function openCache(options: OpenEdgeCacheOptions = {}): Promise<ResponseCache> {
  const { storage, ...common } = options;
  const odd = ELSEWHERE.find((name) => Object.hasOwn(options, name));
  if (odd !== undefined) throw new TypeError(`Cannot open a cache: ${odd} means nothing at the edge`);
  const stores = { ...PORTABLE_STORES, sqlite: openOn(storage) };
  return (await joinCache({ runtime: machine, stores }, common)).cache;
}

/**
 * Opens a store on a database, for a cache of which it is the `backend` or one of the `tiers`. Nothing is created until
 * something is written. It is loaded when it is asked for: whoever keeps answers elsewhere goes without.
 *
 * @throws TypeError, RangeError when an option is wrong.
 */
export async function openSqlStore(options: SqlStoreOptions): Promise<Store> {
  const { openSqlStore: open } = await import("../store/sql/sql_store.ts");
  return await open(options);
}

function openOn(storage: unknown): OpenTier {
  return async ({ clock }, tier, { keepExpired, ...settings }) => {
    const { driver, location } = databaseIn(storage);
    const maxBytes = tier.maxBytes ?? settings.maxBytes;
    return await openSqlStore({ driver, location, clock, keepExpired, ...defined({ maxBytes }) });
  };
}

function databaseIn(storage: unknown): { readonly driver: SqlDriver; readonly location: string } {
  if (storage === undefined) {
    throw new TypeError(
      "Cannot open a cache at the edge without storage: give a Durable Object's ctx.storage, or say another backend, " +
        "such as remote",
    );
  }
  if (typeof storage === "object" && storage !== null) {
    if ("prepare" in storage) return { driver: storage as SqlDriver, location: "a SQL database" };
    if ("transactionSync" in storage) {
      // Asked for where the object's class has no SQL, it throws.
      if (!hasSql(storage)) {
        throw new TypeError("Cannot open a cache in a Durable Object without SQL: see docs/edge.md");
      }
      return { driver: durableObjectDriver(storage as DurableObjectStorage), location: "a Durable Object" };
    }
  }
  throw new TypeError(
    `Cannot open a cache: storage has to be a Durable Object's ctx.storage, or a SqlDriver: ${storage}`,
  );
}

function hasSql(storage: object): boolean {
  try {
    return (storage as DurableObjectStorage).sql.databaseSize >= 0;
  } catch {
    return false;
  }
}
