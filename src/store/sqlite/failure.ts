/**
 * What went wrong below, in the words of the store's contract.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { SqliteError } from "../../sqlite/error.ts";
import type { CacheErrorCode } from "../error.ts";
import { CacheError } from "../error.ts";

const CODES: Readonly<Record<string, CacheErrorCode>> = {
  SQLITE_BUSY: "locked",
  SQLITE_LOCKED: "locked",
  SQLITE_PROTOCOL: "locked",
  SQLITE_CORRUPT: "corrupt",
  SQLITE_NOTADB: "corrupt",
};

/** Failures after which the connection is still good. */
const HARMLESS: ReadonlySet<string> = new Set([
  "SQLITE_BUSY",
  "SQLITE_PROTOCOL",
  "SQLITE_FULL",
  "SQLITE_CONSTRAINT",
  "SQLITE_TOOBIG",
]);

/** What to do about a broken file: the rest of it is not lost (docs/repair.md). */
const ADVICE = "close the cache and run `deno task cache repair`, which keeps what is there";

/** Any failure as a {@link CacheError}. */
export function toCacheError(error: unknown): CacheError {
  if (error instanceof CacheError) return error;
  const code = error instanceof SqliteError ? CODES[error.code] : undefined;
  const message = code === "corrupt" ? `${messageOf(error)}; ${ADVICE}` : messageOf(error);
  return new CacheError(code ?? "unavailable", message, { cause: error });
}

/** Whether the connection has to be given up, so that the next use starts from what is on the disk. */
export function breaksConnection(error: unknown): boolean {
  return !(error instanceof CacheError) && !(error instanceof SqliteError && HARMLESS.has(error.code));
}

/** The error for a lock that somebody else kept for all the time there was. */
export function stillBusy(tried: string, waited: Milliseconds, cause: unknown): CacheError {
  const reason = waited > 0 ? `somebody else kept it locked for ${waited} ms` : "somebody else has it locked";
  return new CacheError("locked", `Cannot ${tried}: ${reason}; wait for them, or raise lockTimeout`, { cause });
}
