/**
 * The one error class of the response cache.
 *
 * @module
 */

/**
 * Why a cache operation failed.
 *
 * - `locked`: another process holds the store; the message says which, and what to do.
 * - `newer_schema`: the file was written by a newer version of this program.
 * - `foreign_file`: the file is not a cache of ours, or no database at all; it was not touched.
 * - `unavailable`: the directory or file cannot be used (permissions, full disk, I/O error); `cause` has the reason.
 * - `corrupt`: the file's structure is broken.
 * - `read_only`: the store, such as a pack, takes nothing and loses nothing; put another one in front of it.
 * - `closed`: the cache was closed.
 * - `replay_miss`: the mode is `replay` and the answer is not there; the message says what comes nearest.
 * - `call_failed`: the call was made before, or by another process, and failed; `cause` has its message, and its `status`
 *   where there was one.
 * - `insufficient_samples`: the provider gave fewer valid samples than were asked for; those it gave are stored.
 */
export type CacheErrorCode =
  | "locked"
  | "newer_schema"
  | "foreign_file"
  | "unavailable"
  | "corrupt"
  | "read_only"
  | "closed"
  | "replay_miss"
  | "call_failed"
  | "insufficient_samples";

/** A cache operation failed for a reason that callers can act on. Misuse is a `TypeError` or `RangeError` instead. */
export class CacheError extends Error {
  /** `CacheError`. */
  override readonly name = "CacheError";
  /** Why, as a word a program can test. */
  readonly code: CacheErrorCode;
  /** An error with a reason for programs and a message for people. */
  constructor(code: CacheErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
