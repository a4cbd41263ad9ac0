/**
 * Opens the store that a cache is asked for: one backend, a store of the caller's, or several behind one another. Which
 * backends there are is the machine's business ({@link ./every_store.ts}, {@link ./browser_stores.ts}).
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { RedisConnection } from "../store/redis/options.ts";
import type { RemoteConnection } from "../store/remote/options.ts";
import type { Store } from "../store/store.ts";
import type { FrontOptions, TierSettings } from "../store/tiers/tiered_store.ts";
import { BACKENDS, CacheBackend, isBackend } from "./backend.ts";
import { defined } from "./environment.ts";

/** One store among several. */
export interface TierOptions {
  /** A backend of ours by name, or a store of your own. */
  readonly backend: CacheBackend | Store;
  /** Where `sqlite` or `file` keeps its files. Default: the cache's `directory`. */
  readonly directory?: string;
  /** Where `redis` is. Default: the cache's `redis`. */
  readonly redis?: RedisConnection;
  /** Where the server of `remote` is. Default: the cache's `remote`. */
  readonly remote?: RemoteConnection;
  /**
   * How many bytes `memory` or `sqlite` may take. Default: the cache's `maxBytes` for `sqlite`, 64 MiB for `memory` in
   * front of others.
   */
  readonly maxBytes?: number;
  /**
   * How long a call may wait for it before it goes on without. Default: 1 second for the last of several, as long as it
   * takes for those before it. Not for `memory` in front of others, which answers at once.
   */
  readonly deadline?: Milliseconds;
  /**
   * For `memory` in front of others: how long what it has read is believed where the store below cannot tell whether
   * it has changed. Default: 0, so that it is read from below each time.
   */
  readonly freshFor?: Milliseconds;
}

/** What is said of all stores of a cache. */
export interface StoreSettings {
  readonly directory: string;
  readonly redis?: RedisConnection;
  /** Where `redis` was learnt from, for messages. */
  readonly redisFrom?: string;
  readonly remote?: RemoteConnection;
  /** Where `remote` was learnt from, for messages. */
  readonly remoteFrom?: string;
  readonly maxBytes?: number;
  readonly keepExpired: Milliseconds;
  readonly synchronous?: "normal" | "full";
  readonly locking?: "shared" | "exclusive";
  readonly lockTimeout?: Milliseconds;
}

/** Opens a store of ours; `isAlone` where it is the only one. */
export type OpenTier = (
  runtime: Runtime,
  tier: TierOptions,
  settings: StoreSettings,
  isAlone: boolean,
) => Promise<Store>;

/** What runs a cache, and which of our stores there are on it. */
export interface Machine {
  readonly runtime: Runtime;
  readonly stores: { readonly [backend in CacheBackend]?: OpenTier };
}

const FRONT_BYTES = 64 * 1024 * 1024;

/** What may be said of a tier, by its backend; `deadline` is said of the place that it has, not of the store. */
const MAY_SAY: Readonly<Record<CacheBackend | "front", readonly (keyof TierOptions)[]>> = {
  file: ["directory"],
  sqlite: ["directory", "maxBytes"],
  redis: ["redis"],
  remote: ["remote"],
  memory: ["maxBytes"],
  front: ["maxBytes", "freshFor"],
};

const OPTIONS: Record<keyof TierOptions, true> = {
  backend: true,
  directory: true,
  redis: true,
  remote: true,
  maxBytes: true,
  deadline: true,
  freshFor: true,
};

/** Which stores, checked: nothing has been opened yet. */
export interface StorePlan {
  /** Memory in front of the others. */
  readonly front?: FrontOptions;
  /** At least one. */
  readonly tiers: readonly TierOptions[];
}

/**
 * Checks what a cache is asked to keep its entries in.
 *
 * @throws TypeError when it makes no sense.
 */
export function planTiers(tiers: readonly (CacheBackend | Store | TierOptions)[]): StorePlan {
  if (!Array.isArray(tiers) || tiers.length === 0) {
    throw new TypeError(`Cannot open a cache: tiers has to be a list of one store or more: ${String(tiers)}`);
  }
  const all = tiers.map(tierOptions);
  const [first, ...others] = all;
  const isFronted = others.length > 0 && first!.backend === CacheBackend.MEMORY;
  for (const [level, tier] of all.entries()) refuseOddTier(tier, level === 0 && isFronted);
  const middle = all.slice(1, -1).find(({ backend }) => backend === CacheBackend.MEMORY);
  if (middle !== undefined) {
    throw new TypeError("Cannot open a cache with the tier memory between others: put it in front of them");
  }
  if (!isFronted) return { tiers: all };
  const { maxBytes = FRONT_BYTES, freshFor } = first!;
  return { front: { maxBytes, ...defined({ freshFor }) }, tiers: others };
}

/**
 * A store of one's own, or a backend by itself.
 *
 * @throws TypeError when it is neither.
 */
export function planBackend(backend: unknown): StorePlan {
  if (isBackend(backend) || isStore(backend)) return { tiers: [{ backend }] };
  throw unknownBackend(backend);
}

/** Whether a plan's stores keep expired answers for as long as they are told to. */
export function keepsExpired({ tiers }: StorePlan): boolean {
  const others: readonly unknown[] = [CacheBackend.MEMORY, CacheBackend.REMOTE];
  return tiers.every(({ backend }) => isBackend(backend) && !others.includes(backend));
}

/** Whether a plan has a store of ours that keeps files. */
export function keepsFiles({ tiers }: StorePlan): boolean {
  const onDisk: readonly unknown[] = [CacheBackend.SQLITE, CacheBackend.FILE];
  return tiers.some(({ backend }) => onDisk.includes(backend));
}

/**
 * Checks where stores are said to be. An empty directory would be the root of all files.
 *
 * @throws TypeError
 */
export function refuseOddPlace(
  { directory, redis, remote }: Pick<TierOptions, "directory" | "redis" | "remote">,
): void {
  if (directory !== undefined && (typeof directory !== "string" || directory === "")) {
    const received = directory === "" ? "an empty one" : String(directory);
    throw new TypeError(`Cannot open a cache: directory has to be a string that names one: ${received}`);
  }
  if (redis !== undefined && (typeof redis !== "object" || redis === null)) {
    throw new TypeError(
      `Cannot open a cache: redis has to be an object, such as { url: "redis://…" }: ${typeof redis}`,
    );
  }
  if (remote !== undefined && (typeof remote !== "object" || remote === null)) {
    throw new TypeError(
      `Cannot open a cache: remote has to be an object, such as { url: "https://…" }: ${typeof remote}`,
    );
  }
}

/**
 * Opens what was planned.
 *
 * @throws TypeError, RangeError for a wrong value; CacheError `unavailable` when a store cannot be used as asked.
 */
export async function openStore(machine: Machine, plan: StorePlan, settings: StoreSettings): Promise<Store> {
  const { front, tiers } = plan;
  const isAlone = front === undefined && tiers.length === 1;
  if (isAlone && tiers[0]!.deadline === undefined) return await openTier(machine, tiers[0]!, settings, isAlone);
  refuseSamePlace(tiers, settings);
  const { openTieredStore } = await import("../store/tiers/tiered_store.ts");
  const opened = await Promise.allSettled(tiers.map(async (tier): Promise<TierSettings> => {
    const store = await openTier(machine, tier, settings, isAlone);
    return { store, ...defined({ deadline: tier.deadline }) };
  }));
  try {
    const stores = opened.map((result) => {
      if (result.status === "fulfilled") return result.value;
      throw result.reason;
    });
    return openTieredStore({ clock: machine.runtime.clock, tiers: stores, ...defined({ front }) });
  } catch (error) {
    // Those that were opened here; a store of the caller's is his to close. Why they cannot be used is what he hears.
    await Promise.allSettled(opened.map(async (result, level) => {
      if (result.status === "fulfilled" && isBackend(tiers[level]!.backend)) await result.value.store.close();
    }));
    throw error;
  }
}

async function openTier(
  { runtime, stores }: Machine,
  tier: TierOptions,
  settings: StoreSettings,
  isAlone: boolean,
): Promise<Store> {
  const { backend } = tier;
  if (typeof backend === "object") return backend;
  const open = stores[backend];
  if (open !== undefined) return await open(runtime, tier, settings, isAlone);
  const known = Object.keys(stores).join(", ");
  throw new TypeError(`Cannot open a cache in ${runtime.name}: it has no backend ${backend} (it has: ${known})`);
}

function tierOptions(tier: unknown): TierOptions {
  if (isBackend(tier) || isStore(tier)) return { backend: tier };
  if (typeof tier !== "object" || tier === null) throw unknownBackend(tier);
  const options = tier as TierOptions;
  refuseUnknownOptions("open a tier", options, Object.keys(OPTIONS));
  refuseOddPlace(options);
  if (isBackend(options.backend) || isStore(options.backend)) return options;
  throw unknownBackend(options.backend);
}

function isStore(value: unknown): value is Store {
  return typeof value === "object" && value !== null && "lookup" in value;
}

function refuseOddTier(tier: TierOptions, isFront: boolean): void {
  const { backend } = tier;
  const name = isFront ? "front" : backend;
  const may = ["backend", ...isFront ? [] : ["deadline"], ...typeof name === "object" ? [] : MAY_SAY[name]];
  const odd = Object.entries(tier).find(([option, value]) => value !== undefined && !may.includes(option));
  if (odd === undefined) return;
  const what = isFront ? "memory, in front of others" : typeof backend === "object" ? "a store of your own" : backend;
  throw new TypeError(`Cannot open a cache: ${odd[0]} means nothing to the tier ${what}: ${String(odd[1])}`);
}

/**
 * One place cannot be two tiers: what is added to a request would be added twice, or each would find the other one's lock.
 */
function refuseSamePlace(tiers: readonly TierOptions[], settings: StoreSettings): void {
  const places = new Set<unknown>();
  for (const tier of tiers) {
    const { backend, directory = settings.directory } = tier;
    const place = placeOf(tier, settings);
    if (places.has(place)) {
      const isOnDisk = backend === CacheBackend.SQLITE || backend === CacheBackend.FILE;
      const what = isOnDisk ? `${backend} in ${directory}` : typeof backend === "object" ? backend.name : backend;
      throw new TypeError(`Cannot open a cache with the same tier twice; give one of them another place: ${what}`);
    }
    places.add(place);
  }
}

/** Where a tier keeps its entries: the same for the same place, as far as can be told before it is opened. */
function placeOf(tier: TierOptions, settings: StoreSettings): unknown {
  const { backend, directory = settings.directory, redis = settings.redis } = tier;
  // A store of the caller's is itself, a memory of ours another each time.
  if (typeof backend === "object") return backend;
  if (backend === CacheBackend.MEMORY) return tier;
  const { remote = settings.remote } = tier;
  // With different keys it may well be two.
  if (backend === CacheBackend.REMOTE) return JSON.stringify([backend, remote?.url, remote?.apiKey]);
  if (backend === CacheBackend.REDIS) return JSON.stringify([backend, redis?.url, redis?.urls, redis?.keyPrefix]);
  const parts = directory.split("/").filter((part, index) => index === 0 || (part !== "" && part !== "."));
  return JSON.stringify([backend, parts[0] === "." && parts.length > 1 ? parts.slice(1) : parts]);
}

function unknownBackend(backend: unknown): TypeError {
  return new TypeError(`Cannot open a cache: unknown backend: ${String(backend)} (known: ${BACKENDS.join(", ")})`);
}
