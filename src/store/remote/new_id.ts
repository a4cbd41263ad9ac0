/**
 * Ids of what is to happen once.
 *
 * @module
 */

import { ID_BYTES } from "./calls.ts";

/** An id that nobody else has. */
export function newId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(ID_BYTES));
}
