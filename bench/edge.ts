/**
 * The cache at the edge: `examples/edge` in workerd, with its answers in a Durable Object, against a Worker with an object
 * and without a cache. Over HTTP on loopback, one request at a time, 500 answers of 2 KB; the provider answers at once, so
 * what a miss takes beyond the other Worker's is the cache's own.
 *
 * Run: `deno run -A bench/edge.ts`.
 */

import { Miniflare } from "miniflare";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { bundleForEdge, modulesOf } from "../examples/edge/bundle.ts";
import { answerTo } from "./edge/answer.ts";
import { compare, type Side, type SideReport } from "./harness.ts";

const ROUNDS = 3;
const ANSWERS = 500;
/** workerd compiles what it runs often. */
const WARMING = 100;

const SIDES: readonly Side[] = [
  { name: "the cache in an object", run: () => measure("examples/edge/worker.ts") },
  { name: "an object without one", run: () => measure("bench/edge/bare.ts") },
];

await compare(fileURLToPath(import.meta.url), {
  title: "The cache at the edge, in workerd",
  unit: "ms",
  rounds: ROUNDS,
  sides: SIDES,
});

async function measure(entry: string): Promise<SideReport> {
  const provider = createServer(async (request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(answerTo(await text(request)));
  });
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  const UPSTREAM = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  const worker = new Miniflare({
    modulesRoot: "/",
    modules: modulesOf(await bundleForEdge(entry, { minify: true })),
    compatibilityDate: "2026-07-01",
    durableObjects: { ANSWERS: { className: "Answers", useSQLite: true } },
    bindings: { UPSTREAM, UPSTREAM_KEY: "none", CALLER_KEY: "bench" },
  });
  try {
    const { origin } = await worker.ready;
    const said: string[] = [];
    const ask = async (question: number, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
      const started = performance.now();
      const response = await fetch(`${origin}/v1/chat/completions`, {
        method: "POST",
        headers: { Authorization: "Bearer bench", "Content-Type": "application/json", ...headers },
        body: JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: `Question ${question}: ` }] }),
      });
      said.push(await response.text());
      return performance.now() - started;
    };
    const askAll = async (first: number, count: number, headers = {}): Promise<number[]> => {
      const times: number[] = [];
      for (let question = first; question < first + count; question++) times.push(await ask(question, headers));
      return times.sort((left, right) => left - right);
    };
    const first = await ask(0);
    await askAll(1, WARMING);
    const misses = await askAll(1 + WARMING, ANSWERS);
    // The cache needs not be told.
    const known = { "X-Known": "yes" };
    const isCached = entry.startsWith("examples/");
    await askAll(1, WARMING, isCached ? {} : known);
    const hits = await askAll(1 + WARMING, ANSWERS, isCached ? {} : known);
    return {
      answers: await digest(said),
      figures: {
        "first request": first,
        "miss, median": at(misses, 0.5),
        "hit, median": at(hits, 0.5),
        "hit, p99": at(hits, 0.99),
      },
      versions: { miniflare: createRequire(import.meta.url)("miniflare/package.json").version },
    };
  } finally {
    await worker.dispose();
    provider.closeAllConnections();
    provider.close();
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

async function digest(texts: readonly string[]): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("\n")));
  return new Uint8Array(bytes).toHex();
}
