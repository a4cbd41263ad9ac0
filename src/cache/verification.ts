/**
 * Verifying a cache: what callers may say, and what only the cache can tell, namely whether a request has the key that it
 * is stored under.
 *
 * @module
 */

import { hexOf } from "../runtime/hex.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { RequestRecord } from "../store/store.ts";
import type { VerifyOptions } from "../store/verify.ts";
import type { JsonObject } from "./json.ts";
import { decodeText } from "./json.ts";
import { requestKey, type Sha256 } from "./request/key.ts";

/** What to look at, and how closely. */
export type CacheVerifyOptions = Omit<VerifyOptions, "checkKey">;

const VERIFY_OPTIONS = ["model", "deep", "mostProblems", "onProgress", "signal"];
const FILE_DIGEST = /^sha256:[0-9a-f]{64}$/;
const NOTHING: ReadonlySet<string> = new Set();

/**
 * What a store is asked to verify.
 *
 * @throws TypeError, RangeError for what means nothing.
 */
export function verification(options: CacheVerifyOptions, sha256: Sha256): VerifyOptions {
  refuseUnknownOptions("verify a cache", options, VERIFY_OPTIONS);
  const { model, deep, mostProblems, onProgress } = options;
  if (model !== undefined && typeof model !== "string") {
    throw new TypeError(`Cannot verify a cache: model has to be a string: ${String(model)}`);
  }
  if (deep !== undefined && typeof deep !== "boolean") {
    throw new TypeError(`Cannot verify a cache: deep has to be true or false: ${String(deep)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new TypeError(`Cannot verify a cache: onProgress is no function: ${typeof onProgress}`);
  }
  if (mostProblems !== undefined && !(Number.isSafeInteger(mostProblems) && mostProblems >= 0)) {
    throw new RangeError(`Cannot verify a cache: mostProblems must be 0 or more: ${String(mostProblems)}`);
  }
  return { ...options, checkKey: (request) => wrongKey(request, sha256) };
}

/**
 * Says what is wrong with a stored request's key (docs/key.md); `undefined` where it is right. What was ignored is not in
 * the stored body either, so nothing else has to be known.
 */
export function wrongKey(request: RequestRecord, sha256: Sha256): string | undefined {
  let body: JsonObject;
  try {
    body = JSON.parse(decodeText(request.body)) as JsonObject;
    const { namespace, provider, endpoint, identity } = request;
    const scope = { namespace, provider, endpoint, identity, body };
    const isRight = (files: readonly string[]): boolean =>
      isEqual(requestKey({ ...scope, files }, NOTHING, sha256).key, request.key);
    if (isRight([])) return undefined;
    // Which places of the body stand for files is hashed, and not stored: those that look so.
    const files = [...filesIn(body, "")].sort((left, right) => left < right ? -1 : left > right ? 1 : 0);
    if (files.length > 0 && isRight(files)) return undefined;
    return `the key ${
      hexOf(request.key)
    } is not that of the request stored with it: by another version of the key, or ` +
      "put by a program that makes keys of its own";
  } catch {
    return "the request stored with it is no JSON, so its key cannot be checked";
  }
}

/** JSON Pointers (RFC 6901) to all that looks like the content of a file. */
function* filesIn(value: unknown, pointer: string): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  const members = Object.entries(value);
  if (members.length === 1 && members[0]![0] === "file" && FILE_DIGEST.test(String(members[0]![1]))) yield pointer;
  for (const [name, member] of members) {
    yield* filesIn(member, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
  }
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && left.every((byte, at) => byte === right[at]);
}
