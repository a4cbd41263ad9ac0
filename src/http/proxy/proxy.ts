/**
 * A caching proxy in front of providers: `/<upstream>/*`. A client is given the proxy's address in the place of the
 * provider's, and that is all. What the cache can answer it answers; everything else is passed on as it is, both ways.
 *
 * @module
 */

import type { Context, Hono } from "hono";
import type { CacheStatus } from "../../cache/call_options.ts";
import { askerOf } from "../../cache/exchange/asker.ts";
import { exchange } from "../../cache/exchange/exchange.ts";
import { EVENT_STREAM, isOf } from "../../cache/exchange/provider_answer.ts";
import { type Question, readQuestion } from "../../cache/exchange/question.ts";
import { modelInPath } from "../../cache/request/scope.ts";
import { type CacheDirectives, readCacheDirectives } from "../cache_directives.ts";
import { begunStatus, cacheHeaders } from "../cache_headers.ts";
import { quoted } from "../cache_status.ts";
import { ApiError } from "../api_error.ts";
import { isFault } from "../errors.ts";
import { departure } from "../local_model.ts";
import type { WatchedRequest } from "../operations/request_watch.ts";
import { watchOn } from "../operations/watch_requests.ts";
import type { ServerParts } from "../parts.ts";
import { namespaceOf, refuseOwnedModel } from "../tenancy.ts";
import { askUpstream } from "./ask_upstream.ts";
import { admit } from "./credentials.ts";
import { requestHeaders } from "./headers.ts";
import { refusalOf, refusalResponse } from "./refusal.ts";
import { readBytes } from "./request_bytes.ts";
import { addressAt, type Dialect, dialectOf, type Upstream } from "./upstream.ts";

/** A request on its way through. */
interface Passing {
  readonly upstream: Upstream;
  readonly request: Request;
  /** Where it goes. */
  readonly address: URL;
  /** What the provider sees. */
  readonly headers: Headers;
  readonly directives: CacheDirectives;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  /** Is told what becomes of it. */
  readonly watched: WatchedRequest;
}

/** Methods that `fetch` does not take; some of those that are not in upper case it would make others of. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set(["CONNECT", "TRACE", "TRACK"]);

/** Adds the upstreams' routes. They come before what every other route goes through: the limit of bodies, and the keys. */
export function proxyRoutes(app: Hono, parts: ServerParts): void {
  for (const upstream of parts.upstreams) app.all(`/${upstream.name}/*`, proxyRoute(upstream, parts));
}

function proxyRoute(upstream: Upstream, parts: ServerParts): (context: Context) => Promise<Response> {
  return async (context) => {
    const { req: { raw } } = context;
    const address = addressAt(upstream, new URL(raw.url));
    const dialect = dialectOf(upstream, address, raw.headers);
    const watched = watchOn(context);
    watched.facts.provider = upstream.name;
    let response: Response;
    try {
      response = await pass(raw, address, dialect, upstream, watched, parts);
    } catch (error) {
      const refusal = refusalOf(error);
      if ((refusal.status === 500 || refusal.status === 503) && isFault(refusal)) parts.report(error);
      watched.facts.errorCode = refusal.code ?? refusal.type;
      response = refusalResponse(refusal, dialect);
      response.headers.set("Cache-Status", `warmcache; detail=${quoted(refusal.code ?? refusal.type)}`);
    }
    // Here and not behind the route, where it would take another response with a copy of all headers.
    if (!response.headers.has("X-Request-Id")) response.headers.set("X-Request-Id", context.get("requestId"));
    return response;
  };
}

async function pass(
  request: Request,
  address: URL,
  dialect: Dialect,
  upstream: Upstream,
  watched: WatchedRequest,
  parts: ServerParts,
): Promise<Response> {
  const headers = requestHeaders(request.headers);
  const { holder } = admit(request.headers, { headers, address, upstream, dialect, keys: parts.apiKeys });
  const rate = parts.limits.rates.take(holder);
  // Other protocols are offered, not asked for: Java's client offers HTTP/2 with every request (RFC 9110 section 7.8).
  if (/(?:^|,)\s*websocket\b/i.test(request.headers.get("Upgrade") ?? "")) {
    throw new ApiError(501, "invalid_request_error", "The proxy passes no WebSockets on: connect to the provider", {
      code: "websocket_not_supported",
      headers: { "x-should-retry": "false" },
    });
  }
  if (NOT_PASSED_ON.has(request.method) || request.method !== request.method.toUpperCase()) {
    throw new ApiError(501, "invalid_request_error", `The proxy does not pass on the method ${request.method}`, {
      code: "method_not_supported",
      headers: { "x-should-retry": "false" },
    });
  }
  if (/^(?:GET|HEAD)$/.test(request.method) && saysBody(request.headers)) {
    throw new ApiError(501, "invalid_request_error", `The proxy does not pass on the body of a ${request.method}`, {
      code: "body_not_supported",
      headers: { "x-should-retry": "false" },
    });
  }
  const { namespace: asked, ...directives } = readCacheDirectives(request.headers);
  const namespace = namespaceOf(parts.sharedCache ? undefined : holder?.id, asked);
  const passing: Passing = {
    upstream,
    request,
    address,
    headers,
    directives: { ...directives, ...(namespace !== undefined && { namespace }) },
    signal: departure(request),
    watched,
  };
  if (holder !== undefined) watched.facts.keyId = holder.id;
  let read: Uint8Array<ArrayBuffer> | undefined;
  const bytes = async (): Promise<Uint8Array> => read = await readBytes(request, parts.limits);
  const question = await readQuestion({ method: request.method, url: address, headers, bytes });
  const response = question === undefined ? await passOn(passing, read, parts) : await answer(passing, question, parts);
  // A provider's own say what it would take of this caller next.
  for (const name in rate) if (!response.headers.has(name)) response.headers.set(name, rate[name]!);
  return response;
}

async function answer(passing: Passing, question: Question, parts: ServerParts): Promise<Response> {
  const { upstream, address, headers, directives, signal, watched } = passing;
  headers.delete("Content-Length");
  const { body: { model }, endpoint } = question;
  const name = typeof model === "string" ? model : modelInPath(endpoint);
  if (name !== undefined) {
    refuseOwnedModel(name);
    watched.facts.model = name;
  }
  if (question.form === "stream") parts.limits.streams.begin(watched);
  const { response, status, asked } = await exchange(parts.cache, {
    question,
    asker: askerOf({ headers, url: address.href }),
    options: { ...directives, provider: upstream.name, signal },
    isServed: true,
    send: (body, signal) => askUpstream(upstream, { address, method: "POST", headers, body, signal }, parts),
  });
  const facts = { mode: directives.mode, forwardStatus: asked?.status, now: parts.clock.now() };
  const begun = known(status, asked, response, directives);
  watched.fared(response.ok ? status : begun, begun);
  const told = cacheHeaders(begun, facts);
  for (const [name, value] of Object.entries(told)) response.headers.set(name, value);
  // No answer that the cache could read, so it is the provider's as it came.
  const coding = status.expiredServed ? undefined : asked?.headers.get("Content-Encoding");
  if (coding) response.headers.set("Content-Encoding", coding);
  return response;
}

/** How a request fared. A stream that has just begun is a miss, and another's where nothing was asked for it. */
function known(
  status: CacheStatus,
  asked: Response | undefined,
  { ok }: Response,
  { mode }: CacheDirectives,
): CacheStatus {
  const isRemembered = !ok && asked === undefined && !status.shared;
  if (isRemembered) return { outcome: "hit", why: "a failure is remembered" };
  return begunStatus(status, asked === undefined, mode);
}

/** Passes a request on that the cache has nothing to do with. */
async function passOn(
  { upstream, request, address, headers, directives, signal, watched }: Passing,
  read: Uint8Array<ArrayBuffer> | undefined,
  parts: ServerParts,
): Promise<Response> {
  const { method } = request;
  if (directives.mode === "replay") {
    throw new ApiError(504, "invalid_request_error", "The cache keeps no answers to such requests", {
      code: "not_cached",
      headers: { "x-should-retry": "false" },
    });
  }
  const body = read ?? (mayHaveBody(request) ? request.body : null);
  const asked = await askUpstream(upstream, { address, method, headers, body, signal }, parts);
  const forwarded = method === "POST" ? "bypass" : "method";
  if (isOf(EVENT_STREAM, asked.headers)) parts.limits.streams.count(watched);
  asked.headers.set("Cache-Status", `warmcache; fwd=${forwarded}; fwd-status=${asked.status}`);
  return asked;
}

/** Whether a request has a body, which `fetch` has not for every method. */
function saysBody(headers: Headers): boolean {
  return (headers.get("Content-Length") ?? "0") !== "0" || headers.has("Transfer-Encoding");
}

/** Deno has a body for every DELETE, and would send an empty one on in pieces, which some providers refuse. */
function mayHaveBody({ method, headers }: Request): boolean {
  return /^(?:POST|PUT|PATCH)$/.test(method) || headers.has("Content-Length") || headers.has("Transfer-Encoding");
}
