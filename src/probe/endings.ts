/**
 * Which errors end a whole suite. All others are the finding of the probe that met them.
 *
 * @module
 */

import { ModelError, type ModelErrorCode } from "../model/error.ts";

/** After these no other probe could be asked the same subject. */
const ENDINGS: ReadonlySet<ModelErrorCode> = new Set(["identity_changed", "model_not_found", "closed"]);

/** Throws an error on that ends the suite: it was given up, or the subject is not there, or no longer the same. */
export function rethrowEnding(error: unknown, signal: AbortSignal | undefined): void {
  signal?.throwIfAborted();
  if (error instanceof ModelError && ENDINGS.has(error.code)) throw error;
  if (error instanceof Error && error.name === "AbortError") throw error;
}
