/** A server of the real parts, in this process, on a port of its own. */

import OpenAI from "openai";
import { type RunningServer, type ServerOptions, startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { MODELS } from "../support/models.ts";

/** Starts a server; whoever starts it stops it. Its clock may be another one in some respect. */
export async function testServer(
  options: ServerOptions,
  load?: LoadBackend,
  clock: Partial<Clock> = {},
): Promise<RunningServer> {
  const runtime = await loadRuntime();
  const machine = { ...runtime, clock: { ...runtime.clock, ...clock } };
  return await startServerOn(machine, { port: 0, models: MODELS, ...options }, load);
}

/** The official client, unchanged but for its base URL; it does not repeat requests, so that tests see each answer. */
export function openai({ url }: { readonly url: string }): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
}

/** Sends JSON, or text as it is, as a client without a library would. */
export function post(
  server: { readonly url: string },
  path: string,
  body: unknown,
  signal: AbortSignal | null = null,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });
}

/** Gets JSON. */
// deno-lint-ignore no-explicit-any -- tests read what they know is there
export async function getJson(server: { readonly url: string }, path: string): Promise<any> {
  return await (await fetch(`${server.url}${path}`)).json();
}
