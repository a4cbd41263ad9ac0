/**
 * Two kinds of credentials meet at the proxy: the caller's for this server, and somebody's for the provider. Ours never
 * reaches a provider; the caller's for the provider goes there and nowhere else; and where the server has one of its own
 * for the provider, that takes its place.
 *
 * @module
 */

import { ApiError } from "../errors.ts";
import { type ApiKeys, bearerToken, KEY_HEADER, unauthenticated } from "../auth.ts";
import { isHere } from "./pages.ts";
import type { Dialect, Upstream } from "./upstream.ts";

/** A request that may pass. */
export interface Admitted {
  /** The id of the caller's key; `undefined` where the server asks for none. */
  readonly keyId: string | undefined;
}

const HEADERS: Readonly<Record<Dialect, string>> = {
  openai: "authorization",
  anthropic: "x-api-key",
  google: "x-goog-api-key",
};
const PLACES: readonly string[] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/**
 * Checks who asks, and puts into `headers` and `address`, which are what the provider will see, the credential that is
 * his to see.
 *
 * @throws ApiError 401 without a key of ours where one is needed; 403 for a web page of another machine's.
 */
export function admit(
  request: Headers,
  { headers, address, upstream, dialect, keys }: {
    readonly headers: Headers;
    readonly address: URL;
    readonly upstream: Upstream;
    readonly dialect: Dialect;
    readonly keys: ApiKeys | undefined;
  },
): Admitted {
  const given = [...PLACES.map((name) => tokenIn(name, headers)), keyIn(address)];
  const keyId = keys && ownerOf(request.get(KEY_HEADER), given, upstream, keys);
  if (keys === undefined && upstream.apiKey !== undefined) refuseForeignPages(request);
  if (upstream.apiKey !== undefined) {
    replace(headers, address, upstream.apiKey, dialect);
    return { keyId };
  }
  if (keys !== undefined) removeOurs(keys, headers, address);
  return { keyId };
}

function ownerOf(
  own: string | null,
  given: readonly (string | undefined)[],
  { name, apiKey }: Upstream,
  keys: ApiKeys,
): string {
  const ids = given.map((token) => keys.idOf(token)).filter((id) => id !== undefined);
  const id = own === null ? (apiKey === undefined ? undefined : ids[0]) : keys.idOf(own);
  if (id !== undefined) return id;
  if (own === null && ids.length > 0) {
    throw unauthenticated(
      `The server has no credential of its own for ${name}: send its key as ${KEY_HEADER}, and the provider's as usual`,
    );
  }
  throw unauthenticated(`Missing or incorrect API key of this server: send it as ${KEY_HEADER}`);
}

/** However often a credential is given, and in whatever scheme. */
function removeOurs(keys: ApiKeys, headers: Headers, address: URL): void {
  for (const name of PLACES) {
    const given = headers.get(name)?.split(",") ?? [];
    const tokens = given.flatMap((value) => [value.trim(), value.trim().replace(/^\S+\s+/, "")]);
    if (tokens.some((token) => keys.idOf(token) !== undefined)) headers.delete(name);
  }
  if (keyIn(address) === undefined) return;
  for (const key of address.searchParams.getAll("key")) {
    if (keys.idOf(key) !== undefined) address.searchParams.delete("key", key);
  }
}

function tokenIn(name: string, headers: Headers): string | undefined {
  const value = headers.get(name);
  return name === "authorization" ? bearerToken(value) : value ?? undefined;
}

function keyIn(address: URL): string | undefined {
  return address.search === "" ? undefined : address.searchParams.get("key") ?? undefined;
}

/** In the place where the caller's was, unless the provider is known to want it elsewhere. */
function replace(headers: Headers, address: URL, apiKey: string, dialect: Dialect): void {
  const place = dialect === "openai" ? PLACES.find((name) => headers.has(name)) : undefined;
  for (const name of PLACES) headers.delete(name);
  if (keyIn(address) !== undefined) address.searchParams.delete("key");
  const name = place ?? HEADERS[dialect];
  headers.set(name, name === "authorization" ? `Bearer ${apiKey}` : apiKey);
}

/**
 * Any page that a browser on this machine shows can send requests here; it shall not have them paid for. A page whose
 * host's name has been made to mean this machine is told by that name: its GETs have no `Origin`.
 */
function refuseForeignPages(request: Headers): void {
  const origin = request.get("Origin");
  const host = request.get("Host");
  const isForeign = request.get("Sec-Fetch-Site") === "cross-site" && origin === null;
  if (!isForeign && (origin === null || isHere(origin)) && (host === null || isHere(`http://${host}`))) return;
  const page = origin ?? (isForeign ? "another site" : `http://${host}`);
  throw new ApiError(403, "authentication_error", `A page of ${page} may not use the server's credentials`, {
    code: "foreign_origin",
  });
}
