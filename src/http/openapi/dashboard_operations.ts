/**
 * The dashboard: pages for people, described here as far as a program may care.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { Content, Operation, Parameter } from "./operation.ts";

const text = z.string();
const page: Readonly<Record<string, Content>> = { "text/html": { schema: text } };
const TAG = "Dashboard";

const LOG_IN =
  "A browser without a key in its headers is sent to `/login`, and its cookie then opens these pages alone.";

function pageAt(path: string, summary: string, parameters: readonly Parameter[] = []): Operation {
  return {
    method: "get",
    path,
    tag: TAG,
    summary,
    description: LOG_IN,
    scope: "status",
    parameters,
    answers: { 200: { description: "A page.", content: page }, 302: { description: "To `/login`." } },
    errors: [400, 404, 503],
  };
}

/** What a form has. Fields that are left out are empty. */
function form(...names: readonly string[]): Readonly<Record<string, Content>> {
  const fields = Object.fromEntries(names.map((name) => [name, text.optional()]));
  return { "application/x-www-form-urlencoded": { schema: z.object(fields) } };
}

function asset(name: string, type: string): Operation {
  return {
    method: "get",
    path: `/dashboard/${name}`,
    tag: TAG,
    summary: `The pages' ${name}`,
    answers: { 200: { description: "It is.", content: { [type]: { schema: text } } } },
  };
}

/** Its routes. */
export const DASHBOARD_OPERATIONS: readonly Operation[] = [
  pageAt("/", "The overview"),
  {
    method: "get",
    path: "/dashboard",
    tag: TAG,
    summary: "Leads to the overview",
    answers: { 303: { description: "To `/`." } },
  },
  pageAt("/dashboard/requests", "Stored requests"),
  pageAt("/dashboard/requests/{key}", "A stored request and its answers", [{
    name: "key",
    in: "path",
    description: "Its key in hexadecimal, or the beginning of one.",
  }]),
  pageAt("/dashboard/explain", "Why a request is a hit, or none"),
  {
    ...pageAt("/dashboard/explain", "The same, with an answer"),
    method: "post",
    body: form("request", "provider", "endpoint", "namespace", "identity"),
    answers: { 200: { description: "A page.", content: page } },
    errors: [400, 413, 503],
  },
  {
    method: "get",
    path: "/dashboard/events",
    tag: TAG,
    summary: "What the overview follows",
    description: "Server-sent events for its own script; programs follow `/admin/events`.",
    scope: "status",
    parameters: [{ name: "Last-Event-ID", in: "header", description: "The last event that was heard." }],
    answers: { 200: { description: "Events.", content: { "text/event-stream": { schema: text } } } },
  },
  {
    method: "get",
    path: "/login",
    tag: TAG,
    summary: "Where to log in",
    answers: { 200: { description: "A page.", content: page }, 302: { description: "Where there are no keys." } },
  },
  {
    method: "post",
    path: "/login",
    tag: TAG,
    summary: "Log in",
    body: form("key", "back"),
    answers: { 303: { description: "To where the reader wanted to go, with a cookie." } },
    errors: [401, 413],
  },
  {
    method: "post",
    path: "/dashboard/logout",
    tag: TAG,
    summary: "Log out",
    answers: { 303: { description: "To `/login`, without the cookie." } },
  },
  {
    method: "post",
    path: "/dashboard/theme",
    tag: TAG,
    summary: "Choose light or dark",
    body: form("theme", "back"),
    answers: { 303: { description: "To the page it came from." } },
    errors: [413],
  },
  asset("style.css", "text/css"),
  asset("script.js", "text/javascript"),
  asset("icon.svg", "image/svg+xml"),
];
