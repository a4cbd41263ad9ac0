/**
 * A long day: 10,000 requests for 20 models with room for 3, through the cache and Workers of the server, while Workers
 * crash, loads fail and clients go away. Every request has to be answered as its model alone would answer, or refused
 * with a reason; nothing may be left over; and hardly more may be loaded than least-recently-used would, had it served
 * the same requests one after the other, with the same crashes. Ends with status 1 if any of this is not so. Linux only.
 *
 * Run: `deno run -A bench/residency.ts [--requests 10000] [--seed 1]`; also with `node` and `bun`.
 */

import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Backend } from "../src/model/backend.ts";
import { ModelError } from "../src/model/error.ts";
import { loadOnnxBackend } from "../src/model/onnx_backend.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import type { WorkerHandle } from "../src/runtime/runtime.ts";
import { BackendCache, type Lease, type LoadBackend } from "../src/warm/backend_cache.ts";
import { Catalogue } from "../src/warm/catalogue.ts";
import { Identifier } from "../src/warm/identity.ts";
import { parseModelName } from "../src/warm/spec.ts";
import { copyModelWithOtherWeights } from "../tests/support/models.ts";
import { randomBelow } from "../tests/support/random.ts";
import { leastRecentlyUsedLoads, makeTrace, nameOf, playTrace, type TraceRequest } from "../tests/warm/trace.ts";
import { median } from "./harness.ts";

const [MODELS, PLACES, CLIENTS] = [20, 3, 6];
/** One load in so many fails. */
const FAILING = 40;
const PROMPT = { text: "And Moses said unto" };
const MIB = 2 ** 20;
/** How much more may be loaded than by least-recently-used, and be resident at the end than early on. */
const [MOST_LOADS, MOST_GROWTH] = [1.2, 1.25];
/** Nobody waits as long as this for anything. */
const STUCK = 120_000;

const { values: flags } = parseArgs({
  options: { requests: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } },
});
const [requests, seed] = [Number(flags.requests), Number(flags.seed)];
const below = randomBelow(seed);
const runtime = await loadRuntime();
const folder = await mkdtemp(join(tmpdir(), "warmcache-bench-"));

const workers = new Set<WorkerHandle>();
const workerOf = new WeakMap<Backend, WorkerHandle>();
let mostWorkers = 0;
const counts = { loads: 0, failed: 0, lost: 0, evicted: 0 };

try {
  await makeModels();
  process.exitCode = await measure() ? 0 : 1;
} finally {
  await rm(folder, { recursive: true });
}

/** Copies of the example model, each with weights of its own, and none so young that its digest is not remembered. */
async function makeModels(): Promise<void> {
  const past = Date.now() / 1000 - 60;
  for (let model = 0; model < MODELS; model++) {
    const path = await copyModelWithOtherWeights(folder, nameOf({ model, withAdapter: false }), (weight) => {
      return weight * (1 + model / 40);
    });
    for (const file of await readdir(path, { recursive: true })) await utimes(join(path, file), past, past);
  }
}

async function measure(): Promise<boolean> {
  const catalogue = new Catalogue({ runtime, directory: folder });
  const identifier = new Identifier({ runtime, catalogue, memoPath: join(folder, "digests.json") });
  const load: LoadBackend = async (base, signal) => {
    let worker: WorkerHandle | undefined;
    const spawnWorker = (url: URL, name: string): WorkerHandle => worker = watched(runtime.spawnWorker(url, name));
    const knownAdapterWeights = await catalogue.adapterWeights(base.name);
    const backend = await loadOnnxBackend({ ...runtime, spawnWorker }, base, { signal, knownAdapterWeights });
    workerOf.set(backend, worker!);
    return backend;
  };
  const expected = new Map<string, string>();
  for (let model = 0; model < MODELS; model++) {
    const names = [false, true].map((withAdapter) => nameOf({ model, withAdapter }));
    const [base, adapted] = await Promise.all(names.map((name) => identifier.identify(parseModelName(name))));
    const backend = await load(base!.base, new AbortController().signal);
    for (const [index, view] of [backend.baseView(), backend.adapterView(adapted!.adapter!)].entries()) {
      expected.set(names[index]!, JSON.stringify(await view.nextToken(PROMPT, { topK: 3 })));
    }
    await backend.close();
  }
  if (new Set(expected.values()).size !== 2 * MODELS) throw new Error("two models answer alike");
  const threadsBefore = await threadsBecome(({ length }) => length === 0 || workers.size === 0);

  const backends = new BackendCache({
    maxLoaded: PLACES,
    clock: runtime.clock,
    cooldown: { initial: 500, maximum: 2000 },
    identify: (spec, options) => identifier.identify(spec, options),
    load: async (base, signal) => {
      if (below(FAILING) > 0) return await load(base, signal);
      throw below(2) === 0 ? new Error("injected") : new ModelError("out_of_memory", "injected");
    },
  });
  backends.on(({ type }) => {
    if (type === "loading") counts.loads++;
    if (type === "load_failed") counts.failed++;
    if (type === "worker_lost") counts.lost++;
    if (type === "evicted") counts.evicted++;
  });

  const trace = makeTrace({ seed, requests, models: MODELS, runs: 3, longestRun: 40 });
  const resident: number[] = [];
  let progressed = performance.now();
  const watchdog = setInterval(() => {
    if (performance.now() - progressed < STUCK) return;
    console.error("somebody waits for ever:", backends.loaded());
    process.exit(1);
  }, 1000);
  const started = performance.now();
  const tally = await playTrace(
    {
      cache: backends,
      clock: runtime.clock,
      async work(request: TraceRequest, lease: Lease, signal: AbortSignal) {
        const answer = JSON.stringify(await lease.view.nextToken(PROMPT, { topK: 3 }, signal));
        if (answer !== expected.get(nameOf(request))) {
          throw new Error(`a wrong answer of ${nameOf(request)}: ${answer}`);
        }
      },
      // It does not understand this, and dies of it.
      kill: ({ backend }) => workerOf.get(backend)!.post(null),
    },
    trace,
    CLIENTS,
    (done, { answered, left, refused }) => {
      progressed = performance.now();
      if (done % (requests / 200) === 0) resident.push(process.memoryUsage().rss);
      if (done % (requests / 20) > 0) return;
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      const refusals = [...refused].map(([code, count]) => `${code} ${count}`).join(", ");
      console.error(
        `${done} of ${requests} after ${seconds} s: ${answered} answered, ${left} left, ${refusals || "0 refused"}; ` +
          `${counts.loads} loads, ${workers.size} Workers, ${(resident.at(-1)! / MIB).toFixed(0)} MiB`,
      );
    },
  );
  clearInterval(watchdog);

  const { answered, left, refused } = tally;
  const refusals = [...refused.values()].reduce((sum, count) => sum + count, 0);
  const leases = backends.loaded().reduce((sum, model) => sum + model.leases, 0);
  const inMemory = backends.loaded().filter(({ state }) => state !== "cooldown").length;
  const workersLeft = workers.size;
  await backends.evictAll();
  const threadsAfter = await threadsBecome((threads) => threads.length <= threadsBefore.length);
  const least = leastRecentlyUsedLoads(trace, PLACES);
  const quarter = resident.length / 4;
  const [early, late] = [median(resident.slice(quarter, 2 * quarter)), median(resident.slice(3 * quarter))];

  console.log(`\n${requests} requests for ${MODELS} models with room for ${PLACES}, seed ${seed}`);
  console.log(`${runtime.name} ${runtime.version}; ${cpus()[0]?.model}, ${cpus().length} cores\n`);
  const codes = [...refused].map(([code, count]) => `${count} ${code}`).join(", ");
  const checks: [what: string, shown: string, isRight: boolean][] = [
    ["answered, each rightly", String(answered), answered > 0.9 * requests],
    ["clients that left", String(left), left > 0],
    ["refused", `${refusals} (${codes})`, refusals > 0],
    ["lost", String(requests - answered - left - refusals), answered + left + refusals === requests],
    ["Workers that crashed", String(counts.lost), counts.lost > 0],
    ["loads", `${counts.loads}, of which ${counts.failed} failed`, counts.failed > 0],
    ["loads of LRU", `${least}; ${(counts.loads / least).toFixed(2)} of it`, counts.loads <= MOST_LOADS * least],
    ["Workers at any time, at most", `${mostWorkers} for ${PLACES} places`, mostWorkers <= PLACES],
    ["leases left", String(leases), leases === 0],
    ["Workers left", `${workersLeft} for ${inMemory} models in memory`, workersLeft === inMemory],
    ["Workers after evictAll", String(workers.size), workers.size === 0],
    [
      "threads after, before",
      `${threadsAfter.length}, ${threadsBefore.length}`,
      threadsAfter.length <= threadsBefore.length,
    ],
    ["resident, 2nd and 4th quarter", `${inMib(early)}, ${inMib(late)} MiB`, late <= MOST_GROWTH * early],
  ];
  const width = Math.max(...checks.map(([what]) => what.length));
  for (const [what, shown, isRight] of checks) console.log(`${isRight ? "  " : "! "}${what.padEnd(width)}   ${shown}`);
  return checks.every(([, , isRight]) => isRight);
}

/** A Worker that is counted as long as it lives. */
function watched(worker: WorkerHandle): WorkerHandle {
  workers.add(worker);
  mostWorkers = Math.max(mostWorkers, workers.size);
  return {
    ...worker,
    terminate() {
      workers.delete(worker);
      worker.terminate();
    },
  };
}

/** The Workers' threads, once they are as wanted, or have not become so for long. Deno numbers them, others name them. */
async function threadsBecome(wanted: (threads: string[]) => boolean): Promise<string[]> {
  for (let attempt = 0;; attempt++) {
    const threads = readdirSync("/proc/self/task").map((id) => {
      try {
        return readFileSync(`/proc/self/task/${id}/comm`, "utf8");
      } catch {
        return "";
      }
    }).filter((name) => /^(worker-|model )/.test(name));
    if (wanted(threads) || attempt === 100) return threads;
    await sleep(50);
  }
}

function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}
