/**
 * Who may use the server: keys of its own, each with an id by which it is spoken of. OpenAI's clients send theirs as a
 * bearer token (RFC 6750); `X-Warmcache-Key` is for requests whose `Authorization` is somebody else's.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { hexOf } from "../runtime/hex.ts";
import { ApiError } from "./errors.ts";

/** The header of our own in which a key comes. */
export const KEY_HEADER = "X-Warmcache-Key";

/** Paths that answer anybody: whoever watches a server has no key for it. */
const OPEN_PATHS = new Set(["/health"]);

const WITH_ID = /^([A-Za-z0-9._-]{1,64})=(?!=*$)(.+)$/;

/** The keys that a server takes. It keeps their digests only. */
export class ApiKeys {
  readonly #ids = new Map<string, string>();
  readonly #sha256: (bytes: Uint8Array) => Uint8Array;

  /**
   * @param given keys, or `id=key`. The id of a key without one is the first 12 hexadecimal digits of its SHA-256.
   * @throws TypeError for an empty key, and for two keys with one id or two ids with one key.
   */
  constructor(given: readonly string[], sha256: (bytes: Uint8Array) => Uint8Array) {
    this.#sha256 = sha256;
    const ids = new Set<string>();
    for (const each of given) {
      // Else a variable that was left empty would look like protection, and no request could ever pass.
      if (each.trim() === "") {
        throw new TypeError("Cannot start a server with an empty API key: leave it out, or give one");
      }
      const [, named, key = each] = WITH_ID.exec(each) ?? [];
      const digest = this.#digest(key);
      const id = named ?? digest.slice(0, 12);
      if (ids.has(id) || this.#ids.has(digest)) {
        throw new TypeError(`Cannot start a server with two API keys that are not told apart: ${id}`);
      }
      ids.add(id);
      this.#ids.set(digest, id);
    }
  }

  /** The id of a key; `undefined` for what is none of them. How long that takes says nothing about the keys. */
  idOf(key: string | undefined): string | undefined {
    return key === undefined ? undefined : this.#ids.get(this.#digest(key));
  }

  #digest(key: string): string {
    return hexOf(this.#sha256(new TextEncoder().encode(key)));
  }
}

/** The token in an `Authorization` header. */
export function bearerToken(authorization: string | null | undefined): string | undefined {
  return /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1];
}

/** Lets only requests with one of these keys pass. */
export function authenticate(keys: ApiKeys): MiddlewareHandler {
  return async (context, next) => {
    if (!OPEN_PATHS.has(context.req.path)) {
      const key = context.req.header(KEY_HEADER) ?? bearerToken(context.req.header("Authorization"));
      const id = keys.idOf(key);
      if (id === undefined) throw unauthenticated("Missing or incorrect API key in the Authorization header");
      setKeyId(context, id);
    }
    await next();
  };
}

/** What is said to whoever has no key. */
export function unauthenticated(message: string): ApiError {
  return new ApiError(401, "authentication_error", message, {
    code: "invalid_api_key",
    headers: { "WWW-Authenticate": "Bearer" },
  });
}

type Authenticated = Context<{ Variables: { apiKeyId: string | undefined } }>;

function setKeyId(context: Context, id: string): void {
  (context as Authenticated).set("apiKeyId", id);
}

/** The id of the key by which {@link authenticate} has let a request pass; `undefined` where none is needed. */
export function keyIdOf(context: Context): string | undefined {
  return (context as Authenticated).get("apiKeyId");
}
