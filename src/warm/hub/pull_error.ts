/**
 * Why a model could not be fetched, in words that people can act on.
 *
 * @module
 */

/**
 * - `not_found`: no such repository, revision or export.
 * - `refused`: the hub wants a token, or one that may more.
 * - `unreachable`: no answer, or no whole one, however often it was asked.
 * - `corrupt`: what came has another checksum than was promised.
 * - `disk`: what came could not be written.
 */
export type PullErrorCode = "not_found" | "refused" | "unreachable" | "corrupt" | "disk";

/** A model could not be fetched. */
export class PullError extends Error {
  override readonly name = "PullError";
  /** What kind of failure this is. */
  readonly code: PullErrorCode;
  constructor(code: PullErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
