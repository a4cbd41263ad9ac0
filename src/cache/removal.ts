/**
 * Which entries to remove: what callers may say, and what that comes to for a store.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Outcome, Selection } from "../store/store.ts";
import { checkOutcome } from "./answer/policy.ts";

/** Which entries to remove: those that fit everything that is said. */
export interface PruneOptions {
  /** Stored longer ago than this. */
  readonly olderThan?: Milliseconds;
  /** Of requests to this model. */
  readonly model?: string;
  /** Of requests in this namespace, and no other. */
  readonly namespace?: string;
  /** That ended so. */
  readonly outcome?: Outcome;
  /** Of requests with this tag. */
  readonly tag?: string;
}

const PRUNE_OPTIONS = ["olderThan", "model", "namespace", "outcome", "tag"];

/**
 * The entries that fit all that is said; `now` is what their age is counted from.
 *
 * @throws TypeError or RangeError for what means nothing.
 */
export function pruned(options: PruneOptions, now: Milliseconds): Selection {
  refuseUnknownOptions("prune a cache", options, PRUNE_OPTIONS);
  const { olderThan, ...rest } = options;
  if ("olderThan" in options && !(typeof olderThan === "number" && olderThan >= 0)) {
    throw new RangeError(`Cannot prune what is older than no number of milliseconds: ${String(olderThan)}`);
  }
  for (const [name, value] of Object.entries(rest)) {
    if (typeof value !== "string") {
      throw new TypeError(`Cannot prune by a ${name} that is no string: ${String(value)}`);
    }
  }
  if ("outcome" in options) checkOutcome(options.outcome);
  return { ...rest, ...(olderThan !== undefined && { createdBefore: now - olderThan }) };
}

/**
 * The entries in a namespace.
 *
 * @throws TypeError
 */
export function cleared(namespace: unknown): Selection {
  if (typeof namespace !== "string") throw new TypeError(`Cannot clear a namespace that is no string: ${namespace}`);
  return { namespace };
}

/**
 * The entries with a tag.
 *
 * @throws TypeError
 */
export function tagged(tag: unknown, namespace: unknown): Selection {
  if (typeof tag !== "string" || tag === "") throw new TypeError(`Cannot invalidate a tag that is no word: ${tag}`);
  if (typeof namespace !== "string") {
    throw new TypeError(`Cannot invalidate a tag in a namespace that is no string: ${namespace}`);
  }
  return { tag, namespace };
}
