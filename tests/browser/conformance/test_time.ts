/**
 * A test's time, which somebody far away goes by too: a server in another process, a Worker of the page's. Only the time
 * of day is the test's own; waiting takes real time, since answers from there take the time that they take. It starts
 * when the suites' own clock does.
 */

import type { Clock, Milliseconds } from "../../../src/runtime/runtime.ts";

const START: Milliseconds = Date.UTC(2026, 0, 1);

/** A clock that shows such a time. */
export function clockOf(real: Clock, time: { now(): Milliseconds }): Clock {
  return { ...real, now: () => time.now(), monotonic: () => time.now() };
}

/** A time that has to be told to somebody, who does not know it at once. */
export class ToldTime {
  readonly #tell: (now: Milliseconds) => Promise<unknown>;
  #now: Milliseconds = START;
  /** How often it was moved, and how much of that is known there. */
  #moves = 0;
  #known = 0;
  #telling: Promise<void> | undefined;

  /** `tell` brings a new time to whom it may concern. */
  constructor(tell: (now: Milliseconds) => Promise<unknown>) {
    this.#tell = tell;
  }

  /** Milliseconds since 1970. */
  now(): Milliseconds {
    return this.#now;
  }

  /** Moves it on; what is asked from then on has to wait until it is {@link settled}. */
  advance(duration: Milliseconds): void {
    this.#now += duration;
    this.#moves++;
    // Whoever asks next hears of it when that fails.
    this.settled().catch(() => {});
  }

  /** Resolves once it is the same there, or later. Of many moves at once only the last is told. */
  async settled(): Promise<void> {
    const moves = this.#moves;
    while (this.#known < moves) await (this.#telling ??= this.#tellNow());
  }

  async #tellNow(): Promise<void> {
    const moves = this.#moves;
    try {
      await this.#tell(this.#now);
      this.#known = moves;
    } finally {
      this.#telling = undefined;
    }
  }
}

/** A time that Workers read too, in memory that they share with the page. */
export class SharedTime {
  /** What Workers are given. */
  readonly memory: SharedArrayBuffer = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT);
  readonly #cell = new Float64Array(this.memory).fill(START);

  /** Milliseconds since 1970. */
  now(): Milliseconds {
    return this.#cell[0]!;
  }

  /** Moves it on, for all at once. */
  advance(duration: Milliseconds): void {
    this.#cell[0]! += duration;
  }
}
