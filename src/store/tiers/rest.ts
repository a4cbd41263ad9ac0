/**
 * What fails again and again is left alone for a while: after three failures in a row, until one call has tried it and
 * succeeded. Nothing is retried here.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { CacheError } from "../error.ts";

/** After so many failures in a row it is left alone. */
const FAILURES = 3;
/** For so long at first, and twice as long after each trial that fails. */
const FIRST_REST: Milliseconds = 5_000;
const LONGEST_REST: Milliseconds = 60_000;

/** Whether something may be tried. */
export class Rest {
  readonly #clock: Clock;
  #failures = 0;
  #rest: Milliseconds = FIRST_REST;
  /** Until when it is left alone, by the monotonic clock; `undefined` when it is not. */
  #until: Milliseconds | undefined;
  #isTried = false;
  #lastError: CacheError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the next call has to be refused. */
  get isLeftAlone(): boolean {
    return this.#until !== undefined && (this.#isTried || this.#clock.monotonic() < this.#until);
  }

  /** For how much longer. */
  get left(): Milliseconds {
    return Math.max(0, (this.#until ?? 0) - this.#clock.monotonic());
  }

  /** Why. */
  get lastError(): CacheError | undefined {
    return this.#lastError;
  }

  /** Begins a call that is not refused; returns whether it is a trial. */
  begin(): boolean {
    this.#isTried = this.#until !== undefined;
    return this.#isTried;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#rest = FIRST_REST;
    this.#until = undefined;
    this.#isTried = false;
  }

  failed(error: CacheError, isTrial: boolean): void {
    this.#lastError = error;
    const now = this.#clock.monotonic();
    if (isTrial) {
      this.#isTried = false;
      this.#rest = Math.min(this.#rest * 2, LONGEST_REST);
      this.#until = now + this.#rest;
    } else if (++this.#failures >= FAILURES) {
      // Those that were under way when the third one failed make it no longer.
      this.#until ??= now + this.#rest;
    }
  }
}
