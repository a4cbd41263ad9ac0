/**
 * How to ask a route with curl: what a reader can paste into a shell, quoted for it.
 *
 * @module
 */

import { KEY_HEADER } from "./auth.ts";

/** What an example needs to know of a route, as OpenAPI has it. */
export interface Example {
  readonly method: string;
  /** With the examples of its parameters in it. */
  readonly path: string;
  /** How a key is sent, where one is needed. */
  readonly key: "bearer" | "header" | undefined;
  /** What is sent, and of which type. */
  readonly body?: { readonly type: string; readonly example: unknown };
  readonly isStream: boolean;
}

/** A command, in lines. */
export function curlCommand(origin: string, { method, path, key, body, isStream }: Example): string {
  const parts = [
    `curl ${isStream ? "-N " : ""}${method === "get" || method === "post" ? "" : `-X ${method.toUpperCase()} `}` +
    quoted(`${origin}${path}`),
  ];
  if (key === "bearer") parts.push('-H "Authorization: Bearer $WARMCACHE_API_KEY"');
  if (key === "header") parts.push(`-H "${KEY_HEADER}: $WARMCACHE_API_KEY"`);
  if (body !== undefined) parts.push(`-H ${quoted(`Content-Type: ${body.type}`)}`);
  if (body?.example !== undefined) parts.push(`-d ${quoted(JSON.stringify(body.example))}`);
  else if (body !== undefined) parts.push("--data-binary @body");
  return parts.join(" \\\n  ");
}

/** A word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
