/**
 * A cache in the words of the suite's tests, so that each test says only what it is about.
 *
 * @module
 */

import { CacheError, type CacheErrorCode } from "../../store/error.ts";
import { truth } from "../assertions.ts";
import { Provider } from "./provider.ts";
import type { CacheFacet, CacheSurface, CacheUnderTest } from "./under_test.ts";

/** Where parts of the suite register their tests. */
export interface CacheSuite {
  /** What the cache is said to have besides what every cache has. */
  readonly facets: readonly CacheFacet[];
  /** Registers a group of tests. */
  describe(part: string, tests: () => void): void;
  /** Registers a test, which gets a new, empty cache. */
  check(behaviour: string, run: (desk: Desk) => Promise<void> | void): void;
}

/** A cache with a provider behind it. */
export class Desk {
  readonly cache: CacheSurface;
  readonly provider: Provider = new Provider();
  readonly underTest: CacheUnderTest;
  readonly #opened: CacheSurface[] = [];

  constructor(underTest: CacheUnderTest) {
    this.underTest = underTest;
    this.cache = underTest.cache;
  }

  /** Moves the time on. */
  advance(duration: number): void {
    this.underTest.clock!.advance(duration);
  }

  /** A cache of somebody else's on the same store. */
  another(): Promise<CacheSurface> {
    return this.#open(this.underTest.another!);
  }

  /** A cache on the same store, after this one was closed. */
  async reopened(): Promise<CacheSurface> {
    await this.cache.close();
    return await this.#open(this.underTest.reopen!);
  }

  async #open(open: () => Promise<CacheSurface>): Promise<CacheSurface> {
    const cache = await open();
    this.#opened.push(cache);
    return cache;
  }

  /** Waits for work, and lets the time go on meanwhile if it stands still: whoever sleeps has to wake up. */
  passing<T>(work: Promise<T>): Promise<T> {
    return soon(work, () => this.underTest.clock?.advance(1));
  }

  /** Closes all that was opened and removes what is left of it. */
  async putAway(): Promise<void> {
    try {
      for (const cache of [...this.#opened, this.cache]) await cache.close();
    } finally {
      await this.underTest.cleanup();
    }
  }
}

/** Lets everything have its turn that is ready for it. */
export function turn(): Promise<void> {
  // A millisecond, which most machines make of none: at the edge a thousand turns of none are over before an answer comes.
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Turns of the event loop: a second or more. */
const PATIENCE = 1000;

/** Waits for work, but not for ever: what a faulty cache leaves hanging is to fail. `each` is called turn by turn. */
export async function soon<T>(work: Promise<T>, each: () => void = () => {}): Promise<T> {
  let isDone = false;
  const settled = (): void => void (isDone = true);
  work.then(settled, settled);
  for (let turns = 0; !isDone; turns++) {
    truth(turns < PATIENCE, "what is waited for comes");
    await turn();
    each();
  }
  return await work;
}

/** A test for errors of the cache with a code. */
export function isCacheError(code: CacheErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof CacheError && error.code === code;
}
