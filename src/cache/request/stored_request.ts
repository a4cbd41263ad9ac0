/**
 * What a cache holds answers to, as people want to see it.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { ListedRequest, Selection } from "../../store/store.ts";
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

const LIST_OPTIONS = ["model", "namespace"];

/**
 * Which requests a store is to list; those in `own` where no namespace is said.
 *
 * @throws TypeError
 */
export function listed(options: ListOptions, own: string): Pick<Selection, "model" | "namespace"> {
  refuseUnknownOptions("list requests", options, LIST_OPTIONS);
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== "string") {
      throw new TypeError(`Cannot list requests by a ${name} that is no string: ${value}`);
    }
  }
  const { model, namespace = own } = options;
  return { namespace, ...(model !== undefined && { model }) };
}

/** A stored request with its body parsed. */
export function storedRequest({ model, request }: ListedRequest): StoredRequest {
  const { key, namespace, provider, endpoint, identity, body } = request;
  const parsed = JSON.parse(decodeText(body)) as JsonObject;
  return { key: hexOf(key), model, namespace, provider, endpoint, identity, body: parsed };
}
