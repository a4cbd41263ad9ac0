/**
 * A clock for tests: expiry, claims and patience are about time, and a test that waits for time is slow and lies.
 *
 * @module
 */

import type { Clock, Milliseconds, SleepOptions } from "../runtime/runtime.ts";

interface Sleeper {
  readonly until: Milliseconds;
  readonly wake: () => void;
}

// Servers have it, browsers do not.
const { setImmediate = (run: () => void): unknown => setTimeout(run) } = globalThis as {
  setImmediate?: (run: () => void) => unknown;
};

/** A clock that stands still until a test moves it. Starts on 2026-01-01T00:00:00Z. */
export class ManualClock implements Clock {
  #now: Milliseconds = Date.UTC(2026, 0, 1);
  #sleepers: Sleeper[] = [];

  /** The time it was set to, in milliseconds since 1970. */
  now(): Milliseconds {
    return this.#now;
  }

  /** The same time: this clock goes back only when a test says so. */
  monotonic(): Milliseconds {
    return this.#now;
  }

  /** Resolves once {@link advance} has come so far. */
  sleep(duration: Milliseconds, { signal }: SleepOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#sleepers.push({ until: this.#now + duration, wake: resolve });
    });
  }

  /** Runs something in a later turn of the real event loop. */
  afterTurn(run: () => void): void {
    setImmediate(run);
  }

  /** Moves the time on, or back, and wakes whoever slept until then. */
  advance(duration: Milliseconds): void {
    this.#now += duration;
    const due = this.#sleepers.filter(({ until }) => until <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#now);
    for (const { wake } of due) wake();
  }
}
