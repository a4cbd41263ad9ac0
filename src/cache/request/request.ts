/**
 * Reads a caller's request: what will be sent, which key it has, how many samples it asks for, and whether it may meet
 * the cache at all.
 *
 * @module
 */

import { reasonInCredentials } from "./credentials.ts";
import type { Key, RequestRecord } from "../../store/store.ts";
import { MAX_LENGTH, TooLongError, valueAsSent } from "./canonical.ts";
import { type FileDigests, fileUrls, withContents } from "./file_contents.ts";
import { endpointKind, ignoredFields, type IgnoreList } from "./ignore_list.ts";
import { encodeText, isJsonObject, type JsonObject } from "../json.ts";
import { type KeyedRequest, type RequestKey, requestKey, type Sha256 } from "./key.ts";
import { manySamples, type SampleShape, sampleShape } from "../answer/samples.ts";
import { DEFAULT_ENDPOINT, type ResolvedScope, resolveScope, type Scope } from "./scope.ts";
import { sketchOf } from "../explain/sketch.ts";
import type { StreamProtocol } from "../stream/protocol.ts";
import { streamProtocol } from "../stream/protocols.ts";

/** A request the cache may answer. */
export interface CacheRequest {
  readonly model: string;
  readonly body: JsonObject;
  readonly shape: SampleShape;
  /** How its endpoint streams; `undefined` when it does not, or nobody here knows how. */
  readonly protocol: StreamProtocol | undefined;
  readonly key: Key;
  /** The key, as a text to tell requests apart by. */
  readonly id: string;
  /** Who is asked. */
  readonly provider: string;
  /** What is stored beside its answers. Made when it is needed: a hit needs none. */
  record(): RequestRecord;
  /** What the key leaves out of what was asked: it may be what a provider refuses. */
  unkeyed(): string;
}

/** A request the cache must not answer, and why. */
export interface BypassedRequest {
  readonly model: string;
  readonly body: JsonObject;
  readonly bypass: string;
}

/** Whether the cache may answer a request. */
export function isKeyed(request: CacheRequest | BypassedRequest): request is CacheRequest {
  return "key" in request;
}

/** What a cache brings to every request. */
export interface RequestDefaults {
  readonly namespace: string;
  readonly ignore: IgnoreList;
  readonly sha256: Sha256;
}

/** How to read a request. */
export interface Reading {
  /** The caller's own reason against the cache, if there is one; such a request needs no key. */
  readonly bypass?: string | undefined;
  /** How many samples are wanted, where the body is not to say. */
  readonly samples?: number;
  /** It was divided into requests for one input each, of which this is one. */
  readonly isItem?: boolean;
  /** What the files are that it names. */
  readonly files?: FileDigests;
}

const NO_FILES: readonly string[] = [];

/**
 * Reads a request.
 *
 * @throws TypeError when the body is no object, has no canonical JSON, has a bad `n`, or cannot tell who is asked.
 * @throws NamesFileError when the body names a file and {@link Reading.files} does not say what that is.
 */
export function readRequest(
  body: unknown,
  scope: Scope,
  defaults: RequestDefaults,
  { bypass, samples, isItem = false, files }: Reading = {},
): CacheRequest | BypassedRequest {
  const sent = asSent(body);
  const resolved = resolveScope(sent, scope, defaults.namespace);
  const { model, namespace, provider, endpoint, identity } = resolved;
  const reason = bypass ?? reasonAgainst(resolved, sent, isItem);
  if (reason !== undefined) return { model, body: sent, bypass: reason };
  const shape = samples === undefined ? sampleShape(endpoint, sent) : manySamples(endpoint, sent, samples);
  const ignore = ignoredFields(endpoint, defaults.ignore);
  const keyed = files?.size ? withContents(sent, ignore, files) : { body: sent, files: NO_FILES };
  const asked = { namespace, provider, endpoint, identity, body: keyed.body, files: keyed.files };
  const computed = keyOf(asked, ignore, defaults.sha256);
  if (computed === undefined) {
    return { model, body: sent, bypass: `the request is longer than ${MAX_LENGTH} characters` };
  }
  const { key, canonicalBody } = computed;
  return {
    model,
    body: sent,
    shape,
    protocol: streamProtocol(endpoint),
    key,
    // One character a byte: no dearer than hexadecimal to tell apart, and cheaper to make.
    id: String.fromCharCode.apply(undefined, key as unknown as number[]),
    provider,
    record() {
      const scope = { namespace, provider, endpoint, identity };
      const sketch = sketchOf({ ...scope, body: JSON.parse(canonicalBody) });
      return { key, ...scope, body: encodeText(canonicalBody), sketch };
    },
    unkeyed: () => JSON.stringify(Object.entries(sent).filter(([name]) => ignore.has(name))),
  };
}

/** The files that a request names, which have to be read before it can be. */
export function filesOf(body: unknown, { endpoint = DEFAULT_ENDPOINT }: Scope, { ignore }: RequestDefaults): URL[] {
  return fileUrls(asSent(body), ignoredFields(endpoint, ignore));
}

function asSent(body: unknown): JsonObject {
  const sent = valueAsSent(body, "");
  if (!isJsonObject(sent)) throw new TypeError(`Cannot read a request (a JSON object is needed): ${typeof body}`);
  return sent;
}

function keyOf(request: KeyedRequest, ignore: ReadonlySet<string>, sha256: Sha256): RequestKey | undefined {
  try {
    return requestKey(request, ignore, sha256);
  } catch (error) {
    if (error instanceof TooLongError) return undefined;
    throw error;
  }
}

/** Why a request's answer would not do for another with the same key. */
function reasonAgainst(
  { endpoint }: Omit<ResolvedScope, "model">,
  body: JsonObject,
  isItem: boolean,
): string | undefined {
  const credentials = reasonInCredentials(body);
  if (credentials !== undefined) return credentials;
  const kind = endpointKind(endpoint);
  // The key leaves `encoding_format` out, for calls that keep vectors by text and serve either form.
  if (kind === "embeddings" && !isItem) return "embeddings are not cached as whole answers";
  if (kind !== "responses") return undefined;
  if (body.conversation !== undefined && body.conversation !== null) return "the request continues a conversation";
  return body.background === true ? "the request runs in the background" : undefined;
}
