/**
 * Trying again: a model is gigabytes, and no connection is so good that none of it ever breaks.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { PullError } from "./pull_error.ts";

/** How patiently to try again. */
export interface RetryOptions {
  /** How many attempts in a row may come to nothing. Default: 6. */
  readonly attempts?: number;
  /** The wait before the second attempt, doubled each time, and made longer by up to half at random. Default: 1 s. */
  readonly firstWait?: Milliseconds;
  /** No wait is longer, whatever the hub asks for. Default: 5 min. */
  readonly longestWait?: Milliseconds;
  /** At least 0, less than 1. */
  readonly random?: () => number;
  /** Hears why an attempt came to nothing, and when the next one is. */
  readonly onFailure?: ((message: string) => void) | undefined;
}

/** A failure that may pass. */
export class PassingError extends Error {
  /** What the server said of when to come back: the header `Retry-After`. */
  readonly retryAfter: string | undefined;
  constructor(message: string, retryAfter?: string) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** Whether a status says that the same request may be answered later. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** Attempts at one piece of work. */
export class Retries {
  readonly #clock: Clock;
  readonly #attempts: number;
  readonly #firstWait: Milliseconds;
  readonly #longestWait: Milliseconds;
  readonly #random: () => number;
  readonly #onFailure: ((message: string) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;

  constructor(clock: Clock, options: RetryOptions, signal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#attempts = options.attempts ?? 6;
    this.#firstWait = options.firstWait ?? 1000;
    this.#longestWait = options.longestWait ?? 300_000;
    this.#random = options.random ?? Math.random;
    this.#onFailure = options.onFailure;
    this.#signal = signal;
  }

  /** Something came: what fails from now on fails for the first time. */
  progress(): void {
    this.#failures = 0;
  }

  /**
   * Attempts until it succeeds, or fails with something else than a {@link PassingError}.
   *
   * @throws PullError `unreachable` when it came to nothing too often; the signal's reason; what `attempt` throws.
   */
  async run<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (!(error instanceof PassingError)) throw error;
        if (++this.#failures >= this.#attempts) {
          const message = `Cannot ${what}, tried ${this.#attempts} times: ${error.message}`;
          throw new PullError("unreachable", message, { cause: error });
        }
        const wait = this.#wait(error);
        this.#onFailure?.(`Cannot ${what} so far: ${error.message}; tried again in ${(wait / 1000).toFixed(1)} s`);
        await this.#clock.sleep(wait, this.#signal === undefined ? {} : { signal: this.#signal });
      }
    }
  }

  #wait({ retryAfter }: PassingError): Milliseconds {
    const asked = this.#asked(retryAfter);
    const wait = this.#firstWait * 2 ** (this.#failures - 1) * (1 + this.#random() / 2);
    return Math.min(Math.max(asked ?? 0, wait), this.#longestWait);
  }

  /** Seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 */
  #asked(retryAfter: string | undefined): Milliseconds | undefined {
    if (retryAfter === undefined) return undefined;
    if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
    const date = Date.parse(retryAfter);
    return Number.isNaN(date) ? undefined : date - this.#clock.now();
  }
}
