/**
 * Numbers that are never given twice in a process, so that equal ones mean that nothing was committed in between, even
 * where a database was closed and opened again.
 *
 * @module
 */

let last = 0;

/** A number that was never returned before. */
export function newStamp(): number {
  return ++last;
}
