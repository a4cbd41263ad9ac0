/**
 * `/docs`: the OpenAPI document as a page. It has no script: what is long is folded, and the search is a form that the
 * server answers.
 *
 * @module
 */

import { html } from "hono/html";
import { DOCS_STYLE } from "./docs_style.ts";
import type { OpenApiDocument } from "./document.ts";
import { routesOf, routeView, textOf } from "./route_view.ts";
import { type Piece, prose, type Schema, schemaFields } from "./schema_view.ts";

/** What a page is made for. */
export interface DocsPageOptions {
  /** Where the reader reached the server: `http://host:port`. */
  readonly origin: string;
  /** Words that every route shown has; empty: all routes. */
  readonly search: string;
}

/** The page. */
export function docsPage(document: OpenApiDocument, { origin, search }: DocsPageOptions): string {
  const { info, tags = [] } = document;
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const all = routesOf(document);
  const found = all.filter((route) => words.every((word) => textOf(route).includes(word)));
  const groups = tags.map(({ name, description }) => ({
    name,
    description: description ?? "",
    routes: found.filter(({ shown }) => shown.tags.includes(name)),
  })).filter(({ routes }) => routes.length > 0);
  const isSearch = words.length > 0;
  const schemas = Object.entries(document.components?.schemas ?? {}) as [string, Schema][];
  return String(html`
    <!doctype html>
    <html lang="en">
      <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${info.title} API</title>
    ${styleElement()}
      </head>
      <body>
        <a class="skip" href="#routes">To the routes</a>
        <header class="top">
          <div class="wrap">
            <h1>${info.title} API <small>${info.version}</small></h1>
            <p
              class="lead">${prose(
                info.description ?? "",
              )} The same for programs: <a href="/openapi.json">openapi.json</a>. What the server does now:
            <a href="/">the dashboard</a>.</p>
          </div>
        </header>
        <div class="bar">
          <div class="wrap">
            <form role="search" action="/docs" method="get">
              <input type="search" name="q" value="${search}" placeholder="Search routes" aria-label="Search routes">
              <button>Search</button>
            </form>
            <nav aria-label="Groups">${groups.map(({ name }) => html`<a href="#${anchor(name)}">${name}</a>`)}${isSearch
              ? ""
              : html`<a href="#schemas">Schemas</a>`}</nav>
          </div>
        </div>
        <main class="wrap" id="routes">
    ${isSearch ? searchResult(search, found.length, all.length) : ""}
    ${groups.map(({ name, description, routes }) =>
      html`<section id="${anchor(name)}"><h2>${name}</h2><p class="about">${prose(description)}</p>
${routes.map((route) => routeView(route, document, origin, isSearch && found.length === 1))}</section>`
    )}
    ${isSearch ? "" : schemaSection(schemas, document)}
        </main>
        <footer>
          <div
            class="wrap">Fields with <code>*</code> are required. Errors have one form, <a href="${isSearch
              ? "/docs"
              : ""}#schema-Error">Error</a>;
    every answer has an <code>X-Request-Id</code>.</div>
        </footer>
      </body>
    </html>
  `);
}

/** Exactly {@link DOCS_STYLE}: the page's policy allows it by its digest. */
function styleElement(): Piece {
  return html([`<style>${DOCS_STYLE}</style>`] as unknown as TemplateStringsArray);
}

function searchResult(search: string, found: number, of: number): Piece {
  const all = html`<a href="/docs">Show all ${of}</a>`;
  return found === 0
    ? html`<p class="nothing" role="status">No route has “${search}” in it. ${all}</p>`
    : html`<p class="lead" role="status">${found} of ${of} routes have “${search}” in them. ${all}</p>`;
}

function schemaSection(schemas: readonly (readonly [string, Schema])[], document: OpenApiDocument): Piece {
  return html`<section id="schemas"><h2>Schemas</h2><p class="about">What bodies are made of.</p>${
    schemas.map(([name, schema]) =>
      html`
        <details class="card">
          <summary><span class="method">schema</span><span class="path">${name}</span></summary>
          <div class="inside" id="schema-${name}">${schemaFields(schema, document)}</div>
        </details>
      `
    )
  }</section>`;
}

function anchor(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}
