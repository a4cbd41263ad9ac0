/**
 * The Worker in the real runtime of Cloudflare's, here and without a network: it asks a provider that is none.
 *
 *     deno run -A examples/edge/dev.ts
 *     deno run -A examples/edge/dev.ts --directory .edge --upstream https://api.openai.com --key sk-…
 *
 * `--directory` keeps the answers for the next time; `--once` asks twice, and ends.
 */

import { Miniflare } from "miniflare";
import process from "node:process";
import { parseArgs } from "node:util";
import { bundleForEdge, modulesOf } from "./bundle.ts";
import { startProvider } from "./provider.ts";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8787" },
    directory: { type: "string" },
    upstream: { type: "string" },
    key: { type: "string", default: "none" },
    once: { type: "boolean", default: false },
  },
});

const provider = options.upstream === undefined ? await startProvider() : undefined;
const worker = new Miniflare({
  host: "127.0.0.1",
  port: options.once ? 0 : Number(options.port),
  modulesRoot: "/",
  modules: modulesOf(await bundleForEdge("examples/edge/worker.ts")),
  compatibilityDate: "2026-07-01",
  durableObjects: { ANSWERS: { className: "Answers", useSQLite: true } },
  bindings: {
    UPSTREAM: options.upstream ?? provider!.url,
    UPSTREAM_KEY: options.key,
    CALLER_KEY: "local",
    // It has another port each time.
    ...options.upstream === undefined && { PROVIDER: "example" },
  },
  ...options.directory !== undefined && { durableObjectsPersist: options.directory },
});
const { origin } = await worker.ready;

const request = {
  method: "POST",
  headers: { "Authorization": "Bearer local", "Content-Type": "application/json" },
  body: JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello, edge." }] }),
};
console.log(`Listening on ${origin}. Ask it:\n`);
console.log(
  `  curl ${origin}/v1/chat/completions -H 'Authorization: Bearer local' -H 'Content-Type: application/json' \\`,
);
console.log(`    -d '${request.body}'\n`);

if (options.once) {
  for (let time = 0; time < 2; time++) {
    const started = performance.now();
    const response = await fetch(`${origin}/v1/chat/completions`, request);
    const { choices: [{ message }] } = await response.json();
    const took = `${(performance.now() - started).toFixed(0)} ms`;
    console.log(`${response.headers.get("X-Warmcache")!.padEnd(5)} ${message.content} (${took})`);
  }
  await stop();
} else {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop());
}

async function stop(): Promise<void> {
  await worker.dispose();
  await provider?.close();
  process.exit(0);
}
