/**
 * Bytes as text for people and file names. It stands here because every room may import this one.
 *
 * @module
 */

/** Bytes in hexadecimal, lower-case. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
