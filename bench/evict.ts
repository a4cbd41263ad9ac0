/**
 * Does an evicted model give its memory back? A model of 256 MiB is loaded, asked for one token and evicted, 50 times
 * over, through the same cache and Workers as the server uses; each runtime in a process of its own. Figures, and the
 * resident memory over time as a picture. Linux only: the kernel is asked.
 *
 * Run: `deno run -A bench/evict.ts`, or `… [deno] [node] [bun] [webgpu] [--cycles 50] [--mib 256] [--plot docs/evict.svg]`.
 * `webgpu` is Deno's, on a GPU that the CPU plays (Mesa's lavapipe), so that what is on it is seen, too; what lavapipe
 * needs is its path in `VK_DRIVER_FILES`, such as `/usr/share/vulkan/icd.d/lvp_icd.x86_64.json`.
 */

import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { ModelDevice } from "../src/model/backend.ts";
import { loadOnnxBackend } from "../src/model/onnx_backend.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import { BackendCache } from "../src/warm/backend_cache.ts";
import { Catalogue } from "../src/warm/catalogue.ts";
import { Identifier } from "../src/warm/identity.ts";
import { parseModelName } from "../src/warm/spec.ts";
import { makeBigModel } from "../tests/support/big_model.ts";
import { commandOf, type RuntimeName } from "../tests/support/runtimes.ts";
import { back, type Cycle, inMib, plot, printTable, type Report } from "./evict_report.ts";

const PROGRAM = fileURLToPath(import.meta.url);
const MIB = 2 ** 20;
const SAMPLE_EVERY = 25;
/** Memory counts as back when it has not fallen any further for so long. */
const QUIET = 400;
const MOST_QUIET = 5000;

interface Side {
  readonly title: string;
  readonly runtime: RuntimeName;
  readonly device: ModelDevice;
}

const SIDES: Readonly<Record<string, Side>> = {
  deno: { title: "Deno, WASM", runtime: "deno", device: "wasm" },
  node: { title: "Node, WASM", runtime: "node", device: "wasm" },
  bun: { title: "Bun, WASM", runtime: "bun", device: "wasm" },
  webgpu: { title: "Deno, WebGPU (lavapipe)", runtime: "deno", device: "webgpu:software" },
};

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cycles: { type: "string", default: "50" },
    mib: { type: "string", default: "256" },
    plot: { type: "string" },
    side: { type: "string" },
    folder: { type: "string" },
  },
});
const CYCLES = Number(flags.cycles);
const MODEL_BYTES = Number(flags.mib) * MIB;

if (flags.side !== undefined) console.log(JSON.stringify(await runSide(SIDES[flags.side]!, flags.folder!)));
else await conduct(positionals.length === 0 ? Object.keys(SIDES) : positionals);

async function conduct(names: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  const reports = new Map<string, Report>();
  try {
    await makeBigModel(join(folder, "models"), "big", { bytes: MODEL_BYTES });
    // Digests of files that were just written are not remembered, since they could be written to again unseen.
    const past = Date.now() / 1000 - 60;
    await utimes(join(folder, "models", "big", "onnx", "model.onnx"), past, past);
    for (const name of names) {
      const { runtime, title } = SIDES[name]!;
      const command = commandOf(runtime);
      const report = command && await startSide(command, name, folder);
      if (report === undefined) console.log(`left out: ${title}`);
      else reports.set(title, report);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const title = `A model of ${flags.mib} MiB, loaded, used for one token and evicted ${flags.cycles} times`;
  printTable(title, MODEL_BYTES, reports);
  if (flags.plot !== undefined) writeFileSync(flags.plot, plot(`${title}: resident memory`, reports));
}

async function startSide([executable, ...args]: string[], name: string, folder: string): Promise<Report | undefined> {
  const ours = ["--side", name, "--folder", folder, "--cycles", flags.cycles, "--mib", flags.mib];
  const child = spawn(executable!, [...args, PROGRAM, ...ours], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => output += text);
  await new Promise((resolve) => child.on("close", resolve));
  const line = output.trim().split("\n").at(-1)!;
  return line.startsWith("{") ? JSON.parse(line) : undefined;
}

async function runSide({ title, device }: Side, folder: string): Promise<Report> {
  const runtime = await loadRuntime();
  const catalogue = new Catalogue({ runtime, directory: join(folder, "models") });
  const identifier = new Identifier({ runtime, catalogue, memoPath: join(folder, "digests.json") });
  const backends = new BackendCache({
    maxLoaded: 1,
    clock: runtime.clock,
    identify: async (spec, options) => {
      const model = await identifier.identify(spec, options);
      return { ...model, base: { ...model.base, device } };
    },
    load: (base, signal) => loadOnnxBackend(runtime, base, { signal }),
  });
  const spec = parseModelName("big");
  // Hashes the files, in a Worker that stays.
  await backends.identify(spec);
  let before = await settled();
  const started = performance.now();
  const samples: [number, number][] = [];
  const sampling = setInterval(() => samples.push([Math.round(performance.now() - started), resident()]), SAMPLE_EVERY);
  const cycles: Cycle[] = [];
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    await forgetPeak();
    const loading = performance.now();
    const lease = await backends.lease(spec);
    const load = performance.now() - loading;
    const events = lease.view.generate({
      prompt: { text: "And" },
      maxTokens: 1,
      temperature: 0,
      topP: 1,
      seed: 1,
      stop: [],
      topLogprobs: undefined,
      echo: false,
    });
    for await (const _ of events);
    const [loaded, peak] = [resident(), peakResident()];
    await lease[Symbol.asyncDispose]();
    await backends.unload(spec);
    const after = await settled(loaded - MODEL_BYTES / 2);
    cycles.push({ before, peak, loaded, after, load, end: performance.now() - started });
    console.error(
      `${title} ${String(cycle).padStart(3)}: ${inMib(before)} MiB, at most ${inMib(peak)}, loaded ${inMib(loaded)}, ` +
        `evicted ${inMib(after)}; ${(100 * back(cycles.at(-1)!)).toFixed(1)} % back; loaded in ${load.toFixed(0)} ms`,
    );
    before = after;
  }
  clearInterval(sampling);
  await backends.evictAll();
  return { version: `${runtime.name} ${runtime.version}`, cycles, samples };
}

/**
 * Waits until memory falls no further: a thread that was ended takes a moment to go, a longer one on a busy machine, so
 * that it is first waited for memory to be less than `expected`.
 */
async function settled(expected = Infinity): Promise<number> {
  let least = resident();
  for (let quiet = 0, waited = 0; quiet < QUIET && waited < MOST_QUIET; waited += SAMPLE_EVERY) {
    await sleep(SAMPLE_EVERY);
    const now = resident();
    quiet = now > expected || now < least - MIB ? 0 : quiet + SAMPLE_EVERY;
    least = Math.min(least, now);
  }
  return resident();
}

/** Resident memory in bytes, with that of the processes that this one started: models on the GPU have one each. */
function resident(): number {
  return sumOf("VmRSS");
}

/** The most that was resident since {@link forgetPeak}, each process at its worst moment. */
function peakResident(): number {
  return sumOf("VmHWM");
}

async function forgetPeak(): Promise<void> {
  await writeFile("/proc/self/clear_refs", "5");
}

/** https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
function sumOf(name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, "m");
  const kibibytes = ["self", ...children()].map((pid) => Number(line.exec(read(`/proc/${pid}/status`))?.[1] ?? 0));
  return 1024 * kibibytes.reduce((sum, each) => sum + each);
}

function children(): string[] {
  // To look for them where there are none would leave more garbage than what is measured.
  if (SIDES[flags.side!]!.device === "wasm") return [];
  const threads = readdirSync("/proc/self/task");
  return threads.flatMap((id) => read(`/proc/self/task/${id}/children`).split(" ").filter((pid) => pid !== ""));
}

/** What a process or thread says of itself; nothing when it is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
