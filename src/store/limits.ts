/**
 * How much of what a store is given it takes, the same in every store.
 *
 * @module
 */

import type { Milliseconds } from "../runtime/runtime.ts";
import { SKETCH_BYTES } from "./nearest.ts";
import type { RequestRecord } from "./store.ts";

/** How long a claim may last. */
export const LONGEST_CLAIM: Milliseconds = 60 * 60 * 1000;
/**
 * One that seems to last longer than this was made by a clock that was wrong, and binds nobody. More than the longest
 * there can be: clocks are set back a little now and then, and whoever looks may have asked for the time before.
 */
export const LONGEST_BINDING: Milliseconds = LONGEST_CLAIM + 60 * 1000;
/** Bytes of an error that may be kept. */
const MOST_ERROR_BYTES = 16 * 1024;

/**
 * Refuses a claim that nobody could rely on.
 *
 * @throws RangeError
 */
export function refuseLongClaim(duration: Milliseconds): void {
  if (duration > 0 && duration <= LONGEST_CLAIM) return;
  throw new RangeError(
    `Cannot claim a request: duration must be more than 0 and at most ${LONGEST_CLAIM} ms: ${duration}`,
  );
}

/**
 * Refuses an error that is too long to be kept.
 *
 * @throws RangeError
 */
export function refuseLongError(error: Uint8Array): void {
  if (error.byteLength <= MOST_ERROR_BYTES) return;
  throw new RangeError(
    `Cannot record a failure: error must be at most ${MOST_ERROR_BYTES} bytes: ${error.byteLength}`,
  );
}

/**
 * Refuses a sketch that cannot be compared with others.
 *
 * @throws RangeError
 */
export function refuseOddSketch({ sketch }: Pick<RequestRecord, "sketch">): void {
  if (sketch.byteLength === SKETCH_BYTES) return;
  throw new RangeError(`Cannot use a sketch of a request: it must have ${SKETCH_BYTES} bytes: ${sketch.byteLength}`);
}
