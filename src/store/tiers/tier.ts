/**
 * One tier, as the others see it: what takes longer than its deadline has failed, and a tier that fails again and again is
 * left alone for a while, so that a dead one does not cost its deadline at every call. Nothing is retried here.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { MaybePromise, Store } from "../store.ts";
import { isRefusal } from "./refusals.ts";

/** After so many failures in a row a tier is left alone. */
const FAILURES = 3;
/** For so long at first, and twice as long after each trial that fails. */
const FIRST_REST: Milliseconds = 5_000;
const LONGEST_REST: Milliseconds = 60_000;

/** How to ask a tier. */
export interface Asking<T> {
  /** What is tried, for messages: `look up answers`. */
  readonly tried: string;
  /** How many times its deadline it may take: what goes over all that is stored takes longer. 1 by default. */
  readonly patience?: number;
  /** Gets the answer that is still to come when the deadline has passed; it may never, or be an error. */
  readonly late?: (answer: Promise<T>) => void;
}

/** A store behind others, or in front of them. */
export class Tier {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #deadline: Milliseconds;
  #failures = 0;
  #rest: Milliseconds = FIRST_REST;
  /** Until when it is left alone, by the monotonic clock; `undefined` when it is not. */
  #until: Milliseconds | undefined;
  #isTried = false;
  #lastError: CacheError | undefined;

  /** `deadline` is `Infinity` where it may take as long as it takes. */
  constructor(store: Store, clock: Clock, deadline: Milliseconds) {
    this.store = store;
    this.#clock = clock;
    this.#deadline = deadline;
  }

  /** Whether the next call would be refused. */
  get isLeftAlone(): boolean {
    return this.#until !== undefined && (this.#isTried || this.#clock.monotonic() < this.#until);
  }

  /**
   * Has the store do something.
   *
   * @throws CacheError always, whatever the store threw: `unavailable` when it is left alone, or took too long.
   */
  ask<T>(work: (store: Store) => MaybePromise<T>, asking: Asking<T>): MaybePromise<T> {
    if (this.isLeftAlone) throw this.#leftAlone(asking.tried);
    const isTrial = this.#until !== undefined;
    this.#isTried = isTrial;
    let answer: MaybePromise<T>;
    try {
      answer = work(this.store);
    } catch (error) {
      throw this.#failed(error, asking.tried, isTrial);
    }
    if (answer instanceof Promise) return this.#inTime(answer, asking, isTrial);
    this.#succeeded();
    return answer;
  }

  async #inTime<T>(answer: Promise<T>, { tried, patience = 1, late }: Asking<T>, isTrial: boolean): Promise<T> {
    const deadline = this.#deadline * patience;
    const ended = new AbortController();
    let isOver = false;
    const overdue = async (): Promise<never> => {
      await this.#clock.sleep(deadline, { signal: ended.signal, background: true });
      // After a busy second, what has arrived meanwhile is looked at only now.
      await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
      isOver = true;
      throw new CacheError("unavailable", `Cannot ${tried} in ${this}: it took longer than ${deadline} ms`);
    };
    try {
      const inTime = await (deadline === Infinity ? answer : Promise.race([answer, overdue()]));
      this.#succeeded();
      return inTime;
    } catch (error) {
      // What it answers later is of no use to who waits here, and must not go unhandled.
      if (isOver) {
        answer.catch(() => {});
        late?.(answer);
      }
      throw this.#failed(error, tried, isTrial);
    } finally {
      ended.abort();
    }
  }

  #succeeded(): void {
    this.#failures = 0;
    this.#rest = FIRST_REST;
    this.#until = undefined;
    this.#isTried = false;
  }

  #failed(cause: unknown, tried: string, isTrial: boolean): CacheError {
    const error = cause instanceof CacheError ? cause : this.#wrapped(cause, tried);
    if (isRefusal(error)) {
      this.#succeeded();
      return error;
    }
    this.#lastError = error;
    const now = this.#clock.monotonic();
    if (isTrial) {
      this.#isTried = false;
      this.#rest = Math.min(this.#rest * 2, LONGEST_REST);
      this.#until = now + this.#rest;
    } else if (++this.#failures >= FAILURES) {
      // Those that were under way when the third one failed make it no longer.
      this.#until ??= now + this.#rest;
    }
    return error;
  }

  #wrapped(cause: unknown, tried: string): CacheError {
    const message = cause instanceof Error ? cause.message : String(cause);
    return new CacheError("unavailable", `Cannot ${tried} in ${this}: ${message}`, { cause });
  }

  #leftAlone(tried: string): CacheError {
    const left = Math.max(0, (this.#until ?? 0) - this.#clock.monotonic());
    const message = `Cannot ${tried} in ${this}: it is left alone for another ${Math.ceil(left / 1000)} s, since it ` +
      `failed time and again, last with: ${this.#lastError?.message}`;
    return new CacheError("unavailable", message, { cause: this.#lastError });
  }

  toString(): string {
    return `the tier ${this.store.name} (${this.store.location})`;
  }
}
