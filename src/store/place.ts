/**
 * The name of a request among all models' requests, for stores that keep track of requests in memory.
 *
 * @module
 */

import type { Key } from "./store.ts";

/** Keys have one length, so nothing but the same key and model makes the same place. */
export function placeOf(model: string, key: Key): string {
  return String.fromCharCode.apply(undefined, key as unknown as number[]) + model;
}
