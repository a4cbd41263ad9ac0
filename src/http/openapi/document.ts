/**
 * The description of the whole server in OpenAPI 3.1. Bodies of requests are described by the very schemas that the
 * routes check them with; a test has every answer of a running server checked against the document, and fails on a route
 * that is not in it. Nothing here is loaded before somebody asks for it.
 *
 * @see https://spec.openapis.org/oas/v3.1.0
 * @module
 */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { ServerParts } from "../parts.ts";
import { ADMIN_OPERATIONS } from "./admin_operations.ts";
import { CACHE_OPERATIONS, proxyOperations } from "./cache_operations.ts";
import { DASHBOARD_OPERATIONS } from "./dashboard_operations.ts";
import { MODEL_OPERATIONS } from "./model_operations.ts";
import { type Operation, registerCommon, registerOperation } from "./operation.ts";
import { SERVER_OPERATIONS } from "./server_operations.ts";

/** An OpenAPI document. */
export type OpenApiDocument = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

/** What the description depends on. */
export type DescribedParts = Pick<ServerParts, "version" | "upstreams" | "apiKeys">;

const TAGS: Readonly<Record<string, string>> = {
  Models: "Models of this machine, as OpenAI's clients ask for them.",
  Probes: "What an adapter changes in its base.",
  Proxy: "Providers elsewhere, with the cache in front of them.",
  Cache: "What the cache knows.",
  Server: "What the server tells of itself.",
  Dashboard: "Pages for people.",
  Admin: "What operators do. Needs a key with the scope `admin`, on this machine, too.",
};

const DESCRIPTION =
  "A response cache for LLM calls, and a server that keeps ONNX models warm. Where it has API keys, send " +
  "one as a bearer token. Every answer has an `X-Request-Id`; every error has the same form.";

/** All routes of a server. */
export function operationsOf({ upstreams }: DescribedParts): readonly Operation[] {
  return [
    ...MODEL_OPERATIONS,
    ...upstreams.flatMap(proxyOperations),
    ...CACHE_OPERATIONS,
    ...SERVER_OPERATIONS,
    ...DASHBOARD_OPERATIONS,
    ...ADMIN_OPERATIONS,
  ];
}

/** Describes a server. */
export function describeServer(parts: DescribedParts): OpenApiDocument {
  const described = new OpenAPIHono();
  const registry = described.openAPIRegistry;
  registerCommon(registry);
  for (const operation of operationsOf(parts)) registerOperation(registry, operation, parts.apiKeys !== undefined);
  const { webhooks: _, ...document } = described.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "warmcache",
      version: parts.version,
      description: DESCRIPTION,
      license: { name: "MIT" },
    },
    servers: [{ url: "/", description: "Where this document is." }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  });
  return document;
}
