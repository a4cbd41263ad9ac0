/**
 * What operators have ordered and what is under way for it. An order is carried out whether or not whoever gave it stays
 * to see that: a connection that breaks off must not stop a load of minutes.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { formatModelName, type ModelSpec } from "../../warm/spec.ts";
import { ApiError } from "../api_error.ts";
import { type AdminError, adminError } from "./admin_event.ts";

/** What can be ordered. */
export type Action = "load" | "unload" | "pin";

/** An order that is being carried out. */
export interface PendingOrder {
  /** What was ordered. */
  readonly action: Action;
  /** Since when, in ISO 8601. */
  readonly since: string;
}

/** An order that came to nothing. */
export interface FailedOrder extends AdminError {
  /** What was ordered. */
  readonly action: Action;
  /** When that became known, in ISO 8601. */
  readonly time: string;
}

/** How many orders may be under way; each is a request that waits. */
const MOST_PENDING = 256;

/** Of how many models the last failure is remembered. */
const MOST_FAILED = 256;

interface Order extends PendingOrder {
  readonly model: string;
  readonly done: Promise<boolean>;
}

/** Carries orders out. */
export class Orders {
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #pending = new Map<string, Order>();
  readonly #failed = new Map<string, FailedOrder>();

  /** `report` hears of orders that came to nothing. */
  constructor(clock: Clock, report: (error: unknown) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /**
   * Gives an order, or joins one that is the same.
   *
   * @returns whether it changed anything, once it is carried out; rejects when it cannot be. Need not be listened to.
   * @throws ApiError 429 when too many are under way.
   */
  give(action: Action, spec: ModelSpec, options: object, work: () => Promise<boolean>): Promise<boolean> {
    const model = formatModelName(spec);
    const key = JSON.stringify([action, model, options]);
    const same = this.#pending.get(key);
    if (same !== undefined) return same.done;
    if (this.#pending.size >= MOST_PENDING) {
      throw new ApiError(429, "invalid_request_error", `${MOST_PENDING} orders are under way: wait for some of them`, {
        code: "too_many_orders",
        headers: { "Retry-After": "10" },
      });
    }
    this.#failed.delete(model);
    const done = work().finally(() => this.#pending.delete(key));
    this.#pending.set(key, { action, since: this.#now(), model, done });
    done.catch((error) => {
      this.#failed.delete(model);
      this.#failed.set(model, { action, time: this.#now(), ...adminError(error) });
      if (this.#failed.size > MOST_FAILED) this.#failed.delete(this.#failed.keys().next().value!);
      this.#report(error);
    });
    return done;
  }

  /** What is under way for a model. */
  pending(model: string): PendingOrder[] {
    return [...this.#pending.values()].filter((order) => order.model === model)
      .map(({ action, since }) => ({ action, since }));
  }

  /** The last order for a model, if it came to nothing. */
  failed(model: string): FailedOrder | undefined {
    return this.#failed.get(model);
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}

/** Waits for something, but not for ever; `undefined` when the time is over or whoever waits has gone. */
export async function within<T>(
  work: Promise<T>,
  { clock, time, signal }: { readonly clock: Clock; readonly time: Milliseconds; readonly signal: AbortSignal },
): Promise<T | undefined> {
  const over = new AbortController();
  const leave = (): void => over.abort();
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  try {
    const late = clock.sleep(time, { signal: over.signal, background: true }).catch(() => {});
    return await Promise.race([work, late.then(() => undefined)]);
  } finally {
    signal.removeEventListener("abort", leave);
    over.abort();
  }
}
