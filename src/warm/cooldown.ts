/**
 * A model that fails to load is not tried again by every request that comes: each failure rests it twice as long as
 * the one before, give or take a little, so that models that failed together do not all come back together. One that
 * will fail in the same way until its files change is not tried again at all. Kept by content identity, so that mended
 * files are tried at once.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import { LRUCache } from "lru-cache";
import type { ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";

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
  /** When it may be tried again, in milliseconds since 1970; `Infinity`: not before its files change. */
  readonly retryAt: Milliseconds;
}

interface Resting extends Failure {
  /** Without the give or take. */
  readonly duration: Milliseconds;
  /** On the monotonic clock. */
  readonly until: Milliseconds;
}

/** Files that were mended never come back under their old identity; their failures must not pile up. */
const MOST_FAILURES = 1000;
/** How much longer or shorter than its duration a rest is, at most. */
const JITTER = 0.1;

/** The bases that failed to load, and how long they still rest. */
export class Cooldowns {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #initial: Milliseconds;
  readonly #maximum: Milliseconds;
  readonly #resting = new LRUCache<string, Resting>({ max: MOST_FAILURES });

  /**
   * `random` gives numbers from 0 to 1.
   *
   * @throws RangeError unless 0 < initial ≤ maximum.
   */
  constructor(clock: Clock, random: () => number, options: CooldownOptions = {}) {
    const { initial = 10_000, maximum = 300_000 } = options;
    refuseUnknownOptions("set a cooldown", options, ["initial", "maximum"]);
    if (!(initial > 0 && initial <= maximum)) {
      throw new RangeError(`Cannot set a cooldown: expected 0 < initial <= maximum: ${initial}, ${maximum}`);
    }
    this.#clock = clock;
    this.#random = random;
    this.#initial = initial;
    this.#maximum = maximum;
  }

  /** Counts a failure and returns it, with the error as callers see it: `model_load_failed`, or `out_of_memory`. */
  fail(base: ResolvedBase, cause: unknown): Failure {
    const now = this.#clock.monotonic();
    const before = this.#before(base, now);
    const duration = before ? Math.min(2 * before.duration, this.#maximum) : this.#initial;
    const { permanent, message, code } = cause instanceof ModelError
      ? cause
      : { permanent: false, message: `Cannot load ${base.name}: ${messageOf(cause)}`, code: undefined };
    const rest = permanent ? Infinity : duration * (1 + JITTER * (2 * this.#random() - 1));
    const error = new ModelError(code === "out_of_memory" ? code : "model_load_failed", message, {
      cause,
      permanent,
      ...(!permanent && { retryAfter: rest }),
    });
    const at = this.#clock.now();
    const failure: Resting = { base, error, at, retryAt: at + rest, duration, until: now + rest };
    this.#resting.set(base.identity, failure);
    return failure;
  }

  /** The error for a base that still rests, or `undefined` when it may be tried. */
  check(base: ResolvedBase): ModelError | undefined {
    const resting = this.#resting.get(base.identity);
    const remaining = resting === undefined ? 0 : resting.until - this.#clock.monotonic();
    if (resting === undefined || remaining <= 0) return undefined;
    const { code, message, permanent } = resting.error;
    const options = { cause: resting.error, permanent };
    return new ModelError(code, message, permanent ? options : { ...options, retryAfter: remaining });
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

  /** Its last failure, if that was not too long ago to be held against it. */
  #before(base: ResolvedBase, now: Milliseconds): Resting | undefined {
    const before = this.#resting.get(base.identity);
    return before !== undefined && before.until + this.#maximum >= now ? before : undefined;
  }
}
