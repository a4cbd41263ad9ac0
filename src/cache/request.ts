/**
 * Reads a caller's request: what will be sent, which key it has, how many samples it asks for, and whether it may meet
 * the cache at all.
 *
 * @module
 */

import type { RequestRecord } from "../store/store.ts";
import { valueAsSent } from "./canonical.ts";
import { endpointKind, ignoredFields, type IgnoreList } from "./ignore_list.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import { requestKey, type Sha256 } from "./key.ts";
import { type SampleShape, sampleShape } from "./samples.ts";
import { type ResolvedScope, resolveScope, type Scope } from "./scope.ts";

/** A request the cache may answer. */
export interface CacheRequest {
  readonly model: string;
  readonly body: JsonObject;
  readonly shape: SampleShape;
  readonly record: RequestRecord;
  /** The key, as a text to tell requests apart by. */
  readonly id: string;
}

/** A request the cache must not answer, and why. */
export interface BypassedRequest {
  readonly model: string;
  readonly body: JsonObject;
  readonly bypass: string;
}

/** Whether the cache may answer a request. */
export function isKeyed(request: CacheRequest | BypassedRequest): request is CacheRequest {
  return "record" in request;
}

/** What a cache brings to every request. */
export interface RequestDefaults {
  readonly namespace: string;
  readonly ignore: IgnoreList;
  readonly sha256: Sha256;
}

/**
 * Reads a request.
 *
 * @param bypass the caller's own reason against the cache, if there is one; such a request needs no key.
 * @throws TypeError when the body is no object, has no canonical JSON, has a bad `n`, or cannot tell who is asked.
 */
export function readRequest(
  body: unknown,
  scope: Scope,
  defaults: RequestDefaults,
  bypass?: string,
): CacheRequest | BypassedRequest {
  const sent = valueAsSent(body, "");
  if (!isJsonObject(sent)) throw new TypeError(`Cannot read a request (a JSON object is needed): ${typeof body}`);
  const { model, ...resolved } = resolveScope(sent, scope, defaults.namespace);
  const reason = bypass ?? reasonAgainst(resolved, sent);
  if (reason !== undefined) return { model, body: sent, bypass: reason };
  const shape = sampleShape(resolved.endpoint, sent);
  const ignore = ignoredFields(resolved.endpoint, defaults.ignore);
  const { key, canonicalBody } = requestKey({ ...resolved, body: sent }, ignore, defaults.sha256);
  // One character a byte: no dearer than hexadecimal to tell apart, and cheaper to make.
  const id = String.fromCharCode(...key);
  return { model, body: sent, shape, record: { key, ...resolved, body: canonicalBody }, id };
}

/** Why a request's answer would not do for another with the same key. */
function reasonAgainst({ endpoint }: Omit<ResolvedScope, "model">, body: JsonObject): string | undefined {
  const kind = endpointKind(endpoint);
  // The key leaves `encoding_format` out, for calls that keep vectors by text and serve either form.
  if (kind === "embeddings") return "embeddings are not cached as whole answers";
  if (kind !== "responses") return undefined;
  if (body.conversation !== undefined && body.conversation !== null) return "the request continues a conversation";
  return body.background === true ? "the request runs in the background" : undefined;
}
