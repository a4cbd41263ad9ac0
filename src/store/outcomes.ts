/**
 * How outcomes are numbered where a byte stands for one: in Redis, and in what a remote store and its server say to each
 * other.
 *
 * @module
 */

import type { Outcome } from "./store.ts";

/** The outcomes by number. New ones come last: what was written keeps its meaning. */
export const OUTCOMES: readonly Outcome[] = [
  "stop",
  "length",
  "tool_calls",
  "refusal",
  "content_filter",
  "empty",
  "error",
  "invalid",
];
