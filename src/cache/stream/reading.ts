/**
 * A stream as the one who reads it has it. He may leave at any time, by `return` or by his signal, and has left at once:
 * a generator that waits for its next item would only hear of it when that has come, which may be never.
 *
 * @module
 */

import { unlessAborted } from "../flow/single_flight.ts";

/** A place at a stream. */
export interface Seat<T> {
  /** What comes; it ends once {@link Seat.leave} was called. */
  readonly items: AsyncIterator<T>;
  /** Gives the place up; called once. */
  leave(): void;
  /** Whether it is known what becomes of the stream. What comes of it then is told after the landing, too. */
  isConcluded?(): boolean;
}

/** How to read. */
export interface ReadingOptions {
  /** Ends the reading, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The reader hears of the end, and of what is none, only after this, which is never rejected: whoever then asks again
   * finds the answer stored, and whoever tries again does not meet the call that has failed.
   */
  readonly landed?: Promise<unknown>;
}

/** Reads from a place at a stream. */
export class Reading<T> implements AsyncIterableIterator<T, undefined> {
  readonly #seat: Seat<T>;
  readonly #signal: AbortSignal | undefined;
  readonly #landed: Promise<unknown> | undefined;
  #hasLeft = false;
  #gaveUp = false;

  /** A signal that was aborted before gives the place up as well. */
  constructor(seat: Seat<T>, { signal, landed }: ReadingOptions = {}) {
    this.#seat = seat;
    this.#signal = signal;
    this.#landed = landed;
    if (signal?.aborted) this.#giveUp();
    else signal?.addEventListener("abort", this.#giveUp);
  }

  /** @throws what the stream throws; the signal's reason. */
  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#gaveUp) throw this.#signal!.reason;
    if (this.#hasLeft) return DONE;
    try {
      const next = await unlessAborted(this.#seat.items.next(), this.#signal);
      if (next.done || this.#seat.isConcluded?.()) await this.#landing();
      if (!next.done) return next;
    } catch (error) {
      await this.#landing().catch(() => {});
      // Who has left does not hear of it.
      if (!this.#hasLeft || this.#gaveUp) {
        this.#leave();
        throw error;
      }
    }
    // Who has given up must not take that for the end.
    if (this.#gaveUp) throw this.#signal!.reason;
    this.#leave();
    return DONE;
  }

  /** Leaves. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#leave();
    return Promise.resolve(DONE);
  }

  /** {@link Reading} */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async #landing(): Promise<void> {
    if (!this.#hasLeft) await unlessAborted(Promise.resolve(this.#landed), this.#signal);
  }

  readonly #giveUp = (): void => {
    this.#gaveUp = true;
    this.#leave();
  };

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#signal?.removeEventListener("abort", this.#giveUp);
    this.#seat.leave();
  }
}

const DONE = { done: true, value: undefined } as const;
