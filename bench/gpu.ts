/**
 * Models on a GPU: how fast a prompt is read, an answer written and a text scored, when the first token comes, what an
 * adapter, a switch between adapters and a graph that can take them cost, how long loading and evicting take and what
 * evicting gives back. Beside it, in the same run and on the same weights, onnxruntime-web in a bare loop and PyTorch
 * in eager mode where it is there; beside decoding, what memory bandwidth allows.
 *
 * Every side runs in fresh processes, the order turned round each time. The sides' log-probabilities of the same tokens
 * are compared before any figure is believed. Weights are random, and written where this runs.
 *
 * Run: `deno run -A bench/gpu.ts`, or on a bare machine as `bench/gpu/pack.ts` says. `--sizes 0.1,0.5,1.5` (or `tiny`, to
 * try the program out), `--dtypes fp16,q4`, `--device webgpu` (or `webgpu:software`), `--rounds 3`, `--python python3`
 * (`none`: without PyTorch), `--folder` for the models, `--out` for the figures as JSON.
 */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { measureBare } from "./gpu/bare.ts";
import { countPerToken } from "./gpu/counts.ts";
import { type MachineFacts, measureMachine } from "./gpu/machine.ts";
import { type BenchDtype, type BenchModel, SHAPES, writeBenchModel } from "./gpu/model.ts";
import { measureOurs } from "./gpu/ours.ts";
import { type GpuReport, type ModelReport, tables } from "./gpu/report.ts";
import { type SideFigures, workloadOf } from "./gpu/workload.ts";

const { values: options } = parseArgs({
  options: {
    sizes: { type: "string", default: "0.1,0.5,1.5" },
    dtypes: { type: "string", default: "fp16,q4" },
    device: { type: "string", default: "webgpu" },
    rounds: { type: "string", default: "3" },
    python: { type: "string", default: "python3" },
    folder: { type: "string" },
    out: { type: "string" },
    /** One part of the work, for the processes that this one starts. */
    part: { type: "string" },
    model: { type: "string" },
  },
});

/** Sums of thousands of float16 numbers, in another order. */
const TOLERANCE = 0.05;
const LONGEST = 20 * 60_000;
const OURS = "warmcache";
const BARE = "onnxruntime-web, bare loop";
const TORCH = "PyTorch, eager";

const { part, device } = options;
if (part === undefined) await conduct();
else console.log(JSON.stringify(await doPart(part)));

async function doPart(part: string): Promise<unknown> {
  if (part === "machine") return await measureMachine(device);
  const model: BenchModel = JSON.parse(await readFile(options.model!, "utf8"));
  switch (part) {
    case OURS:
      return await measureOurs(model, device);
    case BARE:
      return await measureBare(model, device);
    case "counts":
      return await countPerToken(model, device);
    default:
      throw new RangeError(`No such part: ${part}`);
  }
}

async function conduct(): Promise<void> {
  const sizes = options.sizes.split(",");
  const dtypes = options.dtypes.split(",") as BenchDtype[];
  for (const size of sizes) if (!(size in SHAPES)) throw new RangeError(`No such size: ${size}`);
  const machine = await start<MachineFacts>("machine");
  if (!machine.features.includes("shader-f16")) {
    throw new Error(`This GPU, or the driver that was found, does not compute in float16: ${machine.gpu}`);
  }
  const folder = options.folder ?? await mkdtemp(join(tmpdir(), "warmcache-gpu-"));
  const models: ModelReport[] = [];
  const versions: Record<string, string> = {};
  const report = (): GpuReport => ({
    when: new Date().toISOString().slice(0, 10),
    command: `deno run -A bench/gpu.ts ${process.argv.slice(2).join(" ")}`.trim(),
    machine,
    versions,
    rounds: Number(options.rounds),
    models,
  });
  try {
    for (const size of sizes) {
      for (const dtype of dtypes) {
        const place = join(folder, `${size}-${dtype}`);
        const model = await writeBenchModel(place, size, dtype);
        models.push(await measure(model, join(place, "bench.json"), versions));
        await rm(place, { recursive: true });
        // What was measured stays, whatever becomes of the next model.
        if (options.out !== undefined) await writeFile(options.out, JSON.stringify(report(), undefined, 2));
      }
    }
  } finally {
    if (options.folder === undefined) await rm(folder, { recursive: true });
  }
  console.log(tables(report()));
}

async function measure(model: BenchModel, path: string, versions: Record<string, string>): Promise<ModelReport> {
  await writeFile(path, JSON.stringify(model));
  const sides = new Map<string, SideFigures[]>([[OURS, []], [BARE, []]]);
  const leftOut: Record<string, string> = {};
  // PyTorch has no 4-bit weights of its own.
  if (options.python !== "none" && model.dtype === "fp16") sides.set(TORCH, []);
  for (let round = 0; round < Number(options.rounds); round++) {
    const names = [...sides.keys()];
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      try {
        const figures = name === TORCH ? await startTorch(model, path) : await start<SideFigures>(name, path);
        sides.get(name)!.push(figures);
        Object.assign(versions, figures.versions);
        console.error(`${model.size} ${model.dtype}, round ${round + 1}: ${name}`);
      } catch (error) {
        if (name === OURS) throw error;
        leftOut[name] = reason(error);
        sides.delete(name);
      }
    }
  }
  const { layers, keyValueHeads, headSize } = model.shape;
  const { promptTokens, answerTokens } = workloadOf(model);
  const cached = (promptTokens + answerTokens / 2) * layers * keyValueHeads * headSize * 2 * 2;
  return {
    name: model.size,
    dtype: model.dtype,
    parameters: model.parameters,
    bytesPerToken: model.bytesPerToken + cached,
    furthest: compared(sides),
    sides: Object.fromEntries(sides),
    leftOut,
    perToken: await start<ModelReport["perToken"]>("counts", path),
  };
}

/** How far the sides' answers are from ours. */
function compared(sides: ReadonlyMap<string, readonly SideFigures[]>): Record<string, number> {
  const [expected] = sides.get(OURS)!;
  const furthest: Record<string, number> = {};
  for (const [name, found] of sides) {
    const distances = found.flatMap(({ logprobs }) => {
      return logprobs.map((logprob, index) => Math.abs(logprob - expected!.logprobs[index]!));
    });
    const far = distances.reduce((most, distance) => distance <= most ? most : distance, 0);
    if (!(far < TOLERANCE)) throw new Error(`${name} gives other answers: log-probabilities differ by ${far}`);
    if (name !== OURS) furthest[name] = far;
  }
  return furthest;
}

/** Starts a part of the work in a process of its own, as this one was started. */
async function start<T>(part: string, model?: string): Promise<T> {
  const program = fileURLToPath(import.meta.url);
  const args = ["--part", part, "--device", device, ...(model === undefined ? [] : ["--model", model])];
  return await output<T>(process.execPath, [...process.execArgv, "run", "-A", program, ...args]);
}

async function startTorch(model: BenchModel, path: string): Promise<SideFigures> {
  const work = `${path}.work`;
  await writeFile(work, JSON.stringify(workloadOf(model)));
  return await output(options.python, [fileURLToPath(new URL("gpu/torch_llama.py", import.meta.url)), path, work]);
}

async function output<T>(command: string, args: readonly string[]): Promise<T> {
  const limits = { timeout: LONGEST, maxBuffer: 2 ** 26 };
  const { stdout } = await promisify(execFile)(command, [...args], limits);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

function reason(error: unknown): string {
  const { stderr = "", message } = error as { stderr?: string; message: string };
  return (stderr.split("\n").filter((line) => /error/i.test(line)).at(-1) ?? message).trim().slice(0, 120);
}
