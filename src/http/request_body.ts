/**
 * The body of a request that is a JSON object.
 *
 * @module
 */

import type { Context } from "hono";
import { parseRequest } from "../cache/request/raw_json.ts";
import { invalidRequest } from "./errors.ts";

/** A body that was read. */
export interface RequestBody {
  readonly body: Record<string, unknown>;
  /** Why the cache must not answer or keep it, when it cannot be keyed safely. */
  readonly unkeyable: string | undefined;
}

/**
 * Reads it.
 *
 * @throws ApiError 400
 */
export async function readRequestBody(context: Context): Promise<RequestBody> {
  return parse(await readText(context));
}

async function readText(context: Context): Promise<string> {
  try {
    return await context.req.text();
  } catch (error) {
    throw invalidRequest(`The body of the request broke off: ${(error as Error).message}`);
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
  return { body: body as Record<string, unknown>, unkeyable };
}
