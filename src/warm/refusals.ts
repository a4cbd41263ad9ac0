/**
 * Why somebody gets no lease, in words.
 *
 * @module
 */

import type { ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Room } from "./eviction.ts";

/** The server ends. */
export function shuttingDown(): ModelError {
  return new ModelError("closed", "Cannot lease a model: the server is shutting down");
}

/** Somebody unloaded it. */
export function unloaded({ name }: ResolvedBase): ModelError {
  return new ModelError("closed", `Cannot lease a model: it was unloaded while it was loading: ${name}`);
}

/** Only a warm one would have done. */
export function notWarm({ name }: ResolvedBase): ModelError {
  return new ModelError("not_warm", `Cannot serve at once, the model is not warm or its place is waited for: ${name}`);
}

/** The limits have no place for it. */
export function noRoom({ name }: ResolvedBase, reason: string): ModelError {
  return new ModelError("no_room", `Cannot load ${name}: ${reason}`);
}

/** A room for people, less its places. */
export function inWords({ ram, gpu }: Room): string {
  const mebibytes = (bytes: number): string => bytes === Infinity ? "any" : `${Math.ceil(bytes / 2 ** 20)} MiB`;
  return gpu === 0 || gpu === Infinity
    ? `${mebibytes(ram)} of memory`
    : `${mebibytes(ram)} of memory and ${mebibytes(gpu)} on the GPU`;
}
