/**
 * The key of a request, as `docs/key.md` specifies it for any language.
 *
 * @module
 */

import type { Key } from "../store/store.ts";
import { canonicalJson } from "./canonical.ts";
import { encodeText, type JsonObject } from "./json.ts";

/** Version of the key specification. It is inside the key, so that versions never meet. */
export const KEY_VERSION = 1;

/** What a key is made of. */
export interface KeyedRequest {
  readonly namespace: string;
  readonly provider: string;
  readonly endpoint: string;
  /** Content identity of a local model, else `null`. */
  readonly identity: string | null;
  readonly body: JsonObject;
  /** Where the body has the content of a file in place of its name ({@link ./file_contents.ts}); none by default. */
  readonly files?: readonly string[];
}

/** SHA-256 of bytes in memory, as 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** A request's key, and the part of what was hashed that is worth keeping. */
export interface RequestKey {
  readonly key: Key;
  /** Canonical JSON of the body less the ignored fields, in UTF-8. */
  readonly canonicalBody: Uint8Array;
}

/**
 * Computes the key: SHA-256 over the canonical JSON of `{ v, namespace, provider, endpoint, identity, body }`, where
 * `body` lacks its top-level fields in `ignore`; with a member `files` besides where there are any.
 *
 * @throws TypeError when the request has no canonical JSON; see {@link canonicalJson}.
 */
export function requestKey(request: KeyedRequest, ignore: ReadonlySet<string>, sha256: Sha256): RequestKey {
  const { body, ...scope } = request;
  const kept = Object.fromEntries(Object.entries(body).filter(([name]) => !ignore.has(name)));
  const canonicalBody = canonicalJson(kept);
  // "body" sorts before every other name of the envelope, so its text can be put in front of theirs.
  const envelope = canonicalJson({
    v: KEY_VERSION,
    namespace: scope.namespace,
    provider: scope.provider,
    endpoint: scope.endpoint,
    identity: scope.identity,
    ...(scope.files?.length && { files: scope.files }),
  });
  const opening = '{"body":';
  const text = encodeText(`${opening}${canonicalBody},${envelope.slice(1)}`);
  const end = text.length - encodeText(envelope).length;
  return { key: sha256(text), canonicalBody: text.subarray(opening.length, end) };
}
