/**
 * Has every request watched on its way through the routes, from its first handler to the last byte of its answer. What
 * is not a stream of events is not touched: its end is when it is there.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { callerOf } from "../auth.ts";
import { isAbort } from "../api_error.ts";
import { toApiError } from "../errors.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { RequestFacts, RequestWatch, WatchedRequest } from "./request_watch.ts";

type Watched = Context<{ Variables: { watched: WatchedRequest } }>;

/** The watch that is kept on a request. */
export function watchOn(context: Context): WatchedRequest {
  return (context as Watched).get("watched");
}

/** Where a route notes what it knows of a request. */
export function factsOf(context: Context): RequestFacts {
  return watchOn(context).facts;
}

/** What an error is called in {@link RequestFacts.errorCode}. */
export function errorCodeOf(error: unknown): string {
  const { code, type } = toApiError(error);
  return code ?? type;
}

/** Routes that are none: what a request goes through that has not come to one. */
const NO_ROUTE: ReadonlySet<string> = new Set(["", "*", "/*"]);

const EVENT_STREAM = /^text\/event-stream\b/i;

/** The client closed the request. */
const LEFT = 499;

/**
 * Watches what comes behind it. Where the server ends, it has clients open their next connection elsewhere (RFC 9112
 * section 9.6): on one that is kept the next request would fail.
 */
export function watchRequests(
  { requests, lifecycle }: { readonly requests: RequestWatch; readonly lifecycle: Lifecycle },
): MiddlewareHandler {
  return async (context, next) => {
    const { method } = context.req;
    const watched = requests.begin((context as Context<{ Variables: { requestId: string } }>).get("requestId"), method);
    (context as Watched).set("watched", watched);
    try {
      await next();
    } catch (error) {
      watched.answered(500);
      watched.ended();
      throw error;
    }
    note(context, watched.facts);
    if (lifecycle.state !== "running") context.header("Connection", "close");
    const { res } = context;
    const { status } = res;
    // Nobody reads the body of an answer to HEAD. That of one that is there as a whole is not asked for: the runtime would
    // make a stream of it, and send it in chunks.
    const isOne = method !== "HEAD" && EVENT_STREAM.test(res.headers.get("Content-Type") ?? "");
    const body = isOne ? res.body : null;
    watched.answered(status, { isStream: body !== null });
    if (body === null) return watched.ended({ isAborted: status === LEFT });
    // Taken away first: Hono would merge the headers of both.
    context.res = undefined;
    context.res = new Response(untilItEnds(body, watched), res);
  };
}

function note(context: Context, facts: RequestFacts): void {
  if (facts.route === undefined) {
    const route = routePath(context);
    if (!NO_ROUTE.has(route)) facts.route = route;
  }
  if (facts.keyId === undefined) {
    const keyId = callerOf(context)?.id;
    if (keyId !== undefined) facts.keyId = keyId;
  }
  if (context.error !== undefined) facts.errorCode ??= errorCodeOf(context.error);
}

/** The same stream, whose end is told. */
function untilItEnds(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  watched: WatchedRequest,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let isLeft = false;
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (isLeft) return;
        if (!done) return controller.enqueue(value);
        controller.close();
        watched.ended();
      } catch (error) {
        if (isLeft) return;
        controller.error(error);
        const isAborted = isAbort(error);
        if (!isAborted) watched.facts.errorCode ??= errorCodeOf(error);
        watched.ended({ isAborted });
      }
    },
    async cancel(reason) {
      isLeft = true;
      // At once: a source that waits for its next piece may not hear of it before that comes.
      watched.ended({ isAborted: true });
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
