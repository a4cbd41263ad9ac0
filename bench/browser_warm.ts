/**
 * What it costs to run a model in a page: beside the server on Deno, asked over HTTP on this machine, with the same
 * graph, the same build of onnxruntime and one thread each. The example model, and a Llama of 24 million random weights
 * (98 MB). Each round has a new browser with a new profile; the site with the model is on this machine too, so fetching
 * is what the page itself takes for it: the network, the check by SHA-256, the write to its file system.
 *
 * Run: `deno run -A bench/browser_warm.ts`, with Chromium and Firefox installed.
 */

import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { startServer } from "../src/compose/server.ts";
import type * as Page from "../tests/browser/pages/warm.ts";
import { type BrowserName, startBrowser } from "../tests/browser/support/browser.ts";
import { serveSite } from "../tests/browser/support/site.ts";
import { bundleWarm } from "../tests/browser/warm_bundle.ts";
import { KJV_TINY } from "../tests/support/models.ts";
import { randomLlama, writeLlama } from "../tests/support/tiny_llama.ts";
import { compare, namedSide, type Side, type SideReport } from "./harness.ts";

const ROUNDS = 3;
const TOKENS = 96;
/** 24 million weights. */
const LLAMA = {
  hidden: 512,
  inner: 1408,
  layers: 8,
  heads: 8,
  keyValueHeads: 4,
  headSize: 64,
  vocabulary: 2048,
  positions: 512,
  ropeTheta: 10000,
  epsilon: 1e-5,
};
const BODY = { prompt: "In the beginning God", max_tokens: TOKENS, min_tokens: TOKENS, temperature: 0, stream: true };

const program = fileURLToPath(import.meta.url);
const folder = process.env.WARMCACHE_BENCH_MODELS ?? "";
const model = process.env.WARMCACHE_BENCH_MODEL ?? "";
const sides: readonly Side[] = [
  { name: "Chromium", run: () => inPage("chromium") },
  { name: "Firefox", run: () => inPage("firefox") },
  { name: "Deno's server", run: onServer },
];

if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides });
else await conduct();

async function conduct(): Promise<void> {
  const models = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  try {
    await cp(KJV_TINY, join(models, "kjv-tiny"), { recursive: true });
    await writeLlama(join(models, "llama"), randomLlama(LLAMA), { layout: "optimum" });
    process.env.WARMCACHE_BENCH_MODELS = models;
    for (const name of ["kjv-tiny", "llama"]) {
      await writeFile(join(models, name, "files.json"), JSON.stringify(await listing(join(models, name))));
      process.env.WARMCACHE_BENCH_MODEL = name;
      await compare(program, { title: `A model in a page: ${name}`, unit: "ms", ours: 2, rounds: ROUNDS, sides });
    }
  } finally {
    await rm(models, { recursive: true });
  }
}

async function listing(path: string): Promise<object> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(async ({ parentPath, name }) => {
    const file = join(parentPath, name);
    const bytes = await readFile(file);
    return { path: relative(path, file), size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  });
  return { files: await Promise.all(files) };
}

async function inPage(name: BrowserName): Promise<SideReport> {
  const site = await serveSite(await bundleWarm(), { folders: { models: folder } });
  const browser = await startBrowser(name);
  if (browser === undefined) throw new Error(`Error: ${name} is not installed`);
  try {
    const tab = await browser.open<typeof Page>(`${site.origin}/warm.html`);
    await tab.call("open", { [model]: `/models/${model}/` });
    const fetched = await timed(() => tab.call("pull", model));
    const loaded = await timed(() => tab.call("touch", model, false));
    // The first time, V8 and SpiderMonkey still compile.
    await tab.call("stream", { model, ...BODY, seed: 1 });
    const { text, first, all } = await tab.call("stream", { model, ...BODY, seed: 2 });
    const hit = await tab.call("stream", { model, ...BODY, seed: 2 });
    const figures = {
      "fetch, check, keep": fetched,
      "load": loaded,
      "first token": first,
      "a token": (all - first) / (TOKENS - 1),
      "all from the cache": hit.all,
    };
    return { answers: digestOf(text), figures, versions: {} };
  } finally {
    await browser.close();
    await site.close();
  }
}

async function onServer(): Promise<SideReport> {
  const cache = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  const server = await startServer({ port: 0, models: folder, hub: false, cache });
  try {
    const ask = (seed: number) => stream(server.url, { model, ...BODY, seed });
    const load = await fetch(`${server.url}/v1/models`);
    await load.body?.cancel();
    const loaded = await timed(() => stream(server.url, { model, ...BODY, max_tokens: 1, min_tokens: 1 }));
    await ask(1);
    const { text, first, all } = await ask(2);
    const hit = await ask(2);
    const figures = {
      "load": loaded,
      "first token": first,
      "a token": (all - first) / (TOKENS - 1),
      "all from the cache": hit.all,
    };
    return { answers: digestOf(text), figures, versions: { deno: Deno.version.deno, "onnxruntime-web": "1.30.0" } };
  } finally {
    await server.stop();
    await rm(cache, { recursive: true });
  }
}

async function stream(url: string, body: object): Promise<{ text: string; first: number; all: number }> {
  const start = performance.now();
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  let first = NaN;
  let received = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    if (Number.isNaN(first)) first = performance.now() - start;
    received += piece;
  }
  const events = received.split("\n").filter((line) => line.startsWith("data: {"));
  const text = events.map((line) => JSON.parse(line.slice(6)).choices[0]?.text ?? "").join("");
  return { text, first, all: performance.now() - start };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
