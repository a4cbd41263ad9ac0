/**
 * What the cache did, for people: counts, the last failure, and events for whoever listens. A cache that fails quietly
 * is found out by the bill.
 *
 * @module
 */

import type { Clock } from "../runtime/runtime.ts";
import { type LastError, Tallies } from "./statistics.ts";

/** Something an operator may want to know. Requests and answers are never in it. */
export type CacheEvent =
  | { readonly type: "lookup_failed" | "write_failed"; readonly model: string; readonly error: unknown }
  | { readonly type: "corrupt"; readonly model: string }
  | { readonly type: "bypassed" | "not_stored"; readonly model: string; readonly why: string };

/** Counts and tells. */
export class Journal {
  readonly tallies: Tallies = new Tallies();
  readonly #clock: Clock;
  readonly #report: (event: CacheEvent) => void;
  #lastError: LastError | null = null;

  constructor(clock: Clock, report: (event: CacheEvent) => void) {
    this.#clock = clock;
    this.#report = report;
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

  /** Remembers a failure of the store. */
  remember(error: unknown): void {
    this.#lastError = { message: messageOf(error), time: this.#clock.now() };
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
