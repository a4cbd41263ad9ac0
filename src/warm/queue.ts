/**
 * How many requests may wait for models. One that is refused at once can go elsewhere, or come again when it is told
 * to; one that waits behind hundreds is answered when nobody listens any more, and takes memory all that time.
 *
 * @module
 */

import type { ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Slot } from "./slot.ts";

/** How many requests may wait. */
export interface QueueLimits {
  /** For all bases together. */
  readonly maxQueue: number;
  /** For one base: until there is room for it, until it is loaded, and until its Worker is done with those before. */
  readonly maxQueuePerModel: number;
}

/** What the last request says of the next, against all before it. */
const WEIGHT = 0.2;

/** How fast a base works off its requests, learned from those that it has served. */
export class Pace {
  #mean: Milliseconds | undefined;
  #lastEnd: Milliseconds = -Infinity;

  /** How long one takes, in the mean; `undefined` before the first. */
  get mean(): Milliseconds | undefined {
    return this.#mean;
  }

  /** Notes that a request is done. Those that overlap share the time: what counts is how far apart they end. */
  ended(began: Milliseconds, now: Milliseconds): void {
    const took = now - Math.max(began, this.#lastEnd);
    this.#lastEnd = now;
    this.#mean = this.#mean === undefined ? took : this.#mean + (took - this.#mean) * WEIGHT;
  }
}

/** How many requests wait on a base that holds memory: all of them while it loads, then all but the one it works on. */
export function queuedOn({ base, state, leases, waiting }: Slot): number {
  if (state === "loading") return waiting.size;
  // What is behind an endpoint works on many at once, and says itself when they are too many.
  return base.kind === "api" ? 0 : Math.max(0, leases - 1);
}

/** What to ask again after, where no request has shown how long one takes. */
const UNKNOWN_WAIT: Milliseconds = 10_000;

/** Too many wait: `queued` of `most`, on this base, or on all where `everywhere` is set. */
export function queueFull(
  { name }: ResolvedBase,
  { queued, most, everywhere, pace }: {
    readonly queued: number;
    readonly most: number;
    readonly everywhere: boolean;
    readonly pace: Pace | undefined;
  },
): ModelError {
  const where = everywhere ? "for models" : "for it";
  const message = `Cannot queue a request for ${name}: ${queued} wait ${where} already, of ${most} that may; ask again`;
  const retryAfter = pace?.mean === undefined ? UNKNOWN_WAIT : queued * pace.mean;
  return new ModelError("queue_full", message, { retryAfter });
}
