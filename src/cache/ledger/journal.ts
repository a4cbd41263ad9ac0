/**
 * What the cache did, for people: counts, the last failure, and events for whoever listens. A cache that fails quietly
 * is found out by the bill.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { DailyLedger } from "../../store/store.ts";
import { type LastError, Tallies } from "./statistics.ts";

/** Something an operator may want to know. Requests and answers are never in it. */
export type CacheEvent =
  | {
    readonly type: "lookup_failed" | "write_failed" | "revalidation_failed";
    readonly model: string;
    readonly error: unknown;
  }
  | { readonly type: "corrupt"; readonly model: string }
  | { readonly type: "bypassed" | "not_stored"; readonly model: string; readonly why: string };

/** Counts are handed to the store's ledger this long after the first of them. */
const POSTED_AFTER: Milliseconds = 1000;
const DAY: Milliseconds = 86_400_000;

/** Counts and tells. */
export class Journal {
  readonly tallies: Tallies;
  readonly #clock: Clock;
  readonly #report: (event: CacheEvent) => void;
  readonly #ledger: DailyLedger | undefined;
  readonly #ended = new AbortController();
  #lastError: LastError | null = null;
  #isDue = false;
  /** The day of what is counted now, in days since 1970. */
  #day: number;

  /** `ledger` is where counts are kept beyond this process, if anywhere. */
  constructor(clock: Clock, report: (event: CacheEvent) => void, ledger?: DailyLedger) {
    this.#clock = clock;
    this.#report = report;
    this.#ledger = ledger;
    this.#day = this.#today();
    this.tallies = new Tallies(() => this.#postLater());
  }

  /** Hands to the ledger what it was not told of. */
  post(): void {
    if (this.#ledger === undefined) return;
    const day = new Date(this.#day * DAY).toISOString().slice(0, 10);
    try {
      for (const [model, amounts] of this.tallies.takeNew()) {
        if (Object.keys(amounts).length > 0) this.#ledger.add({ model, day, amounts });
      }
    } catch (error) {
      this.remember(error);
    }
  }

  /** Posts for the last time. */
  close(): void {
    this.#ended.abort();
    this.post();
  }

  /** The store's last failure. */
  get lastError(): LastError | null {
    return this.#lastError;
  }

  /** Tells whoever listens. A listener that throws must not cost an answer. */
  tell(event: CacheEvent): void {
    try {
      this.#report(event);
    } catch {
      // Not ours to handle, and nobody here to hand it to.
    }
  }

  #today(): number {
    return Math.floor(this.#clock.now() / DAY);
  }

  /** Called before each count. */
  #postLater(): void {
    if (this.#ledger === undefined) return;
    const today = this.#today();
    if (today !== this.#day) {
      // What was counted until now belongs to the day that has ended.
      this.post();
      this.#day = today;
    }
    if (this.#isDue || this.#ended.signal.aborted) return;
    this.#isDue = true;
    const due = this.#clock.sleep(POSTED_AFTER, { signal: this.#ended.signal, background: true });
    due.then(() => {
      this.#isDue = false;
      this.post();
    }, () => {});
  }

  /** Remembers a failure of the store. */
  remember(error: unknown): void {
    this.#lastError = { message: messageOf(error), time: this.#clock.now() };
  }
}
