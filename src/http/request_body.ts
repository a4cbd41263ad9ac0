/**
 * The body of a request that is a JSON object.
 *
 * @module
 */

import type { Context } from "hono";
import { MAX_DEPTH } from "../cache/request/canonical.ts";
import { parseRequest } from "../cache/request/raw_json.ts";
import { invalidRequest } from "./api_error.ts";
import type { Limits } from "./limits/limits.ts";
import { readBytes } from "./proxy/request_bytes.ts";

/** A body that was read. */
export interface RequestBody {
  readonly body: Record<string, unknown>;
  /** Why the cache must not answer or keep it, when it cannot be keyed safely. */
  readonly unkeyable: string | undefined;
}

/**
 * Reads it.
 *
 * @throws ApiError 413 when it is longer than may be; 400
 */
export async function readRequestBody(
  { req: { raw } }: Context,
  limits: Pick<Limits, "maxBodyBytes">,
): Promise<RequestBody> {
  return parse(decode(await readBytes(raw, limits)));
}

function decode(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    // Half a character and broken bytes are no question: what would be put in their place nobody asked.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalidRequest("The body of a request has to be UTF-8");
  }
}

function parse(text: string): RequestBody {
  let parsed;
  try {
    parsed = parseRequest(text);
  } catch (error) {
    throw invalidRequest((error as Error).message);
  }
  const { body, unkeyable } = parsed;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidRequest(`The body of a request has to be a JSON object: ${text.slice(0, 40)}`);
  }
  if (unkeyable !== undefined && isTooDeep(body)) {
    throw invalidRequest(`The body of a request may have ${MAX_DEPTH} objects and lists inside each other at most`);
  }
  return { body: body as Record<string, unknown>, unkeyable };
}

/** Whether a value is nested deeper than what goes on with it, by recursion and in a Worker, can follow. */
function isTooDeep(value: object): boolean {
  let level: object[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === MAX_DEPTH) return true;
    level = level.flatMap((each): unknown[] => Object.values(each)).filter(isComposite);
  }
  return false;
}

function isComposite(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
