/**
 * How a request was answered, as one value for everybody who waits for it: the caller that asked, and those who asked
 * the same in the meantime and may want fewer samples.
 *
 * @module
 */

import { type Entry, entryOf, type Sample } from "./entry.ts";
import type { Answer } from "./answer.ts";
import type { LookupOutcome } from "./statistics.ts";

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
  /** The bytes for all that was asked, when they are there already. */
  readonly body?: Uint8Array;
  /** What the provider's call returned, when that alone is the answer. */
  readonly produced?: { readonly value: unknown };
  /** What the provider's call threw. */
  readonly failure?: { readonly error: unknown };
}

/** What a call to the provider brought. */
export interface Bought {
  readonly produced?: { readonly value: unknown };
  readonly failure?: { readonly error: unknown };
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
  if (produced === undefined) return { ...known, samples: [], ...(failure && { failure }) };
  if (answer === undefined) return { ...known, samples: [], produced };
  const { samples, body } = answer;
  const alone = reused.length === 0 || samples.some(({ outcome }) => outcome === "error" || outcome === "invalid");
  return alone ? { ...known, samples, body, produced } : { ...known, samples: [...reused, ...samples] };
}

/** Whether others can have it too. What is no JSON may be for one reader only: a stream is. */
export function isShareable({ samples, failure }: Settled): boolean {
  return failure !== undefined || (samples.length > 0 && !samples.some(({ outcome }) => outcome === "invalid"));
}

/**
 * Whether one who wants `samples` would have fared the same. Who asked for more may have been refused for that, and who
 * gave up gave up for nobody else.
 */
export function appliesTo({ asked, samples, failure }: Settled, wanted: number): boolean {
  if (failure !== undefined) return wanted === asked && !gaveUp(failure.error);
  return wanted === asked || !samples.some(({ outcome }) => outcome === "error");
}

/** Whether an error is what an `AbortSignal` makes of a call. */
function gaveUp(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
}

/**
 * The answer for a caller who wants `samples`; `undefined` when there is no JSON to make it of. Only the one who asked
 * gets the very bytes: what others do to theirs is theirs alone.
 */
export function entryFor({ asked, samples, body }: Settled, wanted: number, led: boolean): Entry | undefined {
  if (samples.length === 0) return undefined;
  const whole = wanted === asked ? body : undefined;
  return entryOf(samples.slice(0, wanted), led ? whole : whole?.slice());
}
