/**
 * Bodies that nobody changes any more: they were parsed here, and no caller has them. What was read of one of these need
 * not be read again, while a caller's own object may have become another request since.
 *
 * @module
 */

import type { JsonObject } from "../json.ts";

const sealed = new WeakSet<JsonObject>();

/** Says that a body will stay as it is. */
export function seal(body: JsonObject): void {
  sealed.add(body);
}

/** Whether that was said of it. */
export function isSealed(body: unknown): body is JsonObject {
  return sealed.has(body as JsonObject);
}
