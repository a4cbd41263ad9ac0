/**
 * How a request was answered, as one value for everybody who waits for it: the caller that asked, and those who asked
 * the same in the meantime and may want fewer samples.
 *
 * @module
 */

import { type Entry, entryOf, type Sample } from "../answer/entry.ts";
import type { Answer } from "../answer/answer.ts";
import type { LookupOutcome } from "../ledger/statistics.ts";

/** A request that was answered, or failed. */
export interface Settled {
  readonly outcome: LookupOutcome;
  readonly stored: boolean;
  /** Why the cache was bypassed, or the answer not stored. */
  readonly why?: string | undefined;
  /** How many samples were asked for. */
  readonly asked: number;
  /** Samples in order; none when there is no JSON. */
  readonly samples: readonly Sample[];
  /** How many of what was asked for were there already. */
  readonly reused: readonly Sample[];
  /** All that was asked for, as bytes or as their text, when it is there already. */
  readonly body?: Uint8Array | string;
  /** What the provider's call returned, when that alone is the answer. */
  readonly produced?: { readonly value: unknown };
  /** What the provider's call threw. */
  readonly failure?: { readonly error: unknown };
  /**
   * It concerns its caller alone: an answer that is no JSON (a stream may be readable once) or not one to this request
   * any more, or a mistake of the caller's.
   */
  readonly isPrivate?: boolean;
  /** Some samples' time had come. */
  readonly expiredServed?: boolean;
  /** The call was somebody else's: another process's, or one in the background. */
  readonly elsewhere?: boolean;
  /** What was paid for what was bought; `null` when that is not known. */
  readonly billed: number | null;
}

/** What a call to the provider brought. */
export interface Bought {
  readonly produced?: { readonly value: unknown };
  readonly failure?: {
    readonly error: unknown;
    /** It was a call for several requests: which of them it failed for, nobody knows. */
    readonly isJoint?: boolean;
  };
  /** The value, read; absent when it is not JSON. */
  readonly answer?: Answer | undefined;
}

/** What is known of a call besides its answer. */
export type Circumstances = Pick<Settled, "outcome" | "stored" | "why" | "asked">;

/**
 * Puts together what was there and what was bought. An error stands for itself: among the choices of others it would
 * vanish.
 */
export function settle(known: Circumstances, reused: readonly Sample[], bought: Bought): Settled {
  const { produced, failure, answer } = bought;
  if (produced === undefined) return { ...known, samples: [], reused, billed: 0, ...(failure && { failure }) };
  if (answer === undefined) return { ...known, samples: [], reused, produced, billed: null, isPrivate: true };
  const { samples, body, fault } = answer;
  const billed = sumOf(samples.map(({ costMicrodollars }) => costMicrodollars));
  const alone = reused.length === 0 || fault !== undefined || samples.some(({ outcome }) => outcome === "error");
  if (!alone) return { ...known, samples: [...reused, ...samples], reused, billed };
  return { ...known, samples, reused: [], ...(body && { body }), produced, billed, isPrivate: fault !== undefined };
}

/** What was there already, or was bought by somebody else. */
export function settleFound(
  known: Circumstances,
  samples: readonly Sample[],
  rest: Partial<Pick<Settled, "body" | "expiredServed" | "elsewhere" | "billed">> = {},
): Settled {
  return { ...known, samples, reused: samples, billed: 0, ...rest };
}

/** Nothing came of it before anything was bought: the caller's own mistake, or a store that refuses itself. */
export function settleThrown(asked: number, error: unknown): Settled {
  const nothing = { samples: [], reused: [], billed: 0 };
  return { outcome: "miss", stored: false, asked, ...nothing, failure: { error }, isPrivate: true };
}

/** Whether an answer can be had by others too. */
export function isShareable({ samples, failure, isPrivate = false }: Settled): boolean {
  return failure !== undefined || (samples.length > 0 && !isPrivate);
}

/** Why there is no answer: what the call threw, or the provider's own word for it; `undefined` when there is one. */
export function whyFailed({ failure, samples }: Settled): { readonly error: unknown } | undefined {
  if (failure !== undefined) return failure;
  return samples.some(({ outcome }) => outcome === "error") ? { error: new Error("the outcome is error") } : undefined;
}

/** For how long the first of these samples has expired, in milliseconds; 0 or less when none has. */
export function lateness(samples: readonly Sample[], now: number): number {
  return Math.max(...samples.map(({ expires }) => now - (expires ?? now)));
}

/**
 * Whether one who wants `samples` would have fared the same. Who asked for more may have been refused for that, and who
 * gave up, or made a mistake, did so for nobody else.
 */
export function appliesTo({ asked, samples, body, failure, isPrivate = false }: Settled, wanted: number): boolean {
  if (failure !== undefined) return wanted === asked && !isPrivate && !gaveUp(failure.error);
  // It is the provider's own answer to this very request, with as many choices as that has.
  if (wanted === asked && body !== undefined) return true;
  // What came in pieces may be too few, and what has none goes its own way.
  return samples.length === 0 || (samples.length >= wanted && !samples.some(({ outcome }) => outcome === "error"));
}

/**
 * Whether an error is what aborting makes of a call: the DOM's own errors, and those of SDKs, which are named by their
 * class only (OpenAI's and Anthropic's `APIUserAbortError`).
 */
export function gaveUp(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return [error.name, error.constructor.name].some((name) => /^(?:Abort|Timeout|APIUserAbort)Error$/.test(name));
}

/**
 * The answer for a caller who wants `samples`; `undefined` when there is no JSON to make it of. Only the one who asked
 * gets the very bytes, which he may then change; everybody else gets his own, put together from the samples.
 */
export function entryFor({ asked, samples, body }: Settled, wanted: number, led: boolean): Entry | undefined {
  if (samples.length === 0) return undefined;
  return entryOf(samples.slice(0, wanted), led && wanted === asked ? body : undefined);
}

/** The sum, if every part of it is known. */
export function sumOf(parts: readonly (number | null)[]): number | null {
  return parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part), 0);
}
