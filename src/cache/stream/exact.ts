/**
 * Whether what was parsed is what was written. A double keeps integers up to 2^53 - 1; beyond them the digits of an
 * identifier would change on the way, and the call of a tool would be about something else.
 *
 * @module
 */

/** Whether every number in a parsed value is the one that was written, as far as can be told. */
export function isExact(value: unknown): boolean {
  if (typeof value === "number") return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== "object" || value === null || Object.values(value).every(isExact);
}
