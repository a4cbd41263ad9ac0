/**
 * Bearer tokens, as OpenAI's clients send their API key (RFC 6750).
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { timingSafeEqual } from "hono/utils/buffer";
import { ApiError } from "./errors.ts";

/** Paths that answer anybody: whoever watches a server has no key for it. */
const OPEN_PATHS = new Set(["/health"]);

/** Lets only requests with this key pass, compared in constant time. */
export function authenticate(apiKey: string): MiddlewareHandler {
  return async (context, next) => {
    if (!OPEN_PATHS.has(context.req.path)) {
      const given = /^Bearer +(.+)$/i.exec(context.req.header("Authorization") ?? "")?.[1];
      if (given === undefined || !await timingSafeEqual(given, apiKey)) {
        throw new ApiError(401, "authentication_error", "Missing or incorrect API key in the Authorization header", {
          code: "invalid_api_key",
          headers: { "WWW-Authenticate": "Bearer" },
        });
      }
    }
    await next();
  };
}
