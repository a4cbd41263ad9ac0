/**
 * How many bytes were last used how long ago: what has to be known to remove the least recently used ones of millions
 * without remembering each. Steps of age grow with it, by a thousandth each, so what was used a minute ago is told apart
 * to a tenth of a second, and what was used a week ago to ten minutes.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";

/** Steps in which an age doubles. */
const STEPS = 700;
/** An age of 2^42 ms is 139 years. */
const LAST_STEP = 42 * STEPS;

/** Where to stop: what is older goes, and of what is as old as `step` only so many bytes. */
export interface Cutoff {
  readonly step: number;
  readonly bytes: number;
}

/** Bytes by the age of their last use. */
export class AgeHistogram {
  /** All bytes that were added. */
  total = 0;
  readonly #now: Milliseconds;
  readonly #steps = new Float64Array(LAST_STEP + 1);

  /** Ages are measured from `now`. */
  constructor(now: Milliseconds) {
    this.#now = now;
  }

  /** The step in which something lies that was last used then. */
  stepOf(used: Milliseconds): number {
    const age = this.#now - used;
    // Not even a millisecond old, of a clock that was ahead, or no time at all.
    if (!(age > 1)) return 0;
    return Math.min(LAST_STEP, 1 + Math.floor(Math.log2(age) * STEPS));
  }

  /** The latest time that lies in this step or in an older one, or a millisecond later: steps are rounded. */
  latestOf(step: number): Milliseconds {
    return step === 0 ? Infinity : this.#now - 2 ** ((step - 1) / STEPS) + 1;
  }

  /** Adds bytes that were last used then. */
  add(used: Milliseconds, bytes: number): void {
    this.#steps[this.stepOf(used)]! += bytes;
    this.total += bytes;
  }

  /** Adds all that another has, of ages measured from the same time, `scale` times. */
  addAll(other: AgeHistogram, scale: number): void {
    for (const [step, bytes] of other.#steps.entries()) this.#steps[step]! += bytes * scale;
    this.total += other.total * scale;
  }

  /** Which ones to remove so that at least `bytes` go, the least recently used first. */
  cutoff(bytes: number): Cutoff {
    let left = bytes;
    for (let step = LAST_STEP; step >= 0; step--) {
      if (this.#steps[step]! >= left) return { step, bytes: left };
      left -= this.#steps[step]!;
    }
    return { step: 0, bytes: Infinity };
  }
}
