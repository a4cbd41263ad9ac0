/**
 * A model that fails to load is not tried again by every request that comes: each failure rests it twice as long as
 * the one before. Kept by content identity, so that mended files are tried at once.
 *
 * @module
 */

import type { ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";

/** How long to rest. */
export interface CooldownOptions {
  /** After a first failure; 10 seconds when left out. */
  readonly initial?: Milliseconds;
  /** At most; 5 minutes when left out. */
  readonly maximum?: Milliseconds;
}

/** A base that failed to load. */
export interface Failure {
  readonly base: ResolvedBase;
  /** What went wrong, the last time. */
  readonly error: ModelError;
  /** When, in milliseconds since 1970. */
  readonly at: Milliseconds;
}

interface Resting extends Failure {
  readonly duration: Milliseconds;
  /** On the monotonic clock. */
  readonly until: Milliseconds;
}

/** The bases that failed to load, and how long they still rest. */
export class Cooldowns {
  readonly #clock: Clock;
  readonly #initial: Milliseconds;
  readonly #maximum: Milliseconds;
  readonly #resting = new Map<string, Resting>();

  /** @throws RangeError unless 0 < initial ≤ maximum. */
  constructor(clock: Clock, options: CooldownOptions = {}) {
    const { initial = 10_000, maximum = 300_000 } = options;
    refuseUnknownOptions("set a cooldown", options, ["initial", "maximum"]);
    if (!(initial > 0 && initial <= maximum)) {
      throw new RangeError(`Cannot set a cooldown: expected 0 < initial <= maximum: ${initial}, ${maximum}`);
    }
    this.#clock = clock;
    this.#initial = initial;
    this.#maximum = maximum;
  }

  /** Counts a failure and returns it as callers see it: `model_load_failed` with `retryAfter`. */
  fail(base: ResolvedBase, cause: unknown): ModelError {
    const now = this.#clock.monotonic();
    this.#forget(now);
    const before = this.#resting.get(base.identity);
    const duration = before ? Math.min(2 * before.duration, this.#maximum) : Math.min(this.#initial, this.#maximum);
    const message = cause instanceof ModelError ? cause.message : `Cannot load ${base.name}: ${reasonOf(cause)}`;
    const error = new ModelError("model_load_failed", message, { cause, retryAfter: duration });
    this.#resting.set(base.identity, { base, error, at: this.#clock.now(), duration, until: now + duration });
    return error;
  }

  /** The error for a base that still rests, or `undefined` when it may be tried. */
  check(base: ResolvedBase): ModelError | undefined {
    const resting = this.#resting.get(base.identity);
    const remaining = resting === undefined ? 0 : resting.until - this.#clock.monotonic();
    if (resting === undefined || remaining <= 0) return undefined;
    return new ModelError("model_load_failed", resting.error.message, { cause: resting.error, retryAfter: remaining });
  }

  /** A base was loaded: its failures no longer count. */
  succeed(base: ResolvedBase): void {
    this.#resting.delete(base.identity);
  }

  /** Those that rest now. */
  resting(): Failure[] {
    const now = this.#clock.monotonic();
    return [...this.#resting.values()].filter(({ until }) => until > now);
  }

  /** Files that were mended never come back under their old identity; their failures must not pile up. */
  #forget(now: Milliseconds): void {
    for (const [identity, { until }] of this.#resting) {
      if (until + this.#maximum < now) this.#resting.delete(identity);
    }
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
