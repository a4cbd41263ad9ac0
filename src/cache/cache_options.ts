/**
 * What may be said about a whole cache, and what that comes to with the defaults in place. Checked before anything is
 * made of it.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { CallContext, Clock, Milliseconds } from "../runtime/runtime.ts";
import type { Store } from "../store/store.ts";
import { Gate, type OutcomePolicy } from "./answer/policy.ts";
import { checkDuration, checkGrace, checkKeep, type Keep, type KeepDefaults } from "./call_options.ts";
import type { Production } from "./flow/production.ts";
import type { RefusedStore } from "./flow/shelf.ts";
import type { CacheEvent } from "./ledger/journal.ts";
import type { PriceOf } from "./ledger/prices.ts";
import type { DigestFile } from "./request/file_contents.ts";
import type { IgnoreList } from "./request/ignore_list.ts";
import type { Sha256 } from "./request/key.ts";

/** What a {@link ./response_cache.ts ResponseCache} is made of. */
export interface ResponseCacheOptions extends Keep {
  /**
   * For how long the store keeps what has expired, if not for ever: a call that asks for older answers, by
   * `staleWhileRevalidate` or `staleIfError`, would never find them, and is refused.
   */
  readonly keepExpired?: Milliseconds;
  /** Where entries live. The cache closes it. */
  readonly store: Store;
  /** Stamps entries and measures how long calls take. */
  readonly clock: Clock;
  /** Hashes requests into keys. */
  readonly sha256: Sha256;
  /** Hashes files that requests name by `file:` URLs; without it such requests are refused. */
  readonly digestFile?: DigestFile;
  /**
   * Tells a request apart that is made by what produces the very answer to it, such as a client over a caching fetch
   * that is called by {@link ./response_cache.ts ResponseCache.wrap}: that goes round the cache. Without one it waits for itself for ever.
   */
  readonly callContext?: CallContext<Production>;
  /** Namespace of requests whose scope names none; empty by default. */
  readonly namespace?: string;
  /** Further top-level fields that do not enter the key, by endpoint. */
  readonly ignore?: IgnoreList;
  /** Which outcomes are stored; what is left out is as by default. */
  readonly policy?: OutcomePolicy;
  /** What answers cost; where there is none, nobody knows. */
  readonly priceOf?: PriceOf;
  /**
   * For how long a request that the provider refused as such (400, 404, 413, 422 and the like) is not tried again; 10
   * seconds by default, 0 for not at all.
   */
  readonly negativeTtl?: Milliseconds;
  /**
   * For how long a process that buys an answer keeps the others from buying it too, unless it renews its claim, which it
   * does while it lives; 10 seconds by default, an hour at most, 0 for not at all.
   */
  readonly claimDuration?: Milliseconds;
  /**
   * What to do when the store is somebody else's (`locked`, `newer_schema`, `foreign_file`): `throw`, before anything is
   * bought (the default), or `bypass` the cache and answer.
   */
  readonly refusedStore?: RefusedStore;
  /** Switches the cache off: the mode of every call is `off`, whatever it says. */
  readonly isOff?: boolean;
  /** Hears of failures and of answers that were not stored. What it throws is ignored. */
  readonly report?: (event: CacheEvent) => void;
}

const CACHE_OPTIONS = [
  "store",
  "clock",
  "sha256",
  "digestFile",
  "callContext",
  "namespace",
  "mode",
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "keepExpired",
  "ignore",
  "policy",
  "priceOf",
  "negativeTtl",
  "claimDuration",
  "refusedStore",
  "isOff",
  "report",
];
const NEGATIVE_TTL: Milliseconds = 10_000;
const CLAIM_DURATION: Milliseconds = 10_000;
/** Stores grant no claim for longer. */
const LONGEST_CLAIM: Milliseconds = 60 * 60 * 1000;

/** What a cache is made of: every default in place. */
export interface CacheSettings extends Omit<ResponseCacheOptions, keyof Keep | "keepExpired" | "policy" | "isOff"> {
  readonly namespace: string;
  readonly ignore: IgnoreList;
  readonly negativeTtl: Milliseconds;
  readonly claimDuration: Milliseconds;
  readonly refusedStore: RefusedStore;
  readonly report: (event: CacheEvent) => void;
  /** How answers are kept where a call does not say. */
  readonly keep: KeepDefaults;
}

/**
 * Checks a cache's options and puts the defaults in place.
 *
 * @throws TypeError, RangeError
 */
export function planCache(options: ResponseCacheOptions): CacheSettings {
  refuseUnknownOptions("make a cache", options, CACHE_OPTIONS);
  const { mode, ttl, staleWhileRevalidate, staleIfError, keepExpired, policy, isOff, ...rest } = options;
  const { namespace = "", ignore = {}, refusedStore = "throw", report = () => {} } = rest;
  const { negativeTtl = NEGATIVE_TTL, claimDuration = CLAIM_DURATION } = rest;
  if (typeof namespace !== "string") throw new TypeError(`Cannot use a namespace that is no string: ${namespace}`);
  checkKeep("make a cache", options);
  for (const [name, value] of Object.entries({ negativeTtl, claimDuration })) {
    if (typeof value === "number" && value >= 0 && Number.isFinite(value)) continue;
    throw new RangeError(`Cannot make a cache: ${name} has to be 0 or more milliseconds: ${value}`);
  }
  if (claimDuration > LONGEST_CLAIM) {
    throw new RangeError(
      `Cannot make a cache: claimDuration has to be ${LONGEST_CLAIM} ms at most: ${claimDuration}`,
    );
  }
  if (refusedStore !== "throw" && refusedStore !== "bypass") {
    throw new TypeError(`Cannot use refusedStore (it is "throw" or "bypass"): ${refusedStore}`);
  }
  checkIgnoreList(ignore);
  checkDuration("make a cache", "keepExpired", keepExpired, 0);
  checkGrace("make a cache", options, keepExpired);
  const keep: KeepDefaults = {
    gate: new Gate(policy),
    ...(mode !== undefined && { mode }),
    ...(ttl !== undefined && { ttl }),
    ...(staleWhileRevalidate !== undefined && { staleWhileRevalidate }),
    ...(staleIfError !== undefined && { staleIfError }),
    ...(keepExpired !== undefined && { keepExpired }),
    ...(isOff && { isOff }),
  };
  return { ...rest, namespace, ignore, refusedStore, report, negativeTtl, claimDuration, keep };
}

function checkIgnoreList(ignore: IgnoreList): void {
  for (const [endpoint, fields] of Object.entries(ignore)) {
    if (!Array.isArray(fields) || !fields.every((field) => typeof field === "string")) {
      throw new TypeError(`Cannot ignore fields of ${endpoint} that are no list of names: ${fields}`);
    }
    // One answer would then pass for any number of samples. Where samples are known, n is ignored already.
    if (fields.includes("n")) throw new TypeError(`Cannot ignore how many samples are asked of ${endpoint}: n`);
  }
}
