/**
 * `/cache`, and the upstreams of the proxy in front of which the cache stands.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { Upstream } from "../proxy/upstream.ts";
import { MESSAGE, questionSchema } from "../store/store_routes.ts";
import { named, type Operation } from "./operation.ts";
import { CACHE_HEADERS, CACHE_PARAMETERS } from "./parameters.ts";
import { cacheStatistics, explanation } from "./schemas/cache_answers.ts";

const message = z.unknown().openapi({ description: 'Bytes of `openCache({ backend: "remote" })`.' });

/** What people, and caches elsewhere, ask of the cache. */
export const CACHE_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/cache/stats",
    tag: "Cache",
    summary: "What the cache has done",
    description: "Without the models of other keys.",
    scope: "cache",
    answers: { 200: { description: "Counts.", content: { "application/json": { schema: cacheStatistics } } } },
    errors: [503],
  },
  {
    method: "post",
    path: "/cache/explain",
    tag: "Cache",
    summary: "Why a request is a hit, or none",
    description: "Names the stored requests that resemble it most, and the JSON paths in which they differ.",
    scope: "cache",
    body: {
      "application/json": {
        schema: named("ExplainRequest", questionSchema),
        example: {
          request: { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] },
          provider: "openai",
          endpoint: "/v1/chat/completions",
        },
      },
    },
    answers: { 200: { description: "What is known of it.", content: { "application/json": { schema: explanation } } } },
    errors: [400, 413, 503],
  },
  ...(["calls", "list"] as const).map((name): Operation => ({
    method: "post",
    path: `/cache/v1/${name}`,
    tag: "Cache",
    summary: name === "calls" ? "Calls of a remote cache" : "A remote cache's list",
    description: 'For `openCache({ backend: "remote" })`: its own messages, which are no JSON.',
    scope: "cache",
    body: { [MESSAGE]: { schema: message } },
    answers: { 200: { description: "Its answer.", content: { [MESSAGE]: { schema: message } } } },
    errors: [400, 413, 415],
  })),
];

const anything = z.unknown().openapi({ description: "The provider's own." });

/** A path for all paths of a provider: they are passed on as they are. */
export function proxyOperations({ name }: Upstream): Operation[] {
  return (["get", "post", "put", "patch", "delete"] as const).map((method) => ({
    method,
    path: `/${name}/{path}`,
    tag: "Proxy",
    summary: `Ask ${name}`,
    description:
      "What the cache can answer it answers; everything else is passed on as it is, both ways. Errors of the " +
      "proxy's own are told in the provider's words. The path may have slashes. The provider's credential is sent as usual.",
    scope: "proxy",
    hasForeignAuthorization: true,
    parameters: [
      { name: "path", in: "path", description: "The provider's path.", example: "v1/models" },
      ...method === "post" ? CACHE_PARAMETERS : [],
    ],
    ...method !== "get" && method !== "delete" && { body: { "*/*": { schema: anything } } },
    answers: {
      default: {
        description: "The provider's answer, or the cache's.",
        headers: CACHE_HEADERS,
        content: { "*/*": { schema: anything } },
      },
    },
    errors: [502, 504],
  }));
}
