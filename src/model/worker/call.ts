/**
 * The caller's end of a call: values wait here until they are read, and reading is what lets the Worker go on.
 *
 * @module
 */

import { WINDOW } from "./protocol.ts";

/** What a call tells the Worker. */
export interface CallHooks {
  /** `count` more values were read. */
  credit(count: number): void;
  /** Nobody wants the rest. */
  cancel(): void;
}

/** Values on their way from a Worker to one reader. */
export class Call<T> implements AsyncIterableIterator<T, undefined> {
  readonly #hooks: CallHooks;
  readonly #signal: AbortSignal | undefined;
  readonly #values: T[] = [];
  readonly #readers: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  #outcome: Outcome | undefined;
  #unreported = 0;

  /** @param signal Ends the call, with its reason, as soon as it is aborted. */
  constructor(hooks: CallHooks, signal?: AbortSignal) {
    this.#hooks = hooks;
    this.#signal = signal;
    if (signal?.aborted) this.fail(signal.reason);
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Whether no more values will come. */
  get settled(): boolean {
    return this.#outcome !== undefined;
  }

  /** A value came. */
  deliver(value: T): void {
    if (this.settled) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#values.push(value);
    else reader.resolve(this.#read(value));
  }

  /** The last value has come. */
  finish(): void {
    this.#settle({ failed: false });
  }

  /** The call failed; values that came before are still read. */
  fail(error: unknown): void {
    this.#settle({ failed: true, error });
  }

  /** The next value. After an error there is nothing more. */
  next(): Promise<IteratorResult<T, undefined>> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(this.#read(value));
    if (this.#outcome?.failed) {
      const { error } = this.#outcome;
      this.#outcome = { failed: false };
      return Promise.reject(error);
    }
    if (this.#outcome !== undefined) return Promise.resolve(DONE);
    const reader = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#readers.push(reader);
    return reader.promise;
  }

  /** Ends the call at once, also under a `next` that is waiting. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#drop({ failed: false });
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #abort = (): void => this.#drop({ failed: true, error: this.#signal!.reason });

  #drop(outcome: Outcome): void {
    if (!this.settled) this.#hooks.cancel();
    this.#values.length = 0;
    this.#settle(outcome);
  }

  #settle(outcome: Outcome): void {
    if (this.settled) return;
    this.#outcome = outcome;
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const reader of this.#readers.splice(0)) this.next().then(reader.resolve, reader.reject);
  }

  #read(value: T): IteratorResult<T, undefined> {
    this.#unreported++;
    if (this.#unreported >= WINDOW / 2 && !this.settled) {
      this.#hooks.credit(this.#unreported);
      this.#unreported = 0;
    }
    return { done: false, value };
  }
}

type Outcome = { readonly failed: false } | { readonly failed: true; readonly error: unknown };

const DONE = { done: true, value: undefined } as const;
