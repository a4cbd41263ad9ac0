/**
 * Two kinds of credentials meet at the proxy: the caller's for this server, and somebody's for the provider. Ours never
 * reaches a provider; the caller's for the provider goes there and nowhere else; and where the server has one of its own
 * for the provider, that takes its place.
 *
 * @module
 */

import {
  type ApiKeys,
  bearerToken,
  KEY_HEADER,
  type KeyHolder,
  OWN_COOKIES,
  requireScope,
  unauthenticated,
} from "../auth.ts";
import type { Dialect, Upstream } from "./upstream.ts";

/** A request that may pass. */
export interface Admitted {
  /** Who has the caller's key; `undefined` where the server asks for none. */
  readonly holder: KeyHolder | undefined;
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
 * @throws ApiError 401 without a key of ours where one is needed; 403 for one that does not open the proxy.
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
  removeOwnCookies(headers);
  const given = (): (string | undefined)[] => [...PLACES.map((name) => tokenIn(name, headers)), keyIn(address)];
  const holder = keys && holderOf(request.get(KEY_HEADER), given, upstream, keys);
  if (upstream.apiKey !== undefined) {
    replace(headers, address, upstream.apiKey, dialect);
    return { holder };
  }
  if (keys !== undefined) removeOurs(keys, headers, address);
  return { holder };
}

function holderOf(
  own: string | null,
  given: () => readonly (string | undefined)[],
  { name, apiKey }: Upstream,
  keys: ApiKeys,
): KeyHolder {
  const holder = own === null ? firstOf(keys, given()) : keys.holderOf(own);
  if (holder === undefined) {
    throw unauthenticated(`Missing or incorrect API key of this server: send it as ${KEY_HEADER}`, own ?? undefined);
  }
  if (own === null && apiKey === undefined) {
    throw unauthenticated(
      `The server has no credential of its own for ${name}: send its key as ${KEY_HEADER}, and the provider's as usual`,
    );
  }
  requireScope(holder, "proxy");
  return holder;
}

function firstOf(keys: ApiKeys, tokens: readonly (string | undefined)[]): KeyHolder | undefined {
  let holder: KeyHolder | undefined;
  for (const token of tokens) holder ??= keys.holderOf(token);
  return holder;
}

/** However often a credential is given, and in whatever scheme. */
function removeOurs(keys: ApiKeys, headers: Headers, address: URL): void {
  for (const name of PLACES) {
    const given = headers.get(name)?.split(",") ?? [];
    const tokens = given.flatMap((value) => [value.trim(), value.trim().replace(/^\S+\s+/, "")]);
    if (tokens.some((token) => keys.holderOf(token) !== undefined)) headers.delete(name);
  }
  if (keyIn(address) === undefined) return;
  for (const key of address.searchParams.getAll("key")) {
    if (keys.holderOf(key) !== undefined) address.searchParams.delete("key", key);
  }
}

/** A browser sends those of the dashboard along to every path; a provider's own go on to it. */
function removeOwnCookies(headers: Headers): void {
  const cookies = headers.get("Cookie");
  if (cookies === null) return;
  const others = cookies.split(";").filter((cookie) => !cookie.trimStart().startsWith(OWN_COOKIES));
  if (others.length === 0) headers.delete("Cookie");
  else headers.set("Cookie", others.join(";").trimStart());
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
