/**
 * `/cache/*`: the server's store for caches elsewhere, in `/cache/v1/`, which is theirs; and what people ask of it,
 * `/cache/stats` and `/cache/explain`.
 *
 * @module
 */

import type { Hono, MiddlewareHandler } from "hono";
import type { Explanation } from "../../cache/explain/explanation.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { CacheError } from "../../store/error.ts";
import { authenticate } from "../auth.ts";
import { ApiError, invalidRequest } from "../errors.ts";
import type { ServerParts } from "../parts.ts";
import { readBytes } from "../proxy/request_bytes.ts";
import { readRequestBody } from "../request_body.ts";
import { statisticsFor } from "../statistics.ts";
import { namespaceOf, ownerOf } from "../tenancy.ts";

/** The media type of messages. */
const MESSAGE = "application/vnd.warmcache.store";
const SCOPE: readonly (keyof Scope)[] = ["provider", "endpoint", "namespace", "identity"];

/** Adds the routes of stores. They have a limit of their own to what a body may have, and come before that of all others. */
export function storeRoutes(app: Hono, parts: ServerParts): void {
  const { storeService } = parts;
  const admitted: MiddlewareHandler = parts.apiKeys === undefined ? (_, next) => next() : authenticate(parts.apiKeys);

  app.post("/cache/v1/calls", admitted, async (context) => {
    const message = await readMessage(context.req.raw);
    return messageResponse(await understood(() => storeService.answer(ownerOf(context, parts), message)));
  });
  app.post("/cache/v1/list", admitted, async (context) => {
    const message = await readMessage(context.req.raw);
    return messageResponse(await understood(() => storeService.list(ownerOf(context, parts), message)));
  });
}

/** Adds the routes of people. */
export function cacheRoutes(app: Hono, parts: ServerParts): void {
  const { cache } = parts;

  app.get("/cache/stats", async (context) => {
    return context.json(await served(() => statisticsFor(cache, ownerOf(context, parts))));
  });
  app.post("/cache/explain", async (context) => {
    const { body } = await readRequestBody(context);
    const { request, scope } = readQuestion(body);
    const owner = ownerOf(context, parts);
    const namespace = namespaceOf(owner, scope.namespace);
    const asked = { ...scope, ...namespace !== undefined && { namespace } };
    const explanation = await served(() => cache.explain(request, asked));
    return context.json(explanationBody(owner === undefined ? explanation : ownPart(explanation, owner)));
  });
}

function messageResponse(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  return new Response(body, { headers: { "Content-Type": MESSAGE, "Cache-Control": "no-store" } });
}

/** A message, which has to say that it is one: what a page in a browser can send without being asked first does not. */
async function readMessage(request: Request): Promise<Uint8Array> {
  const type = request.headers.get("Content-Type");
  if (type === MESSAGE) return await readBytes(request);
  throw new ApiError(415, "invalid_request_error", `A message of a store is of the type ${MESSAGE}`, {
    code: "unsupported_media_type",
  });
}

/** What a service gives; a message that is none is the client's fault. */
async function understood<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TypeError) throw invalidRequest(error.message, undefined, "unreadable_message");
    throw error;
  }
}

/** What the cache gives, as HTTP says that it cannot. */
async function served<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TypeError) throw invalidRequest(error.message);
    if (!(error instanceof CacheError)) throw error;
    throw new ApiError(503, "server_error", `The cache cannot be asked: ${error.code}`, {
      cause: error,
      code: "cache_unavailable",
      headers: { "Retry-After": "1" },
    });
  }
}

/** `{ request, provider?, endpoint?, namespace?, identity? }`. */
function readQuestion(body: Record<string, unknown>): { readonly request: object; readonly scope: Scope } {
  const { request, ...said } = body;
  if (typeof request !== "object" || request === null || Array.isArray(request)) {
    throw invalidRequest("The request to explain has to be a JSON object", "request");
  }
  for (const [name, value] of Object.entries(said)) {
    if (!(SCOPE as readonly string[]).includes(name)) {
      throw invalidRequest(`Unknown field (known: request, ${SCOPE.join(", ")}): ${name}`, name);
    }
    if (typeof value !== "string") throw invalidRequest(`${name} has to be a string`, name);
  }
  return { request, scope: said };
}

/** An explanation without what others have asked. */
function ownPart(explanation: Explanation, owner: string): Explanation {
  const own = namespaceOf(owner, undefined)!;
  const nearest = explanation.nearest.filter(({ namespace }) => namespace === own || namespace.startsWith(`${own}:`));
  if (nearest.length === explanation.nearest.length) return explanation;
  const { samples } = explanation;
  const text = samples > 0
    ? "The request itself is stored."
    : nearest.length > 0
    ? "The request is not stored; nearest has those of yours that resemble it."
    : "The request is not stored, and none of yours resembles it.";
  return { ...explanation, nearest, text };
}

/** With the names that HTTP clients expect. */
function explanationBody({ nearest, ...explanation }: Explanation): object {
  return {
    ...explanation,
    nearest: nearest.map(({ differenceCount, ...near }) => ({ ...near, difference_count: differenceCount })),
  };
}
