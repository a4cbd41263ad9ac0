/**
 * The providers that the proxy stands in front of: where each is, and in whose words to speak for it.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { ApiError } from "../api_error.ts";

/** A provider that is reached through the proxy. */
export interface Upstream {
  /** The first segment of the paths under which it is reached, and the provider in the scope of its entries. */
  readonly name: string;
  /** Where it is: scheme, host and the beginning of the path, without a slash at the end. */
  readonly url: string;
  /** The credential that takes the place of the caller's. */
  readonly apiKey: string | undefined;
  /** How long it may take until an answer begins. */
  readonly answerTimeout: Milliseconds;
  /** How long it may be silent in the middle of one. */
  readonly idleTimeout: Milliseconds;
}

/** Whose words errors are told in, and which header a credential is sent in. */
export type Dialect = "openai" | "anthropic" | "google";

/**
 * Where a request to the proxy goes. The path is passed on as it was written.
 *
 * @throws ApiError 404 for a path that is another one once `..` is followed, or that has the upstream's name in escapes:
 * routes are chosen by the text, and what stood behind the name could then name another host.
 */
export function addressAt({ name, url }: Upstream, { pathname, search }: URL): URL {
  const rest = pathname.slice(name.length + 1);
  if (pathname.startsWith(`/${name}`) && /^(?:\/|$)/.test(rest)) return new URL(`${url}${rest}${search}`);
  throw new ApiError(404, "invalid_request_error", "Unknown request URL: it does not begin with an upstream's name", {
    code: "unknown_url",
  });
}

const DIALECTS: Readonly<Record<string, Dialect>> = {
  "https://api.anthropic.com": "anthropic",
  "https://generativelanguage.googleapis.com": "google",
};

/** The dialect that the client of a request understands. */
export function dialectOf({ name }: Upstream, { origin, pathname }: URL, headers: Headers): Dialect {
  if (name === "anthropic" || name === "google") return name;
  if (Object.hasOwn(DIALECTS, origin)) return DIALECTS[origin]!;
  if (headers.has("anthropic-version")) return "anthropic";
  return headers.has("x-goog-api-key") || /\/models\/[^/]+:[A-Za-z]+$/.test(pathname) ? "google" : "openai";
}
