/**
 * One stream, many readers. Whoever asks what is just being answered reads along: from the first item on, at a pace of
 * its own. The source is asked for the next item when the fastest reader wants it, and a reader that stands still holds
 * nobody up.
 *
 * For that all items are kept until the stream has ended and the last reader has gone, up to a bound.
 *
 * @module
 */

import { CacheError } from "../../store/error.ts";

/** How to broadcast. */
export interface BroadcastOptions<T> {
  /** What keeping an item costs, for instance its bytes; 1 by default. */
  readonly sizeOf?: (item: T) => number;
  /** What all items may cost together; beyond it the broadcast fails, and so does each reader. No bound by default. */
  readonly maxSize?: number;
  /** Aborted when the last reader has left, or the bound is passed, so that a source which waits need not. */
  readonly controller?: AbortController;
}

/** How a broadcast ended. */
export interface Finished<T> {
  /** All items that came. */
  readonly items: readonly T[];
  /**
   * - `complete`: the source ended.
   * - `abandoned`: the last reader left before the source ended. A reader may leave because its stream's own end mark
   *   came, so the items can be a whole answer all the same.
   * - `failed`: the source failed, with `error`.
   */
  readonly outcome: "complete" | "abandoned" | "failed";
  /** What the source threw. */
  readonly error?: unknown;
}

/** Lets any number of readers read a source that can be read once. */
export class Broadcast<T> {
  /** Settles once, and is never rejected. */
  readonly finished: Promise<Finished<T>>;
  readonly #source: AsyncIterator<T>;
  readonly #sizeOf: (item: T) => number;
  readonly #maxSize: number;
  readonly #controller: AbortController | undefined;
  readonly #items: T[] = [];
  readonly #settle: (finished: Finished<T>) => void;
  #size = 0;
  #readers = 0;
  #isPulling = false;
  #end: Finished<T> | undefined;
  #change = Promise.withResolvers<void>();

  /** Nothing is read from the source until a reader asks for it. */
  constructor(source: AsyncIterable<T>, options: BroadcastOptions<T> = {}) {
    const { sizeOf = () => 1, maxSize = Infinity, controller } = options;
    const { promise, resolve } = Promise.withResolvers<Finished<T>>();
    this.finished = promise;
    this.#settle = resolve;
    this.#source = source[Symbol.asyncIterator]();
    this.#sizeOf = sizeOf;
    this.#maxSize = maxSize;
    this.#controller = controller;
  }

  /**
   * A reader of all items, those that have come included. It throws the source's error after the items before it. Who
   * stops early has to say so with `return()`, as `for await` does. `undefined` when the broadcast was abandoned.
   */
  join(): AsyncIterableIterator<T> | undefined {
    if (this.#end?.outcome === "abandoned") return undefined;
    this.#readers++;
    let position = 0;
    let hasLeft = false;
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      const at = position++;
      while (!hasLeft && at >= this.#items.length && this.#end === undefined) {
        this.#pull();
        await this.#change.promise;
      }
      if (!hasLeft && at < this.#items.length) return { done: false, value: this.#items[at]! };
      const { outcome, error } = this.#end ?? {};
      if (!hasLeft && outcome === "failed") throw error;
      return { done: true, value: undefined };
    };
    const reader: AsyncIterableIterator<T> = {
      next,
      return: () => {
        if (!hasLeft) {
          hasLeft = true;
          this.#leave();
        }
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => reader,
    };
    return reader;
  }

  async #pull(): Promise<void> {
    if (this.#isPulling) return;
    this.#isPulling = true;
    try {
      const { done, value } = await this.#source.next();
      if (this.#end !== undefined) return;
      if (done) this.#finish({ items: this.#items, outcome: "complete" });
      else this.#keep(value);
    } catch (error) {
      this.#finish({ items: this.#items, outcome: "failed", error });
    } finally {
      this.#isPulling = false;
      this.#tell();
    }
  }

  #keep(item: T): void {
    this.#size += this.#sizeOf(item);
    if (this.#size <= this.#maxSize) {
      this.#items.push(item);
      return;
    }
    const error = new CacheError(
      "unavailable",
      `Cannot share a stream (it may have ${this.#maxSize} at most): ${this.#size} came; call without the cache`,
    );
    this.#finish({ items: this.#items, outcome: "failed", error });
    this.#cancel(error);
  }

  #leave(): void {
    this.#readers--;
    if (this.#readers === 0 && this.#end === undefined) {
      this.#finish({ items: this.#items, outcome: "abandoned" });
      this.#cancel(new DOMException("The last reader of a stream has left", "AbortError"));
    }
    this.#tell();
  }

  /** Nobody waits for it: a generator that is at work ends only after that, and might wait for ever. */
  async #cancel(reason: unknown): Promise<void> {
    this.#controller?.abort(reason);
    try {
      await this.#source.return?.();
    } catch {
      // How a source that nobody reads any more ends is nobody's concern.
    }
  }

  #finish(end: Finished<T>): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#settle(end);
  }

  #tell(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
