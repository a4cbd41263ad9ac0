/**
 * Copies of what a lower tier had, put into the tiers above it, in the background: a few at a time, so that a batch of
 * thousands keeps nobody else waiting. What is put to a request meanwhile waits for its copy, which then is the next one,
 * and what was removed is not brought back.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** After so long whatever else waits has its turn. */
const LONG: Milliseconds = 4;
/** So many copies are made at once: what they read and write can be read and written together. */
const AT_ONCE = 64;
/** Copies wait with so many bytes of answers at most. What is not copied is found below the next time, too. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Work on requests, by their places ({@link ../place.ts}): on one request a piece at a time, in order. */
export class BackFill {
  readonly #clock: Clock;
  /** The last piece of work on each place. */
  readonly #last = new Map<string, Promise<unknown>>();
  /** What starts the copy that is the next one on its place. */
  readonly #waiting = new Map<string, () => void>();
  readonly #copying = new Set<Promise<void>>();
  /** Places for whose copies somebody waits. */
  readonly #urgent = new Set<string>();
  #bytes = 0;
  #running = 0;
  #isPumping = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Has a copy of so many bytes made when there is time, and resolves when it is; at once where too much is to be copied
   * already. `copy` never rejects.
   */
  copy(place: string, bytes: number, copy: () => Promise<void>): Promise<void> {
    if (this.#bytes + bytes > MOST_BYTES) return Promise.resolve();
    this.#bytes += bytes;
    const copying = this.#inTurn(place, async () => {
      await this.#start(place);
      await copy();
      this.#running--;
      this.#bytes -= bytes;
      this.#pump();
    });
    this.#copying.add(copying);
    copying.finally(() => this.#copying.delete(copying));
    return copying;
  }

  /** Does something about a request once what was begun about it before is done, and settles as that does. */
  async inTurn<T>(place: string, work: () => Promise<T>): Promise<T> {
    if (this.#last.has(place)) {
      this.#urgent.add(place);
      this.#waiting.get(place)?.();
    }
    return await this.#inTurn(place, work);
  }

  /** Resolves when nothing is copied any more. */
  async idle(): Promise<void> {
    while (this.#copying.size > 0) await Promise.all(this.#copying);
  }

  #inTurn<T>(place: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(place);
    const result = before === undefined ? work() : before.then(work);
    const done = result.then(() => {}, () => {}).then(() => {
      if (this.#last.get(place) !== done) return;
      this.#last.delete(place);
      this.#urgent.delete(place);
    });
    this.#last.set(place, done);
    return result;
  }

  /** Resolves when a copy may begin. */
  #start(place: string): Promise<void> {
    return new Promise((resolve) => {
      const start = (): void => {
        this.#waiting.delete(place);
        this.#running++;
        resolve();
      };
      if (this.#urgent.has(place)) return start();
      this.#waiting.set(place, start);
      this.#pump();
    });
  }

  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let began = -Infinity; this.#waiting.size > 0 && this.#running < AT_ONCE;) {
      if (this.#clock.monotonic() - began >= LONG) {
        await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
        began = this.#clock.monotonic();
      }
      const [next] = this.#waiting.values();
      next?.();
      // The copy is made now, as far as it can be without waiting.
      await Promise.resolve();
    }
    this.#isPumping = false;
  }
}
