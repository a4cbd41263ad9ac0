/**
 * Long work on files, a little at a time: whoever asks for thousands at once must not keep everybody else waiting.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** So many steps are made in one turn of the event loop at most. */
const MOST_STEPS = 64;
/** Nor is a step begun when those before it have taken so long. */
const LONG: Milliseconds = 4;

/** Resolves when whatever else waits has had its turn. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise<void>((resolve) => clock.afterTurn(resolve));
}

/** Tells when it is somebody else's turn. */
export class Turns {
  readonly #clock: Clock;
  #began: Milliseconds;
  #steps = 0;
  #next: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.monotonic();
  }

  /** Counts a step; whether the next one has to wait for {@link next}. */
  isOver(): boolean {
    this.#steps++;
    return this.#steps >= MOST_STEPS || this.#clock.monotonic() - this.#began >= LONG;
  }

  /** Resolves when whatever else waits has had its turn. Whoever asks at the same time gets a turn of his own. */
  next(): Promise<void> {
    this.#next = this.#next.then(async () => {
      await nextTurn(this.#clock);
      this.#began = this.#clock.monotonic();
      this.#steps = 0;
    });
    return this.#next;
  }

  /** Takes a step for each of some things. */
  async each<T>(things: Iterable<T>, step: (thing: T) => void): Promise<void> {
    for (const thing of things) {
      step(thing);
      if (this.isOver()) await this.next();
    }
  }
}
