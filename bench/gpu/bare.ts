/**
 * onnxruntime-web as one would use it directly: one loop, keys and values kept on the GPU, logits fetched in each step and
 * the highest looked for on the CPU. What it is faster by is what a Worker, its messages and adapters cost.
 */

import { open, readFile } from "node:fs/promises";
import type * as Ort from "onnxruntime-web";
import { widened } from "../../src/model/adapter/float16.ts";
import { openGpu } from "../../src/model/worker/gpu.ts";
import { median } from "../harness.ts";
import type { BenchModel } from "./model.ts";
import { randomIds, type SideFigures, workloadOf } from "./workload.ts";

type Tensors = Record<string, Ort.Tensor>;

/** Measures a model on a device. */
export async function measureBare(model: BenchModel, device: string): Promise<SideFigures> {
  const { promptTokens, answerTokens, repetitions, checked } = workloadOf(model);
  const started = performance.now();
  const gpu = await openGpu(device === "webgpu" ? "hardware" : "software");
  const ort = await import("onnxruntime-web/webgpu");
  ort.env.wasm.numThreads = 1;
  const { graph, externalData = [] } = model.base.files;
  const external = externalData.map(async ({ path }) => {
    return { path: path.split("/").at(-1)!, data: await readWhole(path) };
  });
  const session = await ort.InferenceSession.create(await readFile(graph.path), {
    executionProviders: [{ name: "webgpu", device: gpu.device } as Ort.InferenceSession.WebGpuExecutionProviderOption],
    preferredOutputLocation: "gpu-buffer",
    externalData: await Promise.all(external),
    logSeverityLevel: 3,
  });
  const loading = performance.now() - started;

  const caches = session.inputNames.filter((name) => name.startsWith("past_key_values"));
  const { keyValueHeads, headSize, vocabulary } = model.shape;
  const nothing = (): Tensors =>
    Object.fromEntries(caches.map((name) => {
      return [name, new ort.Tensor("float16", new Uint16Array(0), [1, keyValueHeads, 0, headSize])];
    }));
  const integers = (values: readonly number[]): Ort.Tensor =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const run = async (ids: readonly number[], past: Tensors, length: number): Promise<[Float32Array, Tensors]> => {
    const results: Tensors = await session.run({
      ...past,
      input_ids: integers(ids),
      attention_mask: integers(new Array(length + ids.length).fill(1)),
    });
    for (const tensor of Object.values(past)) tensor.dispose();
    const data = await results.logits!.getData() as ArrayLike<number>;
    results.logits!.dispose();
    const logits = Float32Array.from(data, data instanceof Uint16Array ? widened : Number);
    const next = caches.map((name) => [name, results[name.replace("past_key_values", "present")]!] as const);
    return [logits, Object.fromEntries(next)];
  };
  const dispose = (past: Tensors): void => Object.values(past).forEach((tensor) => tensor.dispose());

  const [logits, unused] = await run(checked, nothing(), 0);
  dispose(unused);
  const logprobs = checked.slice(1).map((id, index) => {
    const row = logits.subarray(index * vocabulary, (index + 1) * vocabulary);
    const highest = row.reduce((most, logit) => Math.max(most, logit), -Infinity);
    return row[id]! - highest - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
  });

  const [firsts, speeds]: [number[], number[]] = [[], []];
  for (let round = -1; round < repetitions; round++) {
    const began = performance.now();
    let [next, past] = await run(randomIds(vocabulary, promptTokens, 500 + round), nothing(), 0);
    const first = performance.now();
    for (let length = promptTokens; length < promptTokens + answerTokens - 1; length++) {
      const last = next.subarray(-vocabulary);
      const id = last.reduce((best, logit, index) => logit > last[best]! ? index : best, 0);
      [next, past] = await run([id], past, length);
    }
    dispose(past);
    if (round < 0) continue;
    firsts.push(first - began);
    speeds.push((answerTokens - 1) / (performance.now() - first) * 1000);
  }
  const figures = {
    "cold load, ms": loading,
    "first token, ms": median(firsts),
    "prefill, tokens/s": promptTokens / median(firsts) * 1000,
    "decode, greedy, tokens/s": median(speeds),
  };
  return { logprobs, figures, versions: { "onnxruntime-web": ort.env.versions.web ?? "" } };
}

/** A file of more than 2 GB too, which `readFile` refuses. */
async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array((await file.stat()).size);
    const step = 2 ** 26;
    for (let at = 0; at < bytes.length;) {
      at += (await file.read(bytes, at, Math.min(step, bytes.length - at), at)).bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
