/**
 * What `http.ts` holds gateways against: Hono with a `Map` from the text of a request to the bytes of its answer, as its
 * documentation has one start it. It parses nothing, has no key, no file and no header of its own. Runs on Deno and Node.
 *
 * Its argument is the file of exchanges.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { Hono } from "hono";
import type { Exchange } from "./http_load.ts";

const exchanges = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Exchange[];
const answers = new Map(exchanges.map(({ request, answer }) => [request, new TextEncoder().encode(answer)]));

const app = new Hono();
app.post("/openai/v1/chat/completions", async (context) => {
  const answer = answers.get(await context.req.text());
  if (answer === undefined) return context.notFound();
  return context.body(answer, 200, { "Content-Type": "application/json" });
});

const greet = (port: number): void => console.log(`http://127.0.0.1:${port}`);
if ("Deno" in globalThis) {
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => greet(port) }, app.fetch);
} else {
  const { serve } = await import("@hono/node-server");
  serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => greet(port));
}
