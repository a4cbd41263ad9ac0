/**
 * The routes of models, limited in how often they are asked. The proxy counts for itself, once it knows who asks.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { callerOf } from "../auth.ts";
import type { ServerParts } from "../parts.ts";

/** Counts each request for the key that let it pass, and refuses those that are too many. Comes behind `authorize`. */
export function limitRate({ limits: { rates } }: Pick<ServerParts, "limits">): MiddlewareHandler {
  return async (context, next) => {
    const told = rates.take(callerOf(context));
    await next();
    // Set on the finished response: routes make their own, which would not carry it.
    for (const [name, value] of Object.entries(told ?? {})) context.header(name, value);
  };
}
