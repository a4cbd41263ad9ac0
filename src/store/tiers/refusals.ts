/**
 * Refusals: errors about one model's entries, which are quick and say nothing of how a tier is.
 *
 * @module
 */

import { CacheError, type CacheErrorCode } from "../error.ts";

const REFUSALS: ReadonlySet<CacheErrorCode> = new Set(["locked", "newer_schema", "foreign_file", "read_only"]);

/** Whether a store refused one model's entries, for it is somebody else's. The store itself is well. */
export function isRefusal(error: unknown): boolean {
  return error instanceof CacheError && REFUSALS.has(error.code);
}

/** The error of several to throw. A refusal stops the caller, so it takes all of them to refuse. */
export function noneAnswered(errors: readonly unknown[]): unknown {
  return errors.find((error) => !isRefusal(error)) ?? errors[0];
}
