/**
 * Does anything on the server wait behind a model? Asks `/health` all the time: while nothing happens, while a model
 * of the size given loads, and while one generates. Run: `deno run -A bench/event_loop.ts`
 */

import { cpus } from "node:os";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "../src/compose/server.ts";

const MODELS = fileURLToPath(new URL("../models", import.meta.url));
const ROUNDS = 5;

const folder = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
const latencies: Record<string, number[]> = { idle: [], "while a model loads": [], "while a model generates": [] };
try {
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startServer({ port: 0, models: MODELS, cache: join(folder, String(round)) });
    await ask(server.url);
    await during("idle", new Promise((resolve) => setTimeout(resolve, 300)), server.url);
    await during("while a model loads", complete(server.url, 1), server.url);
    await during("while a model generates", complete(server.url, 240), server.url);
    await server.stop();
  }
} finally {
  await rm(folder, { recursive: true });
}

console.log(
  `/health in ms; ${ROUNDS} rounds; ${cpus()[0]?.model}, ${cpus().length} cores; deno ${Deno.version.deno}\n`,
);
for (const [name, values] of Object.entries(latencies)) {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(2);
  console.log(`${name.padEnd(24)} p50 ${at(0.5)}   p99 ${at(0.99)}   longest ${at(1)}   (${sorted.length} requests)`);
}

/** Asks for `/health` again and again until `work` is done. */
async function during(name: string, work: Promise<unknown>, url: string): Promise<void> {
  let done = false;
  work.then(() => done = true);
  while (!done) latencies[name]!.push(await ask(url));
  await work;
}

async function ask(url: string): Promise<number> {
  const started = performance.now();
  await (await fetch(`${url}/health`)).text();
  return performance.now() - started;
}

async function complete(url: string, tokens: number): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "kjv-tiny", prompt: "And", max_tokens: tokens, seed: 1 }),
  });
  if (!response.ok) throw new Error(await response.text());
  await response.text();
}
