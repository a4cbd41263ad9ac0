/**
 * One at a time, in the order of asking. A GPU execution provider fails or hangs when two runs overlap, and on one
 * WASM thread they would not be faster; first come first served also shares the model fairly between generations.
 *
 * @module
 */

/** A lock with a queue. */
export class Fifo {
  #last: Promise<unknown> = Promise.resolve();
  #begun = 0;
  #ended = 0;

  /** The number of the work that is being done, no two with the same; `undefined` when there is none. */
  get current(): number | undefined {
    return this.#begun > this.#ended ? this.#begun : undefined;
  }

  /** Runs `work` when everything asked for before has ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      this.#begun++;
      try {
        return await work();
      } finally {
        this.#ended++;
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
