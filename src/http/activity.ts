/**
 * What the server has done since it started, for `/stats`: requests answered, and the time models worked for them.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../runtime/runtime.ts";

/** A snapshot of the counters. */
export interface ActivitySnapshot {
  readonly uptimeSeconds: number;
  /** Requests for text, whoever answered them. */
  readonly requests: number;
  /** Of these, how many a model ran for. */
  readonly runs: number;
  /** Time models ran, added up. */
  readonly runSeconds: number;
}

/** Counts requests and times runs. */
export class Activity {
  readonly #clock: Clock;
  readonly #started: Milliseconds;
  #requests = 0;
  #runs = 0;
  #runTime: Milliseconds = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#started = clock.monotonic();
  }

  /** Notes that a request came in. */
  request(): void {
    this.#requests++;
  }

  /** Notes that a model begins to work; call the result when it is done, however it ended. */
  run(): () => void {
    this.#runs++;
    return this.#time();
  }

  /** The same for a request that asks models again and again: however often it does, it is one run. */
  runInParts(): Pick<Activity, "run"> {
    let counted = false;
    return {
      run: () => {
        if (!counted) this.#runs++;
        counted = true;
        return this.#time();
      },
    };
  }

  #time(): () => void {
    const started = this.#clock.monotonic();
    return () => {
      this.#runTime += this.#clock.monotonic() - started;
    };
  }

  snapshot(): ActivitySnapshot {
    return {
      uptimeSeconds: (this.#clock.monotonic() - this.#started) / 1000,
      requests: this.#requests,
      runs: this.#runs,
      runSeconds: this.#runTime / 1000,
    };
  }
}
