/**
 * Lets many pass, or one alone: a database's file can be taken out only while nobody uses the database.
 *
 * @module
 */

/** A gate. */
export class Gate {
  #passing = 0;
  #alone: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  /** Works beside others, once nobody is alone. */
  async pass<T>(work: () => T | Promise<T>): Promise<T> {
    while (this.#alone !== undefined) await this.#alone;
    this.#passing++;
    try {
      return await work();
    } finally {
      if (--this.#passing === 0) this.#emptied?.();
    }
  }

  /** Works once all others are done, and keeps them out meanwhile. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== undefined) await this.#alone;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#alone = promise;
    try {
      if (this.#passing > 0) await new Promise<void>((emptied) => this.#emptied = emptied);
      this.#emptied = undefined;
      return await work();
    } finally {
      this.#alone = undefined;
      resolve();
    }
  }
}
