/**
 * What a cache holds answers to, as people want to see it.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { ListedRequest } from "../../store/store.ts";
import { decodeText, type JsonObject } from "../json.ts";

/** Which requests to list. */
export interface ListOptions {
  /** To this model only. */
  readonly model?: string;
  /** In this namespace, and no other; the cache's own by default. */
  readonly namespace?: string;
}

/** A request that has answers in the cache. */
export interface StoredRequest {
  /** Its key, in hexadecimal. */
  readonly key: string;
  /** The model it named; `_none` where it named none. */
  readonly model: string;
  /** What keeps it apart from the same request of somebody else. */
  readonly namespace: string;
  /** Who was asked. */
  readonly provider: string;
  /** The path at the provider. */
  readonly endpoint: string;
  /** Content identity of a local model, else `null`. */
  readonly identity: string | null;
  /** What was asked, less what the key ignores. */
  readonly body: JsonObject;
}

/** A stored request with its body parsed. */
export function storedRequest({ model, request }: ListedRequest): StoredRequest {
  const { key, namespace, provider, endpoint, identity, body } = request;
  const parsed = JSON.parse(decodeText(body)) as JsonObject;
  return { key: hexOf(key), model, namespace, provider, endpoint, identity, body: parsed };
}
