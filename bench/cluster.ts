/**
 * What hashing on the base's name saves: 16 models on 4 servers with 2 places each, behind HAProxy with
 * `deploy/cluster/haproxy.cfg`, against the same configuration with round-robin in its place, and with HAProxy's bounded
 * loads (`hash-balance-factor`). The same requests for all: models by Zipf's law, every fourth for an adapter, none of
 * them answered from a cache. How often a model was loaded, how long an answer took, how much of it the busiest server
 * did.
 *
 * Every run has fresh processes; the order of the sides turns round with each seed; a side that answers otherwise than
 * another ends the program.
 *
 * Run: `deno run -A bench/cluster.ts [--requests 200] [--seeds 3] [--clients 4] [--places 2] [--sides hash]`;
 * HAProxy has to be on the path.
 */

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startProxy, startServer } from "../deploy/cluster/parts.ts";
import type { Program } from "../deploy/cluster/process.ts";
import { copyModelWithOtherWeights } from "../tests/support/models.ts";
import { freePort } from "../tests/support/redis_server.ts";
import { median, seededRandom } from "./harness.ts";

const [MODELS, SERVERS] = [16, 4];
const PROMPTS = ["And Moses said unto", "In the beginning", "The programmer", "Computers are"];

const { values: flags } = parseArgs({
  options: {
    requests: { type: "string", default: "200" },
    seeds: { type: "string", default: "3" },
    clients: { type: "string", default: "4" },
    places: { type: "string", default: "2" },
    sides: { type: "string", default: "" },
  },
});
const [REQUESTS, SEEDS, CLIENTS] = [flags.requests, flags.seeds, flags.clients].map(Number) as [number, number, number];
const PLACES = Number(flags.places);

/** How HAProxy chooses a server, as an edit of its configuration. */
const HASH = /^ +balance hash .*\n +hash-type .*$/m;
const bounded = (factor: number) => (text: string) => text.replace(HASH, `$&\n  hash-balance-factor ${factor}`);
const SIDES: Readonly<Record<string, (configuration: string) => string>> = {
  "hash": (text) => text,
  "round-robin": (text) => text.replace(HASH, "  balance roundrobin"),
  "hash, factor 150": bounded(150),
  "hash, factor 300": bounded(300),
};

/** What one run showed. */
interface Run {
  readonly loads: number;
  readonly p50: number;
  readonly p95: number;
  /** Of all requests, those that the busiest server answered. */
  readonly busiest: number;
  readonly seconds: number;
}

const folder = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
try {
  await conduct();
} finally {
  await rm(folder, { recursive: true });
}

async function conduct(): Promise<void> {
  await makeModels();
  const sides = Object.keys(SIDES).filter((side) => new RegExp(flags.sides).test(side));
  const runs = new Map<string, Run[]>(sides.map((side) => [side, []]));
  for (let seed = 1; seed <= SEEDS; seed++) {
    const trace = makeTrace(seed);
    const digests = new Set<string>();
    for (const side of seed % 2 === 1 ? sides : sides.toReversed()) {
      const { answers, ...run } = await play(trace, SIDES[side]!);
      digests.add(answers);
      runs.get(side)!.push(run);
      console.error(`seed ${seed}, ${side}: ${JSON.stringify(run)}; load average ${loadavg()[0]!.toFixed(1)}`);
    }
    if (digests.size !== 1) throw new Error(`The sides gave different answers to seed ${seed}`);
  }
  console.log(
    `\n${MODELS} models, ${SERVERS} servers with ${PLACES} places each; ${REQUESTS} requests, ${CLIENTS} at once`,
  );
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores; ${SEEDS} seeds, fresh processes; all sides answered alike\n`,
  );
  console.log("| | loads (by seed) | p50, ms | p95, ms | of all, the busiest server | seconds |");
  console.log("| --- | ---: | ---: | ---: | ---: | ---: |");
  for (const [side, each] of runs) {
    const middle = (figure: keyof Run): number => median(each.map((run) => run[figure]));
    const loads = `${middle("loads")} (${each.map((run) => run.loads).join(", ")})`;
    const percent = (100 * middle("busiest")).toFixed(0);
    const [p50, p95, seconds] = [middle("p50"), middle("p95"), middle("seconds")].map((value) => value.toFixed(0));
    console.log(`| ${side} | ${loads} | ${p50} | ${p95} | ${percent} % | ${seconds} |`);
  }
}

/** Copies of the example model, each with weights of its own, and none so young that its digest is not remembered. */
async function makeModels(): Promise<void> {
  const past = Date.now() / 1000 - 60;
  for (let model = 0; model < MODELS; model++) {
    const path = await copyModelWithOtherWeights(join(folder, "models"), `model-${model}`, (weight) => {
      return weight * (1 + model / 40);
    });
    for (const file of await readdir(path, { recursive: true })) await utimes(join(path, file), past, past);
  }
}

interface Asked {
  readonly model: string;
  readonly prompt: string;
}

/** Zipf's law with the exponent 1: the second most popular model is asked half as often as the first. */
function makeTrace(seed: number): readonly Asked[] {
  const random = seededRandom(seed);
  const weights = Array.from({ length: MODELS }, (_, rank) => 1 / (rank + 1));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  // Which models are popular differs from seed to seed, and with it where the hash puts them.
  const ranked = Array.from({ length: MODELS }, (_, model) => ({ model, at: random() }))
    .sort((a, b) => a.at - b.at).map(({ model }) => model);
  return Array.from({ length: REQUESTS }, () => {
    let [rank, left] = [0, random() * sum];
    while (rank < MODELS - 1 && (left -= weights[rank]!) > 0) rank++;
    const base = `model-${ranked[rank]}`;
    const model = random() < 0.25 ? `${base}+fortunes` : base;
    return { model, prompt: PROMPTS[Math.floor(random() * PROMPTS.length)]! };
  });
}

async function play(trace: readonly Asked[], edit: (text: string) => string): Promise<Run & { answers: string }> {
  const place = await mkdtemp(join(folder, "run-"));
  const members = await Promise.all(Array.from({ length: SERVERS }, async (_, at) => {
    return { name: `s${at + 1}`, port: await freePort() };
  }));
  const programs: Program[] = [];
  try {
    const servers = await Promise.all(members.map(async ({ name, port }) => {
      await mkdir(join(place, name));
      const flags = ["--max-loaded-models", `${PLACES}`, "--no-hub", "--log-level", "info"];
      return await startServer({ name, port, models: join(folder, "models"), folder: join(place, name), flags });
    }));
    programs.push(...servers);
    const [port, statusPort] = [await freePort(), await freePort()];
    programs.push(await startProxy(place, { port, statusPort, members }, { edit }));
    const begun = performance.now();
    const answered = await askAll(trace, `http://127.0.0.1:${port}/v1/completions`);
    const seconds = (performance.now() - begun) / 1000;
    const loads = servers.reduce((sum, server) => sum + (server.output().match(/ loaded \S+ in /g) ?? []).length, 0);
    const sorted = answered.map(({ took }) => took).sort((a, b) => a - b);
    const byServer = Map.groupBy(answered, ({ server }) => server);
    return {
      loads,
      p50: sorted[Math.floor(sorted.length * 0.5)]!,
      p95: sorted[Math.floor(sorted.length * 0.95)]!,
      busiest: Math.max(...[...byServer.values()].map(({ length }) => length)) / answered.length,
      seconds,
      answers: createHash("sha256").update(answered.map(({ text }) => text).join("\n")).digest("hex"),
    };
  } finally {
    await Promise.all(programs.map((program) => program.stop("SIGKILL")));
  }
}

interface Answered {
  readonly text: string;
  readonly server: string | null;
  /** Milliseconds. */
  readonly took: number;
}

async function askAll(trace: readonly Asked[], url: string): Promise<readonly Answered[]> {
  const answered: Answered[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < trace.length) {
      const at = next++;
      const begun = performance.now();
      const response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
        body: JSON.stringify({ ...trace[at], max_tokens: 4, temperature: 0 }),
      });
      const body = await response.json();
      if (!response.ok) throw new Error(`${response.status}: ${JSON.stringify(body)}`);
      const { text } = body.choices[0];
      answered[at] = { text, server: response.headers.get("X-Served-By"), took: performance.now() - begun };
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return answered;
}
