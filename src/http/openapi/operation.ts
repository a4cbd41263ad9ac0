/**
 * One route as it is described here, and how that is said in OpenAPI. What all routes have in common (request ids, keys,
 * the shape of errors) is said once, here.
 *
 * @module
 */

import type { OpenAPIHono, z } from "@hono/zod-openapi";
import { KEY_HEADER, type KeyScope } from "../auth.ts";
import { error } from "./schemas/common.ts";

/** What descriptions are registered with. */
export type Registry = OpenAPIHono["openAPIRegistry"];

/** How a body looks: with a schema, or just of a type. */
export interface Content {
  readonly schema: z.ZodType;
  readonly example?: unknown;
}

/** Something in the path, the query or the headers of a request. */
export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly example?: string;
  /** What it may be: OpenAPI's own schema. Default: a text. */
  readonly schema?: Readonly<Record<string, unknown>>;
}

/** An answer. */
export interface Answer {
  readonly description: string;
  /** By media type. */
  readonly content?: Readonly<Record<string, Content>>;
  /** What its headers mean, by name. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A route. */
export interface Operation {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** With `{name}` for what varies. */
  readonly path: string;
  /** The group it is shown in. */
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** What a key has to open; absent where anybody is answered. */
  readonly scope?: KeyScope;
  /** Whether the key has to come in the server's own header, since `Authorization` is a provider's. */
  readonly hasForeignAuthorization?: boolean;
  readonly parameters?: readonly Parameter[];
  /** By media type. */
  readonly body?: Readonly<Record<string, Content>>;
  /** By status. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** Statuses of errors that it has besides those that every route has. */
  readonly errors?: readonly number[];
}

/** A schema of a route's as one that has a name: a copy, since Zod learnt to name schemas after that one was made. */
export function named(name: string, schema: z.ZodType): z.ZodType {
  return schema.clone().openapi(name);
}

/** What an error's status means. */
export const ERRORS: Readonly<Record<number, string>> = {
  400: "The request cannot be followed as it is; `param` names the field.",
  401: "No API key, or none of the server's.",
  403: "The key does not open this; or the request's `Host` or `Origin` is none that the server answers to.",
  404: "There is no such thing.",
  413: "The body is too long.",
  415: "The body is not of a type that is taken here.",
  429: "Too much at once, or too often: ask again after `Retry-After`.",
  500: "Something that nobody foresaw; the log has it under the request's id.",
  502: "The upstream did not answer.",
  503: "Not now, such as a model that is still loading: ask again after `Retry-After`.",
  504: "It was asked for from the cache alone, and is not there; or the upstream took too long.",
};

const AFTER = [429, 503];

/** Registers what answers and errors refer to. */
export function registerCommon(registry: Registry): void {
  registry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "An API key of the server's, where it has some. What it opens are its scopes.",
  });
  registry.registerComponent("securitySchemes", "header", {
    type: "apiKey",
    in: "header",
    name: KEY_HEADER,
    description: "The same, for requests whose `Authorization` is somebody else's.",
  });
  registry.registerComponent("headers", "X-Request-Id", {
    description: "What the log knows the request by: the caller's own, if it has sent one.",
    schema: { type: "string" },
  });
  registry.registerComponent("headers", "Retry-After", {
    description: "Seconds.",
    schema: { type: "string" },
  });
}

/**
 * Registers a route.
 *
 * @param hasKeys whether the server has keys: without any, everything but `/admin` is open.
 */
export function registerOperation(registry: Registry, operation: Operation, hasKeys: boolean): void {
  const { method, path, tag, summary, description, scope, parameters = [], body, answers, errors = [] } = operation;
  const statuses = [...scope === undefined ? [403, 429, 500] : [401, 403, 429, 500], ...errors].sort();
  registry.registerPath({
    method,
    path,
    tags: [tag],
    summary,
    operationId: `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, "_").replace(/_$/, "")}`,
    ...description !== undefined && { description },
    security: securityOf(operation, hasKeys),
    parameters: parameters.map(({ schema = { type: "string" }, ...parameter }) => {
      return { ...parameter, schema, required: parameter.in === "path" };
    }),
    ...body !== undefined && { request: { body: { required: true, content: body } } },
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([status, answer]) => [status, responseOf(answer)]),
      ...statuses.map((status) => [String(status), errorResponseOf(status)]),
    ]),
  });
}

function securityOf(
  { scope, hasForeignAuthorization = false }: Operation,
  hasKeys: boolean,
): Record<string, string[]>[] {
  if (scope === undefined) return [];
  const keys = [...hasForeignAuthorization ? [] : [{ bearer: [scope] }], { header: [scope] }];
  return hasKeys || scope === "admin" ? keys : [{}, ...keys];
}

type Response = Parameters<Registry["registerPath"]>[0]["responses"][string];

function responseOf({ description, content, headers = {} }: Answer): Response {
  const own = Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: "string" } }]);
  return {
    description,
    ...content !== undefined && { content },
    headers: { ...Object.fromEntries(own), ...headerRef("X-Request-Id") },
  };
}

function errorResponseOf(status: number): Response {
  return {
    description: ERRORS[status]!,
    content: { "application/json": { schema: error } },
    headers: { ...AFTER.includes(status) && headerRef("Retry-After"), ...headerRef("X-Request-Id") },
  };
}

function headerRef(name: string): Record<string, { $ref: string }> {
  return { [name]: { $ref: `#/components/headers/${name}` } };
}
