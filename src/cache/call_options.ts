/**
 * What a caller may say about one call, and what that comes to with the cache's own settings behind it. Checked before
 * anything is bought: a misspelled option would be found out by the bill.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Placement } from "../store/store.ts";
import type { Sample } from "./answer/entry.ts";
import type { JsonObject } from "./json.ts";
import { checkMode, type Mode, reads, writes } from "./mode.ts";
import type { Gate } from "./answer/policy.ts";
import { type Scope, SCOPE_OPTIONS } from "./request/scope.ts";
import type { LookupOutcome } from "./ledger/statistics.ts";

/** What became of one call; the caller passes an empty one in and reads it afterwards. */
export interface CacheStatus {
  /** How the request fared; absent after a `put`, which looks nothing up. */
  outcome?: LookupOutcome;
  /** Whether something was stored. */
  stored?: boolean;
  /** Whether another caller's call to the provider, here or in another process, answered this one. */
  shared?: boolean;
  /** Whether the answer is one whose time had come: `staleWhileRevalidate` or `staleIfError` let it pass. */
  expiredServed?: boolean;
  /** What the answer cost when it was bought, in millionths of a US dollar; `null` when that is not known. */
  costMicrodollars?: number | null;
  /** What this call cost: 0 for what was there already; `null` when that is not known. */
  billedMicrodollars?: number | null;
  /** How long the provider took when the answer was bought, in milliseconds; `null` when that is not known. */
  latency?: Milliseconds | null;
  /** When the answer, or the oldest part of it, was bought, in milliseconds since 1970; absent where there is none. */
  created?: number | undefined;
  /** When it may no longer be served, in milliseconds since 1970; `null` for never, absent where there is none. */
  expires?: number | null | undefined;
  /** Why the cache was bypassed or could not be read, or the answer not stored. */
  why?: string | undefined;
}

/** Tells the caller what became of his call, if he wants to know. */
export function fillStatus(status: CacheStatus | undefined, facts: CacheStatus): void {
  if (status !== undefined) Object.assign(status, facts);
}

/** How answers are served and kept; on the whole cache, or on one call. */
export interface Keep {
  /** What the call may do to the cache; `read-write` by default. */
  readonly mode?: Mode;
  /** How long an answer may be served after it was stored; for ever by default. */
  readonly ttl?: Milliseconds;
  /**
   * For how long after its time an answer is still served at once, while a new one is bought in the background; 0 by
   * default. In the mode `read-only`, which could not store the new one, it does nothing; in `replay` nothing is bought.
   */
  readonly staleWhileRevalidate?: Milliseconds;
  /**
   * For how long after its time an answer is still served when no new one can be bought: the call fails, or is answered
   * with an error, or the mode is `replay`; 0 by default.
   */
  readonly staleIfError?: Milliseconds;
}

/** What may be said about a call that buys. */
export interface CacheCallOptions extends Scope, Keep {
  /** An object of the caller's, filled in by the call. */
  readonly status?: CacheStatus;
  /** A reason not to use the cache for this request, such as `unkeyable` of a parsed raw body; it is counted. */
  readonly bypass?: string | undefined;
  /** Answers stored longer ago than this are as good as expired. */
  readonly maxAge?: Milliseconds;
  /** Words by which answers can be removed together: `invalidateTag`. */
  readonly tags?: readonly string[];
  /**
   * Whether an answer, parsed, one sample of it at a time, is one. It is asked about stored answers too: those it
   * refuses are passed over, those just bought are returned but not stored (`invalid` in the policy). What it throws
   * fails the call before anything is bought; of an answer just bought it is reported, and the answer is returned as one
   * that was refused.
   */
  readonly isValid?: (answer: JsonObject) => boolean;
  /** Ends this caller's waiting. The call to the provider goes on for the others, and is aborted when nobody waits. */
  readonly signal?: AbortSignal;
  /** What the answer costs, in millionths of a US dollar, instead of what the price table says. */
  readonly costMicrodollars?: number | ((answer: unknown) => number | null);
}

/** What may be said about a `get`. */
export type GetOptions = Scope & Pick<CacheCallOptions, "mode" | "status" | "bypass" | "maxAge" | "isValid">;

/** What may be said about a `put`. */
export type PutCallOptions =
  & Scope
  & Pick<CacheCallOptions, "mode" | "ttl" | "status" | "bypass" | "tags" | "costMicrodollars">;

const KEEP = ["mode", "ttl", "staleWhileRevalidate", "staleIfError"];
const GET = [...SCOPE_OPTIONS, "mode", "status", "bypass", "maxAge", "isValid"];
const PUT = [...SCOPE_OPTIONS, "mode", "ttl", "status", "bypass", "tags", "costMicrodollars"];
const CALL = [...new Set([...GET, ...PUT, ...KEEP, "signal"])];
/** The names of the options, by what is called. */
export const OPTION_NAMES: Readonly<Record<"get" | "put" | "wrap", readonly string[]>> = {
  get: GET,
  put: PUT,
  wrap: CALL,
};

/** How one call is to be served and its answer kept: every default in place. */
export interface Plan {
  readonly mode: Mode;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly ttl: Milliseconds | undefined;
  readonly maxAge: Milliseconds;
  readonly staleWhileRevalidate: Milliseconds;
  readonly staleIfError: Milliseconds;
  readonly tags: readonly string[];
  readonly isValid: ((answer: JsonObject) => boolean) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly cost: CacheCallOptions["costMicrodollars"];
  /** Why samples that are there will not do together; `undefined` when they will. */
  readonly objects?: (samples: readonly Sample[]) => string | undefined;
  /** How the answer is to come; as bytes where nothing is said. */
  readonly form?: "value" | "stream";
  readonly gate: Gate;
}

/** What a cache brings to every call. */
export interface KeepDefaults extends Keep {
  /** For how long what has expired is kept, if not for ever. */
  readonly keepExpired?: Milliseconds;
  /** Every call's mode is `off`, whatever it says. */
  readonly isOff?: boolean;
  readonly gate: Gate;
}

/**
 * Checks a call's options and puts the defaults in place. `tried` says what for, in messages.
 *
 * @throws TypeError, RangeError
 */
export function planCall(
  tried: string,
  options: CacheCallOptions,
  names: readonly string[],
  defaults: KeepDefaults,
): Plan {
  refuseUnknownOptions(tried, options, names);
  checkKeep(tried, options);
  checkGrace(tried, options, defaults.keepExpired);
  const { maxAge = Infinity, tags = [], isValid, signal } = options;
  const mode = defaults.isOff ? "off" : options.mode ?? defaults.mode ?? "read-write";
  checkDuration(tried, "maxAge", options.maxAge, 0);
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string" && tag !== "")) {
    throw new TypeError(`Cannot ${tried}: tags are no list of words: ${String(tags)}`);
  }
  if (isValid !== undefined && typeof isValid !== "function") {
    throw new TypeError(`Cannot ${tried}: isValid is no function: ${typeof isValid}`);
  }
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw new TypeError(`Cannot ${tried}: signal is no AbortSignal: ${String(signal)}`);
  }
  const cost = options.costMicrodollars;
  const isAmount = typeof cost === "number" && cost >= 0 && Number.isFinite(cost);
  if (cost !== undefined && typeof cost !== "function" && !isAmount) {
    throw new TypeError(`Cannot ${tried}: costMicrodollars is neither an amount nor a function: ${String(cost)}`);
  }
  return {
    mode,
    reads: reads(mode),
    writes: writes(mode),
    ttl: options.ttl ?? defaults.ttl,
    maxAge,
    staleWhileRevalidate: options.staleWhileRevalidate ?? defaults.staleWhileRevalidate ?? 0,
    staleIfError: options.staleIfError ?? defaults.staleIfError ?? 0,
    tags,
    isValid,
    signal,
    cost,
    gate: defaults.gate,
  };
}

/**
 * Checks what can be said on a cache as well as on a call.
 *
 * @throws TypeError, RangeError
 */
export function checkKeep(tried: string, { mode, ttl, staleWhileRevalidate, staleIfError }: Keep): void {
  if (mode !== undefined) checkMode(mode);
  checkDuration(tried, "ttl", ttl, Number.MIN_VALUE);
  checkDuration(tried, "staleWhileRevalidate", staleWhileRevalidate, 0);
  checkDuration(tried, "staleIfError", staleIfError, 0);
}

/**
 * Refuses to look for answers that are not kept any more.
 *
 * @throws RangeError
 */
export function checkGrace(
  tried: string,
  { staleWhileRevalidate = 0, staleIfError = 0 }: Keep,
  keepExpired: Milliseconds | undefined,
): void {
  if (keepExpired === undefined || Math.max(staleWhileRevalidate, staleIfError) <= keepExpired) return;
  const name = staleWhileRevalidate > keepExpired ? "staleWhileRevalidate" : "staleIfError";
  throw new RangeError(
    `Cannot ${tried}: ${name} is longer than expired answers are kept (keepExpired, ${keepExpired} ms): ` +
      `${Math.max(staleWhileRevalidate, staleIfError)}`,
  );
}

/**
 * Refuses what is no number of milliseconds.
 *
 * @throws RangeError
 */
export function checkDuration(tried: string, name: string, value: unknown, least: number): void {
  if (value === undefined || (typeof value === "number" && value >= least && Number.isFinite(value))) return;
  const needed = least === 0 ? "0 or more" : "a positive number of";
  throw new RangeError(`Cannot ${tried}: ${name} has to be ${needed} milliseconds: ${String(value)}`);
}

/** Where what a call bought goes. */
export function placementOf({ mode }: Plan, { fixed, inDoubt }: { fixed: boolean; inDoubt: boolean }): Placement {
  // Samples of two calls must not be mixed where the provider repeats or ranks them.
  if (fixed) return "replace_all";
  // What another process has bought meanwhile is not to be overwritten. Only a row that its store takes for sound, but
  // that does not decompress, or is too old for this caller, would have what is appended lie behind it for ever.
  return mode === "refresh" || inDoubt ? "replace" : "append";
}
