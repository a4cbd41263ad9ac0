/** The side that is ours: a backend as a server has it, in a process of its own beside this one. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { Backend, GenerateRequest, ResolvedAdapter, View } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { median } from "../harness.ts";
import { randomAdapter } from "./adapter.ts";
import { gpuMegabytes } from "./machine.ts";
import type { BenchModel } from "./model.ts";
import { randomIds, type SideFigures, type Workload, workloadOf } from "./workload.ts";

/** So that a driver has given back what it was told to. */
const SETTLED = 1000;

/** Measures a model on a device. */
export async function measureOurs(model: BenchModel, device: string): Promise<SideFigures> {
  const runtime = await loadRuntime();
  const base = { ...model.base, device };
  const work = workloadOf(model);
  const before = await gpuMegabytes();
  const figures: Record<string, number> = {};

  const [backend, loading] = await timed(() => loadOnnxBackend(runtime, base));
  figures["cold load, ms"] = loading;
  const asker = new Asker(backend.baseView(), model, work);
  figures["first token after a load, ms"] = (await asker.first()).milliseconds;
  const logprobs = await checkedLogprobs(backend.baseView(), work.checked);
  await asker.speeds(figures, "");
  await asker.scoring(figures);
  const held = backend.memory.gpu;
  figures["held on the GPU, MB"] = held / 1e6;
  const during = await gpuMegabytes();
  [, figures["evict, ms"]] = await timed(() => backend.close());
  await new Promise((resolve) => setTimeout(resolve, SETTLED));
  const left = await gpuMegabytes();
  if (before !== undefined && during !== undefined && left !== undefined) {
    figures["of the driver's memory taken, MB"] = during - before;
    figures["and returned by evicting, MB"] = during - left;
  }

  const folder = join(model.weights, "..", `adapter-${process.pid}`);
  const adapter = await randomAdapter(folder, model);
  try {
    const knownAdapterWeights = [adapter.files.weights.path];
    const rewritten = await loadOnnxBackend(runtime, base, { knownAdapterWeights });
    try {
      await measureAdapters(rewritten, adapter, model, work, figures);
    } finally {
      await rewritten.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return { logprobs, figures, versions: { deno: process.versions.deno ?? "" } };
}

async function measureAdapters(
  backend: Backend,
  adapter: ResolvedAdapter,
  model: BenchModel,
  work: Workload,
  figures: Record<string, number>,
): Promise<void> {
  const base = backend.baseView();
  const adapted = backend.adapterView(adapter);
  const plain = new Asker(base, model, work);
  await plain.first();
  figures["decode, base beside adapters, tokens/s"] = await plain.decoding({});
  const ask = (view: View): Promise<unknown> => view.nextToken({ ids: work.checked }, { topK: 1 });
  await ask(base);
  [, figures["adapter, first use, ms"]] = await timed(() => ask(adapted));
  figures["decode, adapter, tokens/s"] = await new Asker(adapted, model, work).decoding({});
  const [switching, staying]: [number[], number[]] = [[], []];
  for (let round = 0; round < work.repetitions; round++) {
    await ask(adapted);
    staying.push((await timed(() => ask(adapted)))[1]);
    await ask(base);
    switching.push((await timed(() => ask(adapted)))[1]);
  }
  figures["adapter switch, ms"] = median(switching) - median(staying);
}

/** Asks a view, each time for something that it has not read before. */
class Asker {
  readonly #view: View;
  readonly #model: BenchModel;
  readonly #work: Workload;
  static #prompts = 100;

  constructor(view: View, model: BenchModel, work: Workload) {
    this.#view = view;
    this.#model = model;
    this.#work = work;
  }

  /** One token after a new prompt. */
  first(): Promise<{ milliseconds: number }> {
    return this.#answer(1, {}).then(({ first }) => ({ milliseconds: first }));
  }

  async speeds(figures: Record<string, number>, name: string): Promise<void> {
    const firsts: number[] = [];
    for (let round = 0; round < this.#work.repetitions; round++) firsts.push((await this.first()).milliseconds);
    figures[`first token${name}, ms`] = median(firsts);
    figures[`prefill${name}, tokens/s`] = this.#work.promptTokens / median(firsts) * 1000;
    figures[`decode, greedy${name}, tokens/s`] = await this.decoding({});
    figures[`decode, top 20${name}, tokens/s`] = await this.decoding({ temperature: 0.7, topK: 20, topP: 0.8 });
    figures[`decode, any token${name}, tokens/s`] = await this.decoding({ temperature: 1 });
  }

  /** Tokens per second after the first one. */
  async decoding(request: Partial<GenerateRequest>): Promise<number> {
    const { answerTokens, repetitions } = this.#work;
    const speeds: number[] = [];
    for (let round = 0; round < repetitions; round++) {
      const { first, last } = await this.#answer(answerTokens, request);
      speeds.push((answerTokens - 1) / (last - first) * 1000);
    }
    return median(speeds);
  }

  async scoring(figures: Record<string, number>): Promise<void> {
    const sentence = "In the beginning God created the heaven and the earth. ";
    const probe = await this.#view.rollingLogprobs(sentence);
    const text = sentence.repeat(Math.ceil(this.#work.promptTokens / probe.ids.length));
    const speeds: number[] = [];
    for (let round = 0; round < this.#work.repetitions; round++) {
      const [{ ids }, milliseconds] = await timed(() => this.#view.rollingLogprobs(text));
      speeds.push(ids.length / milliseconds * 1000);
    }
    figures["scoring, tokens/s"] = median(speeds);
  }

  /** When its first and its last token came. */
  async #answer(tokens: number, request: Partial<GenerateRequest>): Promise<{ first: number; last: number }> {
    const ids = randomIds(this.#model.shape.vocabulary, this.#work.promptTokens, Asker.#prompts++);
    const started = performance.now();
    const times: number[] = [];
    for await (const event of this.#view.generate(requestOf({ prompt: { ids }, ...request }, tokens))) {
      if (event.type === "token") times.push(performance.now() - started);
    }
    return { first: times[0]!, last: times.at(-1)! };
  }
}

function requestOf(changes: Partial<GenerateRequest> & Pick<GenerateRequest, "prompt">, tokens: number) {
  const limits = { maxTokens: tokens, minTokens: tokens, temperature: 0, topP: 1, topK: 0, minP: 0, seed: 1 };
  return { ...limits, stop: [], echo: false, topLogprobs: undefined, ...changes };
}

async function checkedLogprobs(view: View, ids: readonly number[]): Promise<number[]> {
  const request = requestOf({ prompt: { ids }, echo: true, topLogprobs: 1 }, 0);
  const [first] = await Array.fromAsync(view.generate(request));
  if (first?.type !== "prompt") throw new Error("The prompt was not scored");
  return first.tokens.slice(1).map(({ logprob }) => logprob!);
}

async function timed<T>(work: () => Promise<T>): Promise<[result: T, milliseconds: number]> {
  const started = performance.now();
  const result = await work();
  return [result, performance.now() - started];
}
