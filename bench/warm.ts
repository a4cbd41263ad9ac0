/**
 * What it costs to keep a model warm in a server: a Worker, its messages, the generation loop and adapter inputs, beside
 * onnxruntime-web used directly and beside transformers.js, on the same graph and in the same types of numbers. The
 * example model, which is so small that overhead is all one sees, and a Llama of 139 million random weights.
 *
 * All sides take token ids and give the likeliest next ones; every run of every side is on one thread. Of what a process
 * repeats its quickest time counts: another program's turn on the core would be taken for cost otherwise. transformers.js
 * runs on the onnxruntime-web that is used here, and on onnxruntime-node, its default outside browsers, which is native
 * code. It knows no adapters.
 *
 * Run: `npm --prefix bench/peers install --no-package-lock && deno run -A bench/warm.ts`; with `small` after it, the
 * example model alone.
 */

import { createHash } from "node:crypto";
import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Backend, OnnxBase, ResolvedAdapter, View } from "../src/model/backend.ts";
import { loadOnnxBackend } from "../src/model/onnx_backend.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import { modulesOf, randomLora, writeLora } from "../tests/support/lora.ts";
import { copyModel, KJV_TINY, resolveAdapter, resolveBase } from "../tests/support/models.ts";
import { randomLlama, writeLlama } from "../tests/support/tiny_llama.ts";
import { compare, namedSide, type Side, type SideReport } from "./harness.ts";

const PROMPT_TOKENS = 128;
const ANSWER_TOKENS = 32;
/** Of 2048; the first ones are special. */
const FIRST_ID = 10;
const RANK = 8;
/** 139 million weights. */
const LARGE = {
  hidden: 1024,
  inner: 2816,
  layers: 12,
  heads: 16,
  keyValueHeads: 4,
  headSize: 64,
  vocabulary: 2048,
  positions: 512,
  ropeTheta: 10000,
  epsilon: 1e-5,
};

/** A model that goes on from token ids with the likeliest ones, as many as are asked for. */
interface Contestant {
  readonly goOn: (ids: readonly number[], count: number) => Promise<readonly number[]>;
  readonly close: () => Promise<unknown> | unknown;
}

/** What the sides are told by whoever conducts. */
const folder = process.env.WARMCACHE_BENCH_MODEL ?? KJV_TINY;
const repetitions = Number(process.env.WARMCACHE_BENCH_REPETITIONS ?? 9);

async function openOurs(adapter?: ResolvedAdapter): Promise<Backend> {
  const base: OnnxBase = await resolveBase(folder);
  const knownAdapterWeights = adapter === undefined ? [] : [adapter.files.weights.path];
  return await loadOnnxBackend(await loadRuntime(), base, { knownAdapterWeights });
}

function contestantOf(view: View, close: () => Promise<unknown>): Contestant {
  return {
    async goOn(ids, count) {
      const limits = { maxTokens: count, minTokens: count, temperature: 0, seed: 0, stop: [], echo: false };
      const events = await Array.fromAsync(view.generate({ prompt: { ids }, topLogprobs: undefined, ...limits }));
      return events.flatMap((event) => event.type === "token" ? [event.token.id] : []);
    },
    close,
  };
}

async function ours(): Promise<Contestant> {
  const backend = await openOurs();
  return contestantOf(backend.baseView(), () => backend.close());
}

/** The library as one would use it directly, keys and values handed from run to run. */
async function bare(): Promise<Contestant> {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const model = await readFile(join(folder, "onnx", "model.onnx"));
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const { num_key_value_heads: heads, head_dim: size, eos_token_id: end } = await configOf(folder);
  const caches = session.inputNames.filter((name) => name.startsWith("past_key_values"));
  type Tensors = Record<string, InstanceType<typeof ort.Tensor>>;
  const integers = (values: readonly number[]): Tensors[string] =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  return {
    async goOn(ids, count) {
      const none = () => new ort.Tensor("float32", new Float32Array(), [1, heads, 0, size]);
      let past: Tensors = Object.fromEntries(caches.map((name) => [name, none()]));
      let input = ids;
      let length = 0;
      const answer: number[] = [];
      while (answer.length < count) {
        const positions = input.map((_, index) => length + index);
        length += input.length;
        const results: Tensors = await session.run({
          ...past,
          input_ids: integers(input),
          attention_mask: integers(new Array(length).fill(1)),
          position_ids: integers(positions),
        });
        const logits = (results.logits!.data as Float32Array).subarray(-results.logits!.dims.at(-1)!);
        logits[end] = -Infinity;
        const id = logits.reduce((best, logit, index) => logit > logits[best]! ? index : best, 0);
        answer.push(id);
        input = [id];
        past = Object.fromEntries(caches.map((name) => [name, results[name.replace("past_key_values", "present")]!]));
      }
      return answer;
    },
    close: () => session.release(),
  };
}

// deno-lint-ignore no-explicit-any -- read by name
async function configOf(folder: string): Promise<any> {
  return JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
}

/** transformers.js, on our onnxruntime-web if it is to be, else on the onnxruntime-node it brings along. */
async function transformers(onWeb: boolean): Promise<Contestant> {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  if (onWeb) Object.assign(globalThis, { [Symbol.for("onnxruntime")]: ort });
  const entry = createRequire(new URL("./peers/package.json", import.meta.url)).resolve("@huggingface/transformers");
  const { AutoModelForCausalLM, env, Tensor } = await import(pathToFileURL(entry).href);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  env.useWasmCache = false;
  if (onWeb) env.backends.onnx.wasm.wasmPaths = undefined;
  const model = await AutoModelForCausalLM.from_pretrained(basename(folder), {
    dtype: "fp32",
    device: onWeb ? "auto" : "cpu",
    session_options: onWeb ? { executionProviders: ["wasm"] } : { intraOpNumThreads: 1, interOpNumThreads: 1 },
  });
  return {
    async goOn(ids, count) {
      const tensor = (values: readonly number[]) =>
        new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
      const output = await model.generate({
        input_ids: tensor(ids),
        attention_mask: tensor(ids.map(() => 1)),
        max_new_tokens: count,
        min_new_tokens: count,
        do_sample: false,
      });
      return Array.from(output.data as BigInt64Array, Number).slice(ids.length);
    },
    close: () => model.dispose(),
  };
}

/** A prompt that no other begins with, so that nothing that was read before is of use. */
function prompt(seed: number, length: number = PROMPT_TOKENS): number[] {
  return Array.from({ length }, (_, index) => FIRST_ID + (seed * 101 + index * 37) % 2000);
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** What all sides are asked, and how long it takes them. */
async function measure(open: () => Promise<Contestant>): Promise<SideReport> {
  let contestant: Contestant | undefined;
  const load = await milliseconds(async () => {
    contestant = await open();
    await contestant.goOn(prompt(0, 1), 1);
  });
  return await timed(contestant!, contestant!, { "load, to the first token": load });
}

/** Times one and checks the answers of another, which is the same where there is no adapter. */
async function timed(
  contestant: Contestant,
  checked: Contestant,
  figures: Readonly<Record<string, number>>,
): Promise<SideReport> {
  const answers = createHash("sha256").update(String(await checked.goOn(prompt(1), ANSWER_TOKENS))).digest("hex");
  const reading: number[] = [];
  const whole: number[] = [];
  for (let round = 0; round < repetitions; round++) {
    reading.push(await milliseconds(() => contestant.goOn(prompt(100 + round), 1)));
    whole.push(await milliseconds(() => contestant.goOn(prompt(300 + round), 1 + ANSWER_TOKENS)));
  }
  await contestant.close();
  return {
    answers: answers.slice(0, 16),
    figures: {
      ...figures,
      [`${PROMPT_TOKENS} tokens read`]: Math.min(...reading),
      "one token more": (Math.min(...whole) - Math.min(...reading)) / ANSWER_TOKENS,
    },
    versions: { "onnxruntime-web": "1.30.0", "@huggingface/transformers": "4.3.1" },
  };
}

/** A graph with adapter inputs, and with an adapter in them if one is to be applied. */
async function adapted(isApplied: boolean): Promise<SideReport> {
  const adapter = await resolveAdapter(join(folder, "adapters", "bench"));
  const backend = await openOurs(adapter);
  const close = (): Promise<void> => backend.close();
  const base = contestantOf(backend.baseView(), close);
  await base.goOn(prompt(0, 1), 1);
  if (!isApplied) return await timed(base, base, {});
  const view = contestantOf(backend.adapterView(adapter), close);
  const first = await milliseconds(() => view.goOn(prompt(2, 1), 1));
  const later: number[] = [];
  for (let round = 0; round < repetitions; round++) {
    await base.goOn(prompt(400 + round, 1), 1);
    later.push(await milliseconds(() => view.goOn(prompt(400 + round, 1), 1)));
  }
  const { figures, ...report } = await timed(view, base, {});
  return {
    ...report,
    figures: {
      ...figures,
      "an adapter's first token": first,
      "one token of it after one of the base": Math.min(...later),
    },
  };
}

const node = [fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url)), "--no-warnings"];
const besideOthers: readonly Side[] = [
  { name: "warmcache", command: node, run: () => measure(ours) },
  { name: "onnxruntime-web", command: node, run: () => measure(bare) },
  { name: "transformers.js, web", command: node, run: () => measure(() => transformers(true)) },
  { name: "transformers.js, native", command: node, run: () => measure(() => transformers(false)) },
];
const onDeno: readonly Side[] = [
  { name: "warmcache on Deno", run: () => measure(ours) },
  { name: "onnxruntime-web on Deno", run: () => measure(bare) },
];
const withAdapters: readonly Side[] = [
  { name: `rank ${RANK}`, run: () => adapted(true) },
  { name: "inputs, none applied", run: () => adapted(false) },
  { name: "untouched graph", run: () => measure(ours) },
];

const program = fileURLToPath(import.meta.url);
if (namedSide() !== undefined) {
  const sides = [...besideOthers, ...onDeno, ...withAdapters];
  await compare(program, { title: "", unit: "", rounds: 0, sides });
  process.exit();
}

const made = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
try {
  await conduct("the example model, 1.8 million weights", await smallModel(made), 9, 5);
  if (!process.argv.includes("small")) {
    await conduct("a Llama of 139 million weights", await largeModel(join(made, "large")), 2, 3);
  }
} finally {
  await rm(made, { recursive: true });
}

async function conduct(model: string, path: string, repetitions: number, rounds: number): Promise<void> {
  process.env.WARMCACHE_BENCH_MODEL = path;
  process.env.WARMCACHE_BENCH_REPETITIONS = String(repetitions);
  const unit = "ms";
  await compare(program, { title: `Node 24, ${model}`, unit, rounds, sides: besideOthers });
  await compare(program, { title: `Deno, ${model}`, unit, rounds, sides: onDeno });
  await compare(program, { title: `Adapter inputs on Deno, ${model}`, unit, rounds, sides: withAdapters });
}

async function smallModel(folder: string): Promise<string> {
  const path = await copyModel(folder, "small");
  await rename(join(path, "adapters", "fortunes"), join(path, "adapters", "bench"));
  return path;
}

async function largeModel(path: string): Promise<string> {
  const llama = randomLlama(LARGE);
  await writeLlama(path, llama, { layout: "optimum" });
  const lora = randomLora(llama, modulesOf(llama), () => RANK);
  await writeLora(join(path, "adapters", "bench"), lora, { config: { r: RANK, lora_alpha: RANK } });
  return path;
}
