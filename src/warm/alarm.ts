/**
 * One moment to wake up at, moved as often as need be. It does not keep the process alive.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../runtime/runtime.ts";

/** Timers count in 31 bits; what is longer they take for no time at all. */
const LONGEST_SLEEP: Milliseconds = 2 ** 31 - 1;

/** Rings once at a moment. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #due: Milliseconds = Infinity;
  #waiting = new AbortController();

  /** `ring` is called when it is time. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `due` on the monotonic clock, and at no other time; `Infinity`: not at all. */
  set(due: Milliseconds): void {
    if (due === this.#due) return;
    this.#due = due;
    this.#waiting.abort();
    if (due === Infinity) return;
    this.#waiting = new AbortController();
    const duration = Math.min(Math.max(0, due - this.#clock.monotonic()), LONGEST_SLEEP);
    this.#clock.sleep(duration, { signal: this.#waiting.signal, background: true }).then(() => {
      this.#due = Infinity;
      if (this.#clock.monotonic() < due && duration === LONGEST_SLEEP) this.set(due);
      else this.#ring();
    }, () => {});
  }
}
