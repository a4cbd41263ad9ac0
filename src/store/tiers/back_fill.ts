/**
 * Copies of what a lower tier had, put into the tiers above it, in the background: a few at a time, so that a batch of
 * thousands keeps nobody else waiting. What is put to a request meanwhile waits for its copy, and what was removed is not
 * brought back.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** After so long whatever else waits has its turn. */
const LONG: Milliseconds = 4;

/** Work on requests, by their places ({@link ./place.ts}): on one request a piece at a time, in order. */
export class BackFill {
  readonly #clock: Clock;
  /** The last piece of work on each place. */
  readonly #last = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  readonly #copying = new Set<Promise<void>>();
  #isPumping = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Has a copy made when there is time. `copy` never rejects. */
  copy(place: string, copy: () => Promise<void>): void {
    const copying = this.inTurn(place, async () => {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        if (!this.#isPumping) this.#pump();
      });
      await copy();
    });
    this.#copying.add(copying);
    copying.finally(() => this.#copying.delete(copying));
  }

  /** Does something about a request once what was begun about it before is done, and settles as that does. */
  inTurn<T>(place: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(place);
    const result = before === undefined ? work() : before.then(work);
    const done = result.then(() => {}, () => {}).then(() => {
      if (this.#last.get(place) === done) this.#last.delete(place);
    });
    this.#last.set(place, done);
    return result;
  }

  /** Resolves when nothing is copied any more. */
  async idle(): Promise<void> {
    while (this.#copying.size > 0) await Promise.all(this.#copying);
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    for (let began = -Infinity; this.#waiting.length > 0;) {
      if (this.#clock.monotonic() - began >= LONG) {
        await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
        began = this.#clock.monotonic();
      }
      this.#waiting.shift()!();
      // The copy is made now, as far as it can be without waiting.
      await Promise.resolve();
    }
    this.#isPumping = false;
  }
}
