/**
 * What is wrong with a pack, in the words of the store's contract, with what to do about it.
 *
 * @module
 */

import { toCacheError } from "../file/failure.ts";
import { CacheError } from "../error.ts";

const ANEW = "take it anew from where it was made, or use what is sound of it: export and import what verifyPack names";

/** Something in a pack is not as it was written. */
export function broken(what: string, why: string, cause?: unknown): CacheError {
  return new CacheError("corrupt", `Cannot read ${what}: ${why}; ${ANEW}`, cause === undefined ? {} : { cause });
}

/** Any failure as a {@link CacheError}; the caller's own mistakes and an aborted signal's reason stay what they are. */
export function failed(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted === true && error === signal.reason) return error;
  if (error instanceof RangeError || error instanceof TypeError) return error;
  return toCacheError(error);
}
