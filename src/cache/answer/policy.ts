/**
 * The gate through which answers enter the cache. An error that is stored once is an error for ever, and an answer that
 * was cut off passes for a whole one; so what became of a request decides whether, and how long, its answer is kept.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Outcome } from "../../store/store.ts";

/** Whether answers with an outcome are kept: `store`, `never`, or stored for so long at most. */
export type Keeping = "store" | "never" | { readonly ttl: Milliseconds };

/** What is kept, by outcome; what is left out is as by default. */
export type OutcomePolicy = Readonly<Partial<Record<Outcome, Keeping>>>;

/** `length` is stored, and marked as such; errors, empty answers and those that `isValid` refuses never are. */
const DEFAULT: Readonly<Record<Outcome, Keeping>> = {
  stop: "store",
  length: "store",
  tool_calls: "store",
  refusal: "store",
  content_filter: "store",
  empty: "never",
  error: "never",
  invalid: "never",
};

/**
 * Refuses what is no outcome.
 *
 * @throws TypeError
 */
export function checkOutcome(outcome: unknown): asserts outcome is Outcome {
  if (typeof outcome === "string" && Object.hasOwn(DEFAULT, outcome)) return;
  throw new TypeError(`Cannot use an outcome (it is one of ${Object.keys(DEFAULT).join(", ")}): ${String(outcome)}`);
}

/** Decides what is kept. */
export class Gate {
  readonly #policy: Readonly<Record<Outcome, Keeping>>;

  /** @throws TypeError for an outcome that does not exist; RangeError for a `ttl` that is not positive. */
  constructor(policy: OutcomePolicy = {}) {
    for (const [outcome, keeping] of Object.entries(policy)) {
      checkOutcome(outcome);
      if (keeping === "store" || keeping === "never") continue;
      const ttl: unknown = (keeping as { ttl?: unknown } | null)?.ttl;
      if (typeof ttl !== "number" || !(ttl > 0)) {
        throw new RangeError(`Cannot keep ${outcome} (it is "store", "never" or { ttl }): ${String(keeping)}`);
      }
    }
    this.#policy = { ...DEFAULT, ...policy };
  }

  /** Whether an answer with this outcome is stored. */
  admits(outcome: Outcome): boolean {
    return this.#policy[outcome] !== "never";
  }

  /** Until when it may be served, given when it was stored and how long answers are kept as a rule. */
  expires(outcome: Outcome, created: number, ttl: Milliseconds | undefined): number | null {
    const keeping = this.#policy[outcome];
    const longest = Math.min(ttl ?? Infinity, typeof keeping === "object" ? keeping.ttl : Infinity);
    return longest === Infinity ? null : created + longest;
  }
}
