/**
 * What was thrown, in words. It stands here because every room may import this one.
 *
 * @module
 */

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
