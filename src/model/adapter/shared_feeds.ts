/**
 * Tensors that several requests use at once, and that may be needed again: what is idle stays for a while, and what is
 * let go of stays until the last request is done with it. On a GPU nothing else would ever free them.
 *
 * @module
 */

import type { Feeds } from "../graph/graph.ts";

/** Tensors in use. */
export interface FeedsLease {
  readonly feeds: Feeds;
  /** Says that no further run will use them. Twice is no error. */
  release(): void;
}

interface Shared {
  readonly feeds: Promise<Feeds>;
  uses: number;
}

/** Tensors by key, the one that was not used for longest first. */
export class SharedFeeds {
  readonly #dispose: (feeds: Feeds) => void;
  #idleLimit: number;
  readonly #shared = new Map<string, Shared>();

  /**
   * @param idleLimit How many nobody uses may stay.
   */
  constructor(idleLimit: number, dispose: (feeds: Feeds) => void) {
    this.#idleLimit = idleLimit;
    this.#dispose = dispose;
  }

  /** Takes those of a key, which are made when they are not there. */
  async take(key: string, make: () => Promise<Feeds>): Promise<FeedsLease> {
    const shared = this.#shared.get(key) ?? { feeds: make(), uses: 0 };
    shared.uses++;
    this.#shared.delete(key);
    this.#shared.set(key, shared);
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      shared.uses--;
      this.#endIdle();
    };
    try {
      return { feeds: await shared.feeds, release };
    } catch (error) {
      if (this.#shared.get(key) === shared) this.#shared.delete(key);
      throw error;
    }
  }

  /** Lets go of all, now or when they are released. */
  close(): void {
    this.#idleLimit = 0;
    this.#endIdle();
  }

  #endIdle(): void {
    const idle = [...this.#shared].filter(([, { uses }]) => uses === 0);
    for (const [key, { feeds }] of idle.slice(0, Math.max(idle.length - this.#idleLimit, 0))) {
      this.#shared.delete(key);
      feeds.then(this.#dispose, () => {});
    }
  }
}
