/**
 * What a request may say to the cache in its headers: `Cache-Control` (RFC 9111 section 5.2.1), and in headers of our own
 * what that has no word for.
 *
 * | header | means |
 * | --- | --- |
 * | `Cache-Control: no-store` | neither read nor store: mode `off` |
 * | `Cache-Control: no-cache` | buy a new answer in place of the stored one: mode `refresh` |
 * | `Cache-Control: only-if-cached` | from the cache or not at all: mode `replay` |
 * | `Cache-Control: max-age=60` | a stored answer may be 60 seconds old at most |
 * | `X-Warmcache-Mode` | any mode, by its name |
 * | `X-Warmcache-Ttl` | how long the answer may be served: seconds, or a duration such as `12h` |
 * | `X-Warmcache-Namespace` | keeps entries apart that would have the same key |
 * | `X-Warmcache-Tags` | words, with commas between, by which entries can be removed together |
 *
 * @module
 */

import type { CacheCallOptions } from "../cache/call_options.ts";
import { checkMode, type Mode } from "../cache/mode.ts";
import { parseDuration } from "../runtime/duration.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import { invalidRequest } from "./api_error.ts";

/** How headers of our own begin. They are the server's, and go no further. */
export const OWN_HEADERS = "x-warmcache-";

/** What the headers say; what they do not say is absent. */
export type CacheDirectives = Pick<CacheCallOptions, "mode" | "maxAge" | "ttl" | "namespace" | "tags">;

/**
 * Reads them. Where several are said, `only-if-cached` comes first, then `no-store`, both of which store nothing, then the mode by
 * its name, then `no-cache`.
 *
 * @throws ApiError 400 for what means nothing.
 */
export function readCacheDirectives(headers: Headers): CacheDirectives {
  const control = readCacheControl(headers.get("Cache-Control"));
  const maxAge = control.get("max-age");
  const ttl = headers.get("X-Warmcache-Ttl");
  const namespace = headers.get("X-Warmcache-Namespace");
  const tags = headers.get("X-Warmcache-Tags");
  const mode = modeOf(control, headers.get("X-Warmcache-Mode"));
  return {
    ...(mode !== undefined && { mode }),
    ...(maxAge !== undefined && { maxAge: secondsIn(maxAge) }),
    ...(ttl !== null && { ttl: lifetimeIn(ttl) }),
    ...(namespace !== null && { namespace }),
    ...(tags !== null && { tags: tags.split(",").map((tag) => tag.trim()).filter((tag) => tag !== "") }),
  };
}

const DIRECTIVE = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;

function readCacheControl(value: string | null): Map<string, string> {
  const directives = new Map<string, string>();
  for (const [, name, quoted, token] of (value ?? "").matchAll(DIRECTIVE)) {
    directives.set(name!.toLowerCase(), quoted ?? token ?? "");
  }
  return directives;
}

function modeOf(control: ReadonlyMap<string, string>, named: string | null): Mode | undefined {
  const mode = named?.trim().toLowerCase();
  try {
    if (mode !== undefined) checkMode(mode);
  } catch (error) {
    throw invalidRequest(`Invalid X-Warmcache-Mode: ${(error as Error).message}`);
  }
  if (control.has("only-if-cached")) {
    // Nothing that is stored would do.
    if (!control.has("no-cache")) return "replay";
    throw invalidRequest("Invalid Cache-Control: only-if-cached and no-cache leave nothing to answer with");
  }
  if (control.has("no-store")) return "off";
  return mode as Mode | undefined ?? (control.has("no-cache") ? "refresh" : undefined);
}

function secondsIn(value: string): Milliseconds {
  // RFC 9111 section 1.2.2: what is too large to count with is very long.
  if (/^\d+$/.test(value)) return Math.min(Number(value), 2 ** 31) * 1000;
  throw invalidRequest(`Invalid Cache-Control: max-age has to be a number of seconds: ${value}`);
}

function lifetimeIn(value: string): Milliseconds {
  const ttl = /^\d{1,10}$/.test(value.trim()) ? Number(value) * 1000 : parseDuration(value);
  if (ttl !== undefined && ttl > 0) return ttl;
  throw invalidRequest(`Invalid X-Warmcache-Ttl (seconds, or a duration such as 12h): ${value}`);
}
