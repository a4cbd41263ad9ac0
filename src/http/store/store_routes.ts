/**
 * `/cache/*`: the server's store for caches elsewhere, in `/cache/v1/`, which is theirs; and what people ask of it,
 * `/cache/stats` and `/cache/explain`.
 *
 * @module
 */

import type { Hono } from "hono";
import * as z from "zod";
import type { Explanation } from "../../cache/explain/explanation.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { CacheError } from "../../store/error.ts";
import { authorize, callerOf } from "../auth.ts";
import { ApiError, invalidRequest } from "../api_error.ts";
import type { ServerParts } from "../parts.ts";
import { readBytes } from "../proxy/request_bytes.ts";
import { readRequestBody } from "../request_body.ts";
import { readStrictBody } from "../request_fields.ts";
import { ownStatistics, statisticsFor } from "../statistics.ts";
import { namespaceOf, ownerOf, seenBy } from "../tenancy.ts";

/** The media type of messages. */
export const MESSAGE = "application/vnd.warmcache.store";

const member = z.string().optional();
const question = z.strictObject(
  {
    request: z.record(z.string(), z.unknown(), { error: "expected a JSON object" }).describe(
      "The body of the request.",
    ),
    provider: member.describe("Who was asked."),
    endpoint: member.describe("The path at the provider, without query."),
    namespace: member,
    identity: member.describe("Content identity of a local model."),
  } satisfies Record<"request" | keyof Scope, z.ZodType>,
);

/** What the body of `/cache/explain` is checked with. */
export const questionSchema: z.ZodObject = question;

/** Adds the routes of stores. They have a limit of their own to what a body may have, and come before that of all others. */
export function storeRoutes(app: Hono, parts: ServerParts): void {
  const { storeService } = parts;
  app.use("/cache/*", authorize(parts, "cache"));

  app.post("/cache/v1/calls", async (context) => {
    const message = await readMessage(context.req.raw, parts);
    return messageResponse(await understood(() => storeService.answer(ownerOf(context, parts), message)));
  });
  app.post("/cache/v1/list", async (context) => {
    const message = await readMessage(context.req.raw, parts);
    return messageResponse(await understood(() => storeService.list(ownerOf(context, parts), message)));
  });
}

/** Adds the routes of people. */
export function cacheRoutes(app: Hono, parts: ServerParts): void {
  const { cache } = parts;

  app.get("/cache/stats", async (context) => {
    const owner = ownerOf(context, parts);
    const seesAll = owner === undefined || callerOf(context)!.scopes.has("status");
    return context.json(await served(() => seesAll ? statisticsFor(cache, owner) : ownStatistics(cache, owner)));
  });
  app.post("/cache/explain", async (context) => {
    const { body } = await readRequestBody(context, parts.limits);
    const { request, scope } = readQuestion(body);
    const owner = ownerOf(context, parts);
    const namespace = namespaceOf(owner, scope.namespace);
    const asked = { ...scope, ...namespace !== undefined && { namespace } };
    const explanation = await served(() => cache.explain(request, asked, { sees: seenBy(owner) }));
    return context.json(explanationBody(explanation));
  });
}

function messageResponse(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  return new Response(body, { headers: { "Content-Type": MESSAGE, "Cache-Control": "no-store" } });
}

/** A message, which has to say that it is one: what a page in a browser can send without being asked first does not. */
async function readMessage(request: Request, { limits }: Pick<ServerParts, "limits">): Promise<Uint8Array> {
  const type = request.headers.get("Content-Type");
  if (type === MESSAGE) return await readBytes(request, limits);
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
  const { request: _, ...scope } = readStrictBody(question, body);
  // As it was sent: the key is made of it.
  return { request: body.request as object, scope: scope as Scope };
}

/** With the names that HTTP clients expect. */
function explanationBody({ nearest, ...explanation }: Explanation): object {
  return {
    ...explanation,
    nearest: nearest.map(({ differenceCount, ...near }) => ({ ...near, difference_count: differenceCount })),
  };
}
