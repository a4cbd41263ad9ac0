/** A server's OpenAPI document as an independent validator reads it, and the routes that the server really has. */

import assert from "node:assert/strict";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { SmartRouter } from "hono/router/smart-router";

/** As much of a document as tests read. */
export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** As much of an operation. */
export interface OpenApiOperation {
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

/** Checks what a server is sent and answers against its document. */
export class OpenApiChecker {
  readonly #document: OpenApi;
  readonly #ajv: Ajv2020;

  /** In answers, fields that the document does not have are found, too. */
  constructor(document: OpenApi) {
    this.#document = document;
    this.#ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
    this.#ajv.addFormat("date-time", (text: string) => !Number.isNaN(Date.parse(text)) && /T.*Z$/.test(text));
    this.#ajv.addFormat("date", (text: string) => /^\d{4}-\d\d-\d\d$/.test(text));
    this.#ajv.addSchema(document as object, "as-it-is");
    this.#ajv.addSchema(closed(document) as object, "closed");
  }

  /** The operation that answers a request, with its pointer. */
  find(method: string, path: string): { readonly operation: OpenApiOperation; readonly template: string } {
    const templates = Object.keys(this.#document.paths).filter((template) => {
      const pattern = template.split(/\{[^}]+\}/).map((part) => part.replaceAll(/[.*+?^$()|[\]\\]/g, "\\$&")).join(
        ".+",
      );
      return new RegExp(`^${pattern}$`).test(path);
    });
    // One without parameters comes first.
    const [template] = templates.sort((one, other) => one.split("{").length - other.split("{").length);
    const operation = template === undefined ? undefined : this.#document.paths[template]![method.toLowerCase()];
    assert.ok(operation !== undefined, `${method} ${path} is not described`);
    return { operation, template: template! };
  }

  /** Whether a body may be sent. */
  takes(method: string, path: string, body: unknown, type = "application/json"): boolean {
    const { template } = this.find(method, path);
    const pointer = ["paths", template, method.toLowerCase(), "requestBody", "content", type, "schema"];
    return this.#schema("as-it-is", pointer)(body) as boolean;
  }

  /** Fails unless an answer is one of those described: its status, its type, its body. */
  checkAnswer(method: string, path: string, status: number, type: string, body: unknown): void {
    const { operation, template } = this.find(method, path);
    const described = String(status) in operation.responses ? String(status) : "default";
    const told = `${method} ${path}: ${status}`;
    const answer = operation.responses[described];
    assert.ok(answer !== undefined, `${told} is not described`);
    const media = type.split(";")[0]!;
    const types = Object.keys(answer.content ?? {});
    const known = types.find((each) => each === media) ?? types.find((each) => each === "*/*");
    assert.ok(known !== undefined, `${told} may be ${types}, not ${media}`);
    if (known === "*/*" || !/json|event-stream/.test(known)) return;
    const pointer = ["paths", template, method.toLowerCase(), "responses", described, "content", known, "schema"];
    const validate = this.#schema("closed", pointer);
    assert.ok(
      validate(body),
      `${told}: ${this.#ajv.errorsText(validate.errors)}: ${JSON.stringify(body)?.slice(0, 500)}`,
    );
  }

  #schema(document: string, path: readonly string[]): ValidateFunction {
    const pointer = path.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    return this.#ajv.compile({ $ref: `${document}#/${pointer}` });
  }
}

/** The same schemas, but that an object has no fields that they do not name. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, closed(each)]));
  const isObject = "properties" in copy && "type" in copy && !("additionalProperties" in copy);
  return isObject ? { ...copy, additionalProperties: false } : copy;
}

/** A route as Hono has it. */
export interface RegisteredRoute {
  readonly method: string;
  readonly path: string;
}

/** What is added to routers while `work` runs. */
export async function routesAddedBy<T>(work: () => Promise<T>): Promise<[T, readonly RegisteredRoute[]]> {
  const routes: RegisteredRoute[] = [];
  const router = SmartRouter.prototype;
  const add = router.add;
  router.add = function (method, path, handler): void {
    routes.push({ method, path });
    add.call(this, method, path, handler);
  };
  try {
    return [await work(), routes];
  } finally {
    router.add = add;
  }
}
