/**
 * Fields of our own in OpenAI's requests: `keep_alive`, in Ollama's words, and `only_if_warm`. They say how a model is to
 * be kept, not what it is to answer, so the cache never sees them.
 *
 * @see https://github.com/ollama/ollama/blob/main/docs/api.md
 * @module
 */

import type { LeaseOptions } from "../warm/backend_cache.ts";
import { parseKeepAlive } from "../warm/keep_alive.ts";
import { invalidRequest } from "./errors.ts";

/** The names of the fields. */
export const OWN_FIELDS: readonly string[] = ["keep_alive", "only_if_warm"];

/** How a request wants its model kept. */
export interface Residency {
  /** The model is not to be loaded for it. */
  readonly onlyIfWarm: boolean;
  /** How to lease it. */
  readonly lease: Pick<LeaseOptions, "keepAlive">;
}

/**
 * Takes the fields out of a body.
 *
 * @throws ApiError 400 with the field at fault.
 */
export function readOwnFields(
  { keep_alive: keepAlive = null, only_if_warm: onlyIfWarm = null, ...body }: Record<string, unknown>,
): { readonly body: Record<string, unknown>; readonly residency: Residency } {
  if (onlyIfWarm !== null && typeof onlyIfWarm !== "boolean") {
    throw invalidRequest("Invalid value for 'only_if_warm': expected true or false", "only_if_warm");
  }
  return { body, residency: { onlyIfWarm: onlyIfWarm ?? false, lease: readKeepAlive(keepAlive) } };
}

function readKeepAlive(value: unknown): Residency["lease"] {
  if (value === null) return {};
  try {
    parseKeepAlive(value as number | string);
    return { keepAlive: value as number | string };
  } catch (error) {
    throw invalidRequest(`Invalid value for 'keep_alive': ${(error as Error).message}`, "keep_alive");
  }
}
