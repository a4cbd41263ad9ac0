/**
 * What a request to a model of this server's says besides its question: in headers to the cache, in fields of our own
 * about the model's stay.
 *
 * @module
 */

import type { Context } from "hono";
import { type CacheDirectives, readCacheDirectives } from "./cache_directives.ts";
import { checkFieldNames } from "./field_names.ts";
import { departure } from "./local_model.ts";
import type { WatchedRequest } from "./operations/request_watch.ts";
import { watchOn } from "./operations/watch_requests.ts";
import { OWN_FIELDS, readOwnFields, type Residency } from "./own_fields.ts";
import type { ServerParts } from "./parts.ts";
import { readRequestBody } from "./request_body.ts";
import { namespaceOf, ownerOf } from "./tenancy.ts";

/** A request that has been read, but for its question. */
export interface LocalRequest {
  /** What the model is asked, and the key is made of. */
  readonly body: Record<string, unknown>;
  /** Why the cache must not answer or keep it, when the body cannot be keyed safely. */
  readonly bypass: string | undefined;
  readonly residency: Residency;
  readonly directives: CacheDirectives;
  /** Aborted with an `AbortError` when the client has gone. */
  readonly signal: AbortSignal;
  /** Headers that the answer is to have. */
  readonly headers: Readonly<Record<string, string>>;
  /** Is told what becomes of it. */
  readonly watched: WatchedRequest;
}

/**
 * Reads it.
 *
 * @param fields the names of all fields that the endpoint knows.
 * @throws ApiError 400, 413
 */
export async function readLocalRequest(
  context: Context,
  parts: Pick<ServerParts, "sharedCache" | "limits">,
  fields: readonly string[],
): Promise<LocalRequest> {
  const { raw } = context.req;
  const directives = directivesOf(context, parts);
  const watched = watchOn(context);
  watched.facts.provider = "local";
  const { body: sent, unkeyable: bypass } = await readRequestBody(context, parts.limits);
  if (typeof sent.model === "string") watched.facts.model = sent.model;
  const headers = checkFieldNames(raw.headers, sent, [...fields, ...OWN_FIELDS]);
  return {
    ...readOwnFields(sent),
    bypass,
    directives,
    signal: departure(raw),
    headers,
    watched,
  };
}

/**
 * What the headers of a request say to the cache, and whose entries it may see.
 *
 * @throws ApiError 400
 */
export function directivesOf(context: Context, parts: Pick<ServerParts, "sharedCache">): CacheDirectives {
  const { namespace: asked, ...directives } = readCacheDirectives(context.req.raw.headers);
  const namespace = namespaceOf(ownerOf(context, parts), asked);
  return { ...directives, ...(namespace !== undefined && { namespace }) };
}
