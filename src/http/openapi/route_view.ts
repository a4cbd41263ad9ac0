/**
 * One route on the page: what it does, who may ask, how to ask with curl, and what is answered.
 *
 * @module
 */

import { html } from "hono/html";
import { curlCommand } from "../curl.ts";
import type { OpenApiDocument } from "./document.ts";
import { type Piece, prose, resolve, type Schema, schemaFields, typeOf } from "./schema_view.ts";

/** As much of a media type as is shown. */
interface Media {
  readonly schema?: Schema;
  readonly example?: unknown;
}

/** As much of an operation as is shown. */
interface Shown {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly description: string;
    readonly example?: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Media>> }>
  >;
}

/** A route, with the methods that do the same. */
export interface Route {
  readonly path: string;
  readonly methods: string[];
  readonly shown: Shown;
}

/** Methods of one path that do the same are one route. */
export function routesOf({ paths = {} }: OpenApiDocument): Route[] {
  return Object.entries(paths).flatMap(([path, item]) => {
    const routes: Route[] = [];
    for (const [method, operation] of Object.entries(item ?? {})) {
      const shown = operation as unknown as Shown;
      const same = routes.find((each) => each.shown.summary === shown.summary);
      if (same === undefined) routes.push({ path, methods: [method], shown });
      else same.methods.push(method);
    }
    return routes;
  });
}

/** What is searched, in small letters. */
export function textOf({ path, methods, shown }: Route): string {
  const { summary, description = "", tags } = shown;
  return [path, ...methods, summary, description, ...tags].join(" ").toLowerCase();
}

/** A route, folded unless it is the only one. */
export function routeView(
  { path, methods, shown }: Route,
  document: OpenApiDocument,
  origin: string,
  isOpen: boolean,
): Piece {
  const { summary, description, parameters = [], requestBody, responses, operationId } = shown;
  const method = methods.length === 1 ? methods[0]! : "any";
  const answers = Object.entries(responses);
  const errors = answers.filter(([status]) => isError(status));
  const [bodyType, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  return html`
    <details class="card" id="${operationId}" ${isOpen ? html`open` : ""}>
      <summary><span class="method ${method}">${method === "any" ? "ANY" : method.toUpperCase()}</span>
    <span class="path">${pathView(path)}</span><span class="what">${summary}</span></summary>
      <div class="inside">
    ${description === undefined ? "" : html`<p>${prose(description)}</p>`}
    ${lockView(shown)}
    <h3>Example</h3>
    <pre tabindex="0"><code>${exampleOf({ path, methods, shown }, origin)}</code></pre>
    ${parameters.length === 0 ? "" : html`
      <h3>Parameters</h3>
      <dl class="fields">${parameters.map(({ name, in: where, description, schema }) =>
        html`
          <div>
            <dt>${name}${where === "path" ? html`<b>*</b>` : ""}</dt>
            <dd><span class="type">${where} · ${typeOf(schema)}</span>
          <span class="says">${prose(description)}</span></dd>
          </div>
        `
      )}</dl>
    `}
    ${bodyType === undefined
      ? ""
      : html`<h3>Body</h3><p class="type">${bodyType}</p>${
        body?.schema === undefined ? "" : schemaFields(resolve(body.schema, document), document)
      }`}
    <h3>Answers</h3>
    ${answersView(answers.filter(([status]) => !isError(status)))}
    ${errors.length === 0
      ? ""
      : html`<details class="errors"><summary>Errors: ${errors.map(([status]) => status).join(", ")}</summary>${
        answersView(errors)
      }</details>`}
      </div>
    </details>
  `;
}

/** What is folded away: it is much the same everywhere. */
function isError(status: string): boolean {
  return status >= "400" && status <= "599";
}

function answersView(answers: readonly (readonly [string, Shown["responses"][string]])[]): Piece {
  return html`<dl class="fields">${
    answers.map(([status, { description, content = {} }]) =>
      html`
        <div>
          <dt class="status ${isError(status) ? "" : "ok"}">${status}</dt>
          <dd>
        <span class="says">${prose(description)}</span>${Object.entries(content).map(([type, { schema }]) =>
          html`
            <span class="type">${type}${schema === undefined ? "" : html`
              · ${typeOf(schema)}
            `}</span>
          `
        )}</dd>
        </div>
      `
    )
  }</dl>`;
}

function lockView({ security }: Shown): Piece {
  const scope = security.flatMap((each) => Object.values(each).flat())[0];
  if (scope === undefined) return html`<p class="lock">Answers anybody.</p>`;
  const isOptional = security.some((each) => Object.keys(each).length === 0);
  return isOptional
    ? html`<p class="lock">Needs no key on this server; elsewhere, one with the scope <code>${scope}</code>.</p>`
    : html`<p class="lock">Needs an API key with the scope <code>${scope}</code>.</p>`;
}

function pathView(path: string): Piece {
  return path.split(/(\{[^}]+\})/).map((part) => part.startsWith("{") ? html`<i>${part}</i>` : part);
}

/** How a key is sent, where it has to be. */
function keyIn(security: Shown["security"]): "bearer" | "header" | undefined {
  const ways = security.map((each) => Object.keys(each)[0]);
  if (ways.length === 0 || ways.includes(undefined)) return undefined;
  return ways.includes("bearer") ? "bearer" : "header";
}

function exampleOf({ path, methods, shown }: Route, origin: string): string {
  const { parameters = [], requestBody, security, responses } = shown;
  const [type, media] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const filled = parameters.filter((each) => each.in === "path")
    .reduce((whole, { name, example = name }) => whole.replace(`{${name}}`, example), path);
  const types = Object.keys(responses["200"]?.content ?? {});
  return curlCommand(origin, {
    method: methods[0]!,
    path: filled,
    key: keyIn(security),
    ...type !== undefined && { body: { type, example: media?.example } },
    isStream: types.length === 1 && types[0] === "text/event-stream",
  });
}
