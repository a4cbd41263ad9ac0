/**
 * Which of several servers answered. Behind a proxy that spreads requests over them nobody could tell otherwise, and
 * whether each model has stayed where it is warm would be anybody's guess.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";

/** What a name may consist of: it is a header's value, and is written into proxies' configurations. */
export const SERVER_NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;

/**
 * Checks a server's name.
 *
 * @throws TypeError
 */
export function checkServerName(name: string): void {
  if (SERVER_NAME.test(name)) return;
  const expected = "1 to 64 letters, digits, `.`, `_`, `:` and `-`, a letter or digit first";
  throw new TypeError(`Cannot start a server: serverName has to be ${expected}: ${JSON.stringify(name)}`);
}

/**
 * Names the server in `X-Served-By`, and repeats the `X-Warmcache-Model` by which a proxy may have chosen it, in every
 * answer, refusals and errors included.
 */
export function servedBy(name: string): MiddlewareHandler {
  return async (context, next) => {
    await next();
    // On the response itself, as all of them are made here: Hono's own way would make a copy of it.
    const { headers } = context.res;
    headers.set("X-Served-By", name);
    const model = context.req.header("X-Warmcache-Model");
    if (model !== undefined) headers.set("X-Warmcache-Model", model);
  };
}
