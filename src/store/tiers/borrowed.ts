/**
 * Marks what a tier below the first had a say in: the first tier's stamp tells nothing of it, so the front must not go by
 * that.
 *
 * @module
 */

import type { Found } from "../store.ts";

const borrowed = new WeakSet<Found>();

/** Marks what was found, as something of one's own. */
export function borrow(found: Found): Found {
  const own = { ...found };
  borrowed.add(own);
  return own;
}

/** Whether it was marked. */
export function isBorrowed(found: Found): boolean {
  return borrowed.has(found);
}
