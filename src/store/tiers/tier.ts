/**
 * One tier, as the others see it: what takes longer than its deadline has failed, and what fails again and again is left
 * alone for a while ({@link ./rest.ts}), so that a dead tier does not cost its deadline at every call. One model whose
 * entries cannot be had, such as a broken database, is left alone by itself.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { MaybePromise, Store } from "../store.ts";
import { isRefusal } from "./refusals.ts";
import { Rest } from "./rest.ts";

/** What errs later than this part of its deadline fails like what does not answer at all. */
const LATE = 0.5;
/** Models left alone at most; beyond that the one longest so is tried again. */
const MOST_MODELS = 1024;
/** Calls for which nobody waits: a store that never answers keeps what it was given. */
const MOST_OFFERS = 256;
/** A tier with a deadline is closed for so long at least: it may have answers to write out. */
const CLOSING: Milliseconds = 30_000;
/** No timer runs for longer. */
const LONGEST_TIMER: Milliseconds = 2 ** 31 - 1;

/** How to ask a tier. */
export interface Asking<T> {
  /** What is tried, for messages: `look up answers`. */
  readonly tried: string;
  /** Whose entries it is about, if one model's. */
  readonly model?: string;
  /** How many times its deadline it may take: what goes over all that is stored takes longer. 1 by default. */
  readonly patience?: number;
  /** Gets the answer that is still to come when the deadline has passed; it may never, or be an error. */
  readonly late?: (answer: Promise<T>) => void;
}

/** A call under way. */
interface Call {
  readonly model: string | undefined;
  /** From when on an error counts as no answer, by the monotonic clock. */
  readonly lateFrom: Milliseconds;
  /** Whether it tries what is left alone: the tier, or the model. */
  readonly isTrial: boolean;
  readonly isTrialOfModel: boolean;
}

/** A store behind others, or in front of them. */
export class Tier {
  readonly store: Store;
  /**
   * Requests, by their places ({@link ../place.ts}), of which this tier has an answer that was replaced where others are:
   * what it says of them is nothing to go by. Each one stands for an answer that was paid for, so they are few. Each has
   * an object of its own, by which whoever put it here knows it again.
   */
  readonly outdated: Map<string, object> = new Map<string, object>();
  #offers = 0;
  readonly #clock: Clock;
  readonly #deadline: Milliseconds;
  readonly #rest: Rest;
  /** Of calls about one model, and of those about all. */
  readonly #restOf = new Map<string | undefined, Rest>();

  /** `deadline` is `Infinity` where it may take as long as it takes. */
  constructor(store: Store, clock: Clock, deadline: Milliseconds) {
    this.store = store;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#rest = new Rest(clock);
  }

  /** Whether the next call, about a model's entries if one is named, would be refused. */
  isLeftAlone(model?: string): boolean {
    return this.#rest.isLeftAlone || this.#restOf.get(model)?.isLeftAlone === true;
  }

  /**
   * Has the store do something.
   *
   * @throws CacheError always, whatever the store threw: `unavailable` when it is left alone, or took too long.
   */
  ask<T>(work: (store: Store) => MaybePromise<T>, asking: Asking<T>): MaybePromise<T> {
    const { tried, model, patience = 1 } = asking;
    const restOf = this.#restOf.get(model);
    if (this.#rest.isLeftAlone) throw this.#leftAlone(tried, this.#rest);
    if (restOf?.isLeftAlone) throw this.#leftAlone(tried, restOf);
    const call = {
      model,
      lateFrom: this.#clock.monotonic() + this.#deadline * patience * LATE,
      isTrial: this.#rest.begin(),
      isTrialOfModel: restOf?.begin() ?? false,
    };
    let answer: MaybePromise<T>;
    try {
      answer = work(this.store);
    } catch (error) {
      throw this.#failed(error, tried, call);
    }
    if (answer instanceof Promise) return this.#inTime(answer, asking, call);
    this.#succeeded(call);
    return answer;
  }

  /**
   * Hands the store something while it is left alone, for which nobody waits: one that keeps answers until its server is
   * back still gets them.
   *
   * @throws what the store throws; `refusal` when too many such calls are under way.
   */
  async offer(work: (store: Store) => MaybePromise<void>, refusal: unknown): Promise<void> {
    if (this.#offers >= MOST_OFFERS) throw refusal;
    this.#offers++;
    try {
      await work(this.store);
    } finally {
      this.#offers--;
    }
  }

  /**
   * Closes the store.
   *
   * @throws CacheError `unavailable` when that takes too long; what the store throws.
   */
  async close(): Promise<void> {
    const patience = Math.max(1, CLOSING / this.#deadline);
    await this.#within(Promise.resolve(this.store.close()), { tried: "close what is stored", patience });
  }

  async #inTime<T>(answer: Promise<T>, asking: Asking<T>, call: Call): Promise<T> {
    try {
      const inTime = await this.#within(answer, asking);
      this.#succeeded(call);
      return inTime;
    } catch (error) {
      throw this.#failed(error, asking.tried, call);
    }
  }

  /** While somebody waits for it, the process must not end for want of anything else to do. */
  async #within<T>(answer: Promise<T>, { tried, patience = 1, late }: Asking<T>): Promise<T> {
    const deadline = this.#deadline * patience;
    if (deadline > LONGEST_TIMER) return await answer;
    const ended = new AbortController();
    let isOver = false;
    const overdue = async (): Promise<never> => {
      await this.#clock.sleep(deadline, { signal: ended.signal });
      // After a busy second, what has arrived meanwhile is looked at only now.
      await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
      isOver = true;
      throw new CacheError("unavailable", `Cannot ${tried} in ${this}: it took longer than ${deadline} ms`);
    };
    try {
      return await Promise.race([answer, overdue()]);
    } catch (error) {
      // What it answers later is of no use to who waits here, and must not go unhandled.
      if (isOver) {
        answer.catch(() => {});
        late?.(answer);
      }
      throw error;
    } finally {
      ended.abort();
    }
  }

  #succeeded({ model }: Call): void {
    this.#rest.succeeded();
    this.#restOf.delete(model);
  }

  #failed(cause: unknown, tried: string, call: Call): CacheError {
    const error = cause instanceof CacheError ? cause : this.#wrapped(cause, tried);
    if (isRefusal(error)) {
      this.#succeeded(call);
    } else if (this.#clock.monotonic() >= call.lateFrom) {
      this.#rest.failed(error, call.isTrial);
      // It was no answer about the model.
      if (call.isTrialOfModel) this.#restOf.get(call.model)?.failed(error, true);
    } else {
      this.#rest.succeeded();
      this.#failedFor(call, error);
    }
    return error;
  }

  #failedFor({ model, isTrialOfModel }: Call, error: CacheError): void {
    const rest = this.#restOf.get(model) ?? new Rest(this.#clock);
    rest.failed(error, isTrialOfModel);
    this.#restOf.delete(model);
    this.#restOf.set(model, rest);
    const [longest] = this.#restOf.keys();
    if (this.#restOf.size > MOST_MODELS) this.#restOf.delete(longest);
  }

  #wrapped(cause: unknown, tried: string): CacheError {
    const message = messageOf(cause);
    return new CacheError("unavailable", `Cannot ${tried} in ${this}: ${message}`, { cause });
  }

  #leftAlone(tried: string, { left, lastError }: Rest): CacheError {
    const message = `Cannot ${tried} in ${this}: it is left alone for another ${Math.ceil(left / 1000)} s, since it ` +
      `failed time and again, last with: ${lastError?.message}`;
    return new CacheError("unavailable", message, { cause: lastError });
  }

  toString(): string {
    return `the tier ${this.store.name} (${this.store.location})`;
  }
}
