/** A clock that stands still until a test moves it. */

import { setImmediate } from "node:timers";
import type { Clock, Milliseconds, SleepOptions } from "../../src/runtime/runtime.ts";

interface Sleeper {
  readonly until: Milliseconds;
  readonly wake: () => void;
}

/** Starts on 2026-01-01T00:00:00Z. */
export class ManualClock implements Clock {
  #now: Milliseconds = Date.UTC(2026, 0, 1);
  #sleepers: Sleeper[] = [];

  now(): Milliseconds {
    return this.#now;
  }

  monotonic(): Milliseconds {
    return this.#now;
  }

  sleep(duration: Milliseconds, { signal }: SleepOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#sleepers.push({ until: this.#now + duration, wake: resolve });
    });
  }

  afterTurn(run: () => void): void {
    setImmediate(run);
  }

  /** Moves the time on and wakes whoever slept until then. */
  advance(duration: Milliseconds): void {
    this.#now += duration;
    const due = this.#sleepers.filter(({ until }) => until <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#now);
    for (const { wake } of due) wake();
  }
}
