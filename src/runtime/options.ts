/**
 * Catches misspelled options by name: one that is silently not heard is found only when the bill comes. It stands here
 * because every room may import this one.
 *
 * @module
 */

/**
 * Checks that an options object has no other names than the known ones.
 *
 * @throws TypeError naming the first unknown option.
 */
export function refuseUnknownOptions(what: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`Cannot ${what}: unknown option (known: ${known.join(", ")}): ${unknown}`);
  }
}
