/**
 * Whose entries a request may see. What one caller bought is not another's to read unless the server says so, and it is
 * the server that keeps them apart, whatever namespace a request names.
 *
 * @module
 */

import type { Context } from "hono";
import { keyIdOf } from "./auth.ts";
import { invalidRequest } from "./api_error.ts";
import type { ServerParts } from "./parts.ts";

const OWNED = "key:";

/** Whose entries a request is about: the id of its API key; `undefined` where all share them. */
export function ownerOf(context: Context, { sharedCache }: Pick<ServerParts, "sharedCache">): string | undefined {
  return sharedCache ? undefined : keyIdOf(context);
}

/**
 * The namespace of a request's entries; `undefined` for the cache's own.
 *
 * @param owner the id of the caller's API key; `undefined` where all share their entries.
 * @param asked the namespace that the caller names, if he does.
 * @throws ApiError 400 for a namespace that could be somebody's.
 */
export function namespaceOf(owner: string | undefined, asked: string | undefined): string | undefined {
  if (owner === undefined) {
    if (!asked?.startsWith(OWNED)) return asked;
    throw invalidRequest(`A namespace may not begin with ${OWNED}, which is for the owners of API keys: ${asked}`);
  }
  // An id has no colon in it.
  return asked === undefined || asked === "" ? `${OWNED}${owner}` : `${OWNED}${owner}:${asked}`;
}

/**
 * Refuses to have anything filed under a model that is called as those are that callers store for themselves through
 * `/cache`: it would be in the lists and counts of one of them.
 *
 * @throws ApiError 400
 */
export function refuseOwnedModel(model: string): void {
  if (!model.startsWith(OWNED)) return;
  throw invalidRequest(`A model's name may not begin with ${OWNED}, which is for the owners of API keys`, "model");
}

/** Whether a caller may be told of requests in a namespace: of those in his own; of all, where all share them. */
export function seenBy(owner: string | undefined): (namespace: string) => boolean {
  if (owner === undefined) return () => true;
  const own = namespaceOf(owner, undefined)!;
  return (namespace) => namespace === own || namespace.startsWith(`${own}:`);
}
