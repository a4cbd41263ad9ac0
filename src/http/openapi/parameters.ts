/**
 * Headers that several routes read or send.
 *
 * @module
 */

import { MODES } from "../../cache/mode.ts";
import { IGNORED_HEADER, STRICT_HEADER } from "../field_names.ts";
import type { Parameter } from "./operation.ts";

/** What a request may say to the cache; `src/http/cache_directives.ts` reads it. */
export const CACHE_PARAMETERS: readonly Parameter[] = [
  {
    name: "Cache-Control",
    in: "header",
    description: "`no-store`: neither read nor store. `no-cache`: a new answer in place of the stored one. " +
      "`only-if-cached`: from the cache or not at all. `max-age=60`: a stored answer may be 60 seconds old at most.",
  },
  {
    name: "X-Warmcache-Mode",
    in: "header",
    description: "How to use the cache, by its name.",
    schema: { type: "string", enum: MODES },
  },
  {
    name: "X-Warmcache-Ttl",
    in: "header",
    description: "How long the answer may be served: seconds, or a duration such as `12h`.",
  },
  {
    name: "X-Warmcache-Namespace",
    in: "header",
    description: "Keeps entries apart that would have the same key.",
  },
  {
    name: "X-Warmcache-Tags",
    in: "header",
    description: "Words, with commas between, by which entries can be removed together.",
  },
];

/** Of requests to models of this server's. */
export const LOCAL_PARAMETERS: readonly Parameter[] = [...CACHE_PARAMETERS, {
  name: STRICT_HEADER,
  in: "header",
  description: "`true`: fields that nobody knows are refused, not passed over.",
}];

/** How an answer fared in the cache. */
export const CACHE_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Status": "How the request fared in the cache (RFC 9211): `warmcache; hit`, or why not.",
  Age: "Of a stored answer, how many seconds ago it was made.",
};

/** The same, and what was passed over. */
export const LOCAL_HEADERS: Readonly<Record<string, string>> = {
  ...CACHE_HEADERS,
  [IGNORED_HEADER]: "The names of fields that nobody knows.",
};

/** Of answers that are made with a model's name. */
export const EXAMPLE_MODEL = "kjv-tiny";
