/**
 * Who may use the server, and for what: keys of its own, each with an id by which it is spoken of and scopes that say
 * what it opens. OpenAI's clients send theirs as a bearer token; `X-Warmcache-Key` is for requests whose `Authorization`
 * is somebody else's.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750 bearer tokens, and what is said to whoever has none or the wrong one
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { hexOf } from "../runtime/hex.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { ApiError } from "./api_error.ts";
import type { ServerParts } from "./parts.ts";

/** The header of our own in which a key comes. */
export const KEY_HEADER = "X-Warmcache-Key";

/** What the names of cookies of our own begin with. */
export const OWN_COOKIES = "warmcache_";

/**
 * What a key opens: `models` `/v1`, `/run` and `/score`; `proxy` the upstreams; `cache` `/cache`; `status` `/stats`,
 * `/metrics`, the dashboard and what `/health` has to tell; `admin` `/admin`.
 */
export type KeyScope = "models" | "proxy" | "cache" | "status" | "admin";

/** All of them. */
export const KEY_SCOPES: readonly KeyScope[] = ["models", "proxy", "cache", "status", "admin"];

/** What a key opens of which nothing else is said: everything but what changes the server for all. */
const DEFAULT_SCOPES: readonly KeyScope[] = ["models", "proxy", "cache", "status"];

/** A key that a server takes: said outright, or where it is, or by its digest. */
export interface ApiKeyOptions {
  /**
   * What it is called in logs, statistics and the cache's namespaces: 1 to 64 letters, digits, `.`, `_` and `-`. Default:
   * the first 12 hexadecimal digits of its SHA-256.
   */
  readonly id?: string;
  /** The key itself, taken as it is, with every `=` in it. */
  readonly key?: string;
  /** The environment variable that has it. */
  readonly keyEnvironment?: string;
  /** Its SHA-256 in hexadecimal, so that nothing secret is in the settings. */
  readonly sha256?: string;
  /** What it opens. Default: everything but `admin`. */
  readonly scopes?: readonly KeyScope[];
  /** How many requests a minute it may make. Default: what the server allows every key. */
  readonly requestsPerMinute?: number;
}

/** Who has a key. */
export interface KeyHolder {
  readonly id: string;
  readonly scopes: ReadonlySet<KeyScope>;
  /** `undefined`: what the server allows every key. */
  readonly requestsPerMinute: number | undefined;
}

const OPTIONS: Record<keyof ApiKeyOptions, true> = {
  id: true,
  key: true,
  keyEnvironment: true,
  sha256: true,
  scopes: true,
  requestsPerMinute: true,
};

const ID = /^[A-Za-z0-9._-]{1,64}$/;
const DIGEST = /^[0-9a-f]{64}$/i;
const WITH_ID = /^([A-Za-z0-9._-]{1,64})=(?!=*$)(.+)$/;

/** How much of a digest is no secret: in hexadecimal it is the id of a key that has no other. */
const OPEN_BYTES = 6;

const encoder = new TextEncoder();

/**
 * Reads a key as it is written where there is room for one word: `key`, or `id=key`. What stands before the first `=` is
 * an id where it can be one and something other than `=` stands behind, as it does not in base64: a key like `a=b` has to
 * be written with an id, or as {@link ApiKeyOptions.key}.
 */
export function namedKey(text: string): Pick<ApiKeyOptions, "id" | "key"> {
  const [, id, key = text] = WITH_ID.exec(text) ?? [];
  return id === undefined ? { key } : { id, key };
}

/** Keys that are shorter can be guessed, however they were made. */
const FEWEST_CHARACTERS = 16;

/** The keys that a server takes. It keeps their digests only. */
export class ApiKeys {
  /** The ids of keys so short that they can be guessed; of what is known by its digest nobody can say. */
  readonly weak: readonly string[];
  /** By the part of their digests that is no secret. */
  readonly #known = new Map<number, { readonly digest: Uint8Array; readonly holder: KeyHolder }>();
  readonly #sha256: Runtime["sha256"];

  /**
   * @param given keys: each as {@link namedKey} reads it, or with what it opens.
   * @throws TypeError for an empty key, one that is said twice or not at all, an id that is none, a scope that is none,
   * and for two keys with one id or two ids with one key; RangeError for a rate that is none. None tells a key.
   */
  constructor(
    given: readonly (string | ApiKeyOptions)[],
    { sha256, environment }: Pick<Runtime, "sha256" | "environment">,
  ) {
    this.#sha256 = sha256;
    const ids = new Set<string>();
    const weak: string[] = [];
    for (const each of given) {
      const options = typeof each === "string" ? namedKey(each) : each;
      let isWeak = false;
      const digest = digestOf(options, (key) => {
        isWeak = key.length < FEWEST_CHARACTERS;
        return this.#digest(key);
      }, environment);
      const holder = holderFrom(options, digest);
      if (isWeak) weak.push(holder.id);
      const open = openPart(digest);
      if (ids.has(holder.id) || this.#known.has(open)) {
        throw new TypeError(`Cannot start a server with two API keys that are not told apart: ${holder.id}`);
      }
      ids.add(holder.id);
      this.#known.set(open, { digest, holder });
    }
    this.weak = weak;
  }

  /**
   * Who has a key; `undefined` for what is none of them. How long that takes tells nothing of the keys: it depends on the
   * digest of what is given, and, beyond the part of it that is no secret, not on where that differs from theirs.
   */
  holderOf(key: string | undefined): KeyHolder | undefined {
    if (key === undefined) return undefined;
    const digest = this.#digest(key);
    const known = this.#known.get(openPart(digest));
    return known !== undefined && isSame(known.digest, digest) ? known.holder : undefined;
  }

  #digest(key: string): Uint8Array {
    return this.#sha256(encoder.encode(key));
  }
}

function digestOf(
  options: ApiKeyOptions,
  digest: (key: string) => Uint8Array,
  environment: Runtime["environment"],
): Uint8Array {
  refuseUnknownOptions("take an API key", options, Object.keys(OPTIONS));
  const { id = "", key, keyEnvironment, sha256 } = options;
  const named = id === "" ? "" : ` ${JSON.stringify(id)}`;
  if ([key, keyEnvironment, sha256].filter((said) => said !== undefined).length !== 1) {
    throw new TypeError(`Cannot take the API key${named}: give one of key, keyEnvironment and sha256`);
  }
  if (sha256 !== undefined) {
    if (typeof sha256 === "string" && DIGEST.test(sha256)) return bytesOf(sha256);
    throw new TypeError(`Cannot take the API key${named}: its sha256 is not 64 hexadecimal digits`);
  }
  const said = keyEnvironment === undefined ? key : environment(keyEnvironment);
  if (said === undefined) {
    throw new TypeError(`Cannot take the API key${named}: the variable that has it is not set: ${keyEnvironment}`);
  }
  // Else a variable that was left empty would look like protection, and no request could ever pass.
  if (typeof said !== "string" || said.trim() === "") {
    throw new TypeError("Cannot start a server with an empty API key: leave it out, or give one");
  }
  return digest(said);
}

function holderFrom(
  { id, scopes = DEFAULT_SCOPES, requestsPerMinute }: ApiKeyOptions,
  digest: Uint8Array,
): KeyHolder {
  if (id !== undefined && !(typeof id === "string" && ID.test(id))) {
    throw new TypeError(
      `Cannot name an API key (1 to 64 letters, digits, ".", "_" and "-" are needed): ${JSON.stringify(id)}`,
    );
  }
  const name = id ?? hexOf(digest.subarray(0, OPEN_BYTES));
  if (!Array.isArray(scopes) || scopes.length === 0 || scopes.some((scope) => !KEY_SCOPES.includes(scope))) {
    const said = JSON.stringify(scopes);
    throw new TypeError(
      `Cannot take the API key ${name}: its scopes are not some of ${KEY_SCOPES.join(", ")}: ${said}`,
    );
  }
  if (requestsPerMinute !== undefined && !(requestsPerMinute > 0)) {
    throw new RangeError(`Cannot take the API key ${name}: requestsPerMinute has to be above 0: ${requestsPerMinute}`);
  }
  return { id: name, scopes: new Set(scopes), requestsPerMinute };
}

function openPart(digest: Uint8Array): number {
  let part = 0;
  for (let at = 0; at < OPEN_BYTES; at++) part = part * 256 + digest[at]!;
  return part;
}

/** Compares digests in a time that does not tell where they differ. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one[at]! ^ other[at]!;
  return difference === 0;
}

function bytesOf(hexadecimal: string): Uint8Array {
  return Uint8Array.from(hexadecimal.match(/../g)!, (digits) => parseInt(digits, 16));
}

/** The token in an `Authorization` header. */
export function bearerToken(authorization: string | null | undefined): string | undefined {
  return /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
}

/** The key that a request for the server itself comes with. */
export function presentedKey(headers: Headers): string | undefined {
  return headers.get(KEY_HEADER) ?? bearerToken(headers.get("Authorization"));
}

/**
 * Lets only those pass whose key has a scope. Without keys everybody passes, but to `admin`.
 *
 * @throws ApiError 401 without a key of the server's, 403 with one that does not open this.
 */
export function authorize({ apiKeys }: Pick<ServerParts, "apiKeys">, scope: KeyScope): MiddlewareHandler {
  return async (context, next) => {
    if (apiKeys !== undefined) {
      const key = presentedKey(context.req.raw.headers);
      const holder = apiKeys.holderOf(key);
      if (holder === undefined) throw unauthenticated("Missing or incorrect API key in the Authorization header", key);
      requireScope(holder, scope);
      setCaller(context, holder);
    } else if (scope === "admin") {
      throw new ApiError(
        403,
        "authentication_error",
        "The server has no API keys, and administration needs one: start it with --admin-key, or with a key of the scope admin",
        { code: "insufficient_scope", headers: { "WWW-Authenticate": challenge("insufficient_scope", "admin") } },
      );
    }
    await next();
  };
}

/**
 * Whether to tell whoever asks what a scope opens, on a route that answers anybody.
 */
export function mayKnow(request: Headers, { apiKeys }: Pick<ServerParts, "apiKeys">, scope: KeyScope): boolean {
  return apiKeys === undefined || (apiKeys.holderOf(presentedKey(request))?.scopes.has(scope) ?? false);
}

/**
 * Checks that a key opens what is asked for.
 *
 * @throws ApiError 403 naming the scope that it has not.
 */
export function requireScope({ id, scopes }: KeyHolder, scope: KeyScope): void {
  if (scopes.has(scope)) return;
  throw new ApiError(403, "authentication_error", `The API key ${id} does not have the scope ${scope}`, {
    code: "insufficient_scope",
    headers: { "WWW-Authenticate": challenge("insufficient_scope", scope) },
  });
}

/**
 * What is said to whoever has no key of the server's.
 *
 * @param given what he gave for one.
 */
export function unauthenticated(message: string, given?: string): ApiError {
  return new ApiError(401, "authentication_error", message, {
    code: "invalid_api_key",
    headers: { "WWW-Authenticate": challenge(given === undefined ? undefined : "invalid_token") },
  });
}

/** RFC 6750 section 3: who has shown nothing is told no error. */
function challenge(error?: "invalid_token" | "insufficient_scope", scope?: KeyScope): string {
  const said = { error, scope };
  const parameters = Object.entries(said).filter(([, value]) => value !== undefined);
  return `Bearer realm="warmcache"${parameters.map(([name, value]) => `, ${name}="${value}"`).join("")}`;
}

type Authenticated = Context<{ Variables: { keyHolder: KeyHolder | undefined } }>;

/** Notes by whose key a request was let pass. */
export function setCaller(context: Context, holder: KeyHolder): void {
  (context as Authenticated).set("keyHolder", holder);
}

/** By whose key {@link authorize} has let a request pass; `undefined` where none is needed. */
export function callerOf(context: Context): KeyHolder | undefined {
  return (context as Authenticated).get("keyHolder");
}

/** The id of that key. */
export function keyIdOf(context: Context): string | undefined {
  return callerOf(context)?.id;
}
