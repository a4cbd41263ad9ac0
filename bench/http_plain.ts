/**
 * What `http.ts` holds gateways against: Hono with a `Map` from the text of a request to the bytes of its answer, as its
 * documentation has one start it. It parses nothing, has no key, no file and no header of its own. Runs on Deno and Node.
 *
 * Its argument is the file of exchanges. With `headers` behind it, there is no Hono either: it is the least that a server
 * can do on Deno which reads a POST and answers with the headers that ours sends.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { Hono } from "hono";
import type { Exchange } from "./http_load.ts";

const exchanges = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Exchange[];
const answers = new Map(exchanges.map(({ request, answer }) => [request, new TextEncoder().encode(answer)]));

const type = { "Content-Type": "application/json" };

const app = new Hono();
app.post("/openai/v1/chat/completions", async (context) => {
  const answer = answers.get(await context.req.text());
  if (answer === undefined) return context.notFound();
  return context.body(answer, 200, type);
});

async function withHeaders(request: Request): Promise<Response> {
  const answer = answers.get(await request.text());
  if (answer === undefined) return new Response(null, { status: 404 });
  const response = new Response(answer, { headers: type });
  response.headers.set("Cache-Status", "warmcache; hit");
  response.headers.set("Age", "1");
  response.headers.set("Date", new Date().toUTCString());
  response.headers.set("X-Request-Id", crypto.randomUUID());
  return response;
}

const greet = (port: number): void => console.log(`http://127.0.0.1:${port}`);
if ("Deno" in globalThis) {
  const answer = process.argv[3] === "headers" ? withHeaders : app.fetch;
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => greet(port) }, answer);
} else {
  const { serve } = await import("@hono/node-server");
  serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => greet(port));
}
