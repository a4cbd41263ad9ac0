/**
 * Calls that have not been answered yet, so that a cache is not closed under them.
 *
 * @module
 */

import type { MaybePromise } from "../../store/store.ts";

/** The calls under way. */
export class UnderWay {
  readonly #calls = new Set<Promise<unknown>>();

  /** How many there are. */
  get size(): number {
    return this.#calls.size;
  }

  /** Makes a call, which is under way unless it is answered at once. */
  run<T>(call: () => MaybePromise<T>): MaybePromise<T> {
    const running = call();
    if (!(running instanceof Promise)) return running;
    this.#calls.add(running);
    const done = (): void => void this.#calls.delete(running);
    running.then(done, done);
    return running;
  }

  /** Resolves when those that are under way now have been answered, however they fare. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#calls);
  }
}
