/**
 * The key of a request, as `docs/key.md` specifies it for any language.
 *
 * @module
 */

import type { Key } from "../../store/store.ts";
import { canonicalJson } from "./canonical.ts";
import { encodeText, type JsonObject } from "../json.ts";

/** Version of the key specification. It is inside the key, so that versions never meet. */
const KEY_VERSION = 1;

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
  /** Canonical JSON of the body less the ignored fields. */
  readonly canonicalBody: string;
}

/**
 * Computes the key: SHA-256 over the canonical JSON of `{ v, namespace, provider, endpoint, identity, body }`, where
 * `body` lacks its top-level fields in `ignore`; with a member `files` besides where there are any.
 *
 * @throws TypeError when the request has no canonical JSON; see {@link canonicalJson}.
 * @throws NamesFileError when the body names a file, whose content should be there instead.
 */
export function requestKey(request: KeyedRequest, ignore: ReadonlySet<string>, sha256: Sha256): RequestKey {
  const canonicalBody = canonicalJson(without(request.body, ignore), true);
  // "body" sorts before every other name of the envelope, so its text can be put in front of theirs.
  return { key: sha256(encodeHere(`{"body":${canonicalBody},${envelopeOf(request)}`)), canonicalBody };
}

/** A body without what is ignored; a copy only where there is need of one. */
function without(body: JsonObject, ignore: ReadonlySet<string>): JsonObject {
  for (const name of Object.keys(body)) {
    if (ignore.has(name)) return Object.fromEntries(Object.entries(body).filter(([name]) => !ignore.has(name)));
  }
  return body;
}

// Most requests fit: what the runtimes encode into new memory takes ten times as long.
const scratch = new Uint8Array(64 * 1024);
const encoder = new TextEncoder();

/** UTF-8 bytes of a text, in memory that the next call uses again if they are not many. */
function encodeHere(text: string): Uint8Array {
  // A UTF-16 code unit takes three bytes at most.
  if (text.length * 3 > scratch.length) return encodeText(text);
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}

// The requests of a program differ in their bodies, most of them in nothing else.
let latest: { readonly request: KeyedRequest; readonly envelope: string } | undefined;

/** What follows the body. */
function envelopeOf(request: KeyedRequest): string {
  const { namespace, provider, endpoint, identity, files = [] } = request;
  if (files.length > 0) return canonicalEnvelope({ namespace, provider, endpoint, identity, files });
  const other = latest?.request;
  const isLatest = other !== undefined && other.endpoint === endpoint && other.provider === provider &&
    other.namespace === namespace && other.identity === identity;
  if (isLatest) return latest!.envelope;
  const envelope = canonicalEnvelope({ namespace, provider, endpoint, identity });
  latest = { request: { ...request, body: {} }, envelope };
  return envelope;
}

function canonicalEnvelope(parts: Omit<KeyedRequest, "body">): string {
  return canonicalJson({ v: KEY_VERSION, ...parts }).slice(1);
}
