/**
 * A causal language model in onnxruntime: key/value cache in and out, adapters as inputs, one run at a time.
 *
 * @module
 */

import { Fifo } from "../worker/fifo.ts";
import type { Feeds, GraphLoader, LoadedGraph } from "./graph.ts";
import { Logits } from "../generation/logits.ts";
import { type LinearLayers, loraInputNames } from "./lora_graph.ts";
import type { ModelConfig } from "../files/model_config.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import { turn } from "../worker/turn.ts";

/** Keys and values of the tokens so far, as inputs of the next run, which consumes them. */
export interface KeyValueCache {
  /** How many tokens it holds. */
  readonly length: number;
  readonly feeds: Feeds;
}

/** A loaded model, ready to run. */
export class CausalSession {
  readonly #load: GraphLoader;
  readonly #onnx: OnnxRuntime;
  readonly #noTokens: KeyValueCache;
  /** One change of the graph at a time. */
  readonly #targeting = new Fifo();
  /**
   * Why a run failed, if one did. The library may have been left holding a lock of its own, which the next call would
   * wait for, with this thread, for ever; seen when a GPU is lost.
   */
  #failure: { readonly error: unknown } | undefined;
  #graph: LoadedGraph;

  /**
   * @param graph What `load` has loaded first.
   * @throws Error naming what the graph lacks, or has and should not, to be a causal language model's.
   */
  constructor(onnx: OnnxRuntime, config: ModelConfig, graph: LoadedGraph, load: GraphLoader) {
    const cacheInputs = checkGraph(graph);
    this.#load = load;
    this.#onnx = onnx;
    this.#graph = graph;
    const shape = [1, config.keyValueHeads, 0, config.headSize];
    const empty = cacheInputs.map((name) => [name, new onnx.ort.Tensor("float32", new Float32Array(0), shape)]);
    this.#noTokens = { length: 0, feeds: Object.fromEntries(empty) };
  }

  /** The linear layers an adapter may target, by node name. */
  get layers(): LinearLayers {
    return this.#graph.layers;
  }

  /** Gives `modules` adapter inputs. If some have none yet, a new session is built beside the old and takes its place. */
  async target(modules: Iterable<string>): Promise<void> {
    await this.#targeting.run(async () => {
      const wanted = new Set([...this.#graph.modules, ...modules]);
      if (wanted.size === this.#graph.modules.size) return;
      const graph = await this.#load(wanted);
      await this.#onnx.lock.run(async () => {
        const { session: old } = this.#graph;
        this.#graph = graph;
        await old.release();
      });
    });
  }

  /** Runs a whole text at once, with no cache in or out: equal bits whatever runs beside it. */
  async score(ids: readonly number[], adapter: Feeds, signal?: AbortSignal): Promise<Logits> {
    const { logits } = await this.#run(ids, this.#noTokens, adapter, [], signal);
    return logits;
  }

  /** Runs the tokens that follow those in `cache`, or the first ones. A run that fails leaves the cache as it was. */
  async step(
    ids: readonly number[],
    cache: KeyValueCache | undefined,
    adapter: Feeds,
    signal?: AbortSignal,
  ): Promise<{ readonly logits: Logits; readonly cache: KeyValueCache }> {
    const past = cache ?? this.#noTokens;
    const inputs = Object.keys(past.feeds);
    const { logits, results } = await this.#run(ids, past, adapter, inputs.map(presentName), signal);
    const feeds = inputs.map((input) => [input, results[presentName(input)]]);
    return { logits, cache: { length: past.length + ids.length, feeds: Object.fromEntries(feeds) } };
  }

  /** Lets go of a cache that no run will consume, when the library has time for it. */
  release(cache: KeyValueCache): void {
    void this.#onnx.lock.run(() => Promise.resolve(this.#dispose(cache)));
  }

  #run(
    ids: readonly number[],
    past: KeyValueCache,
    adapter: Feeds,
    outputs: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly logits: Logits; readonly results: Feeds }> {
    return this.#onnx.lock.run(async () => {
      signal?.throwIfAborted();
      const { session, noAdapter } = this.#graph;
      const feeds = { ...noAdapter, ...adapter, ...past.feeds, ...this.#tokenFeeds(ids, past.length) };
      if (this.#failure !== undefined) throw this.#failure.error;
      try {
        const results = await session.run(feeds, ["logits", ...outputs]);
        const logits = await takeLogits(results.logits!);
        this.#dispose(past);
        await turn();
        return { logits, results };
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    });
  }

  #dispose(cache: KeyValueCache): void {
    if (cache === this.#noTokens || this.#failure !== undefined) return;
    for (const tensor of Object.values(cache.feeds)) tensor.dispose();
  }

  #tokenFeeds(ids: readonly number[], past: number): Feeds {
    const values: Readonly<Record<string, readonly number[]>> = {
      input_ids: ids,
      attention_mask: new Array(past + ids.length).fill(1),
      position_ids: ids.map((_, index) => past + index),
    };
    const { inputNames } = this.#graph.session;
    const feeds = Object.entries(values).filter(([name]) => inputNames.includes(name)).map(([name, integers]) => {
      return [name, new this.#onnx.ort.Tensor("int64", BigInt64Array.from(integers, BigInt), [1, integers.length])];
    });
    return Object.fromEntries(feeds);
  }
}

async function takeLogits(tensor: Ort.Tensor): Promise<Logits> {
  const logits = new Logits(await tensor.getData() as Float32Array, tensor.dims.at(-1)!);
  tensor.dispose();
  return logits;
}

/** The output that holds what a cache input takes in the next run. */
function presentName(cacheInput: string): string {
  return cacheInput.replace("past_key_values", "present");
}

const TOKEN_INPUTS: readonly string[] = ["input_ids", "attention_mask", "position_ids"];
const CACHE_INPUT = /^past_key_values\.\d+\.(key|value)$/;

/** Refuses a graph that cannot be run as a causal language model with a cache; returns its cache inputs. */
function checkGraph({ session, modules }: LoadedGraph): string[] {
  const { inputNames, outputNames, inputMetadata } = session;
  const cacheInputs = inputNames.filter((name) => CACHE_INPUT.test(name));
  if (cacheInputs.length === 0) throw new Error(`the graph has no past_key_values inputs: ${inputNames.join(", ")}`);
  if (!inputNames.includes("input_ids")) throw new Error(`the graph has no input_ids: ${inputNames.join(", ")}`);
  for (const output of ["logits", ...cacheInputs.map(presentName)]) {
    if (!outputNames.includes(output)) throw new Error(`the graph has no output ${output}: ${outputNames.join(", ")}`);
  }
  const adapterInputs = [...modules].flatMap((module) => Object.values(loraInputNames(module)));
  const known = new Set([...TOKEN_INPUTS, ...cacheInputs, ...adapterInputs]);
  for (const input of inputMetadata) {
    if (!known.has(input.name)) throw new Error(`the graph has an input that is not known: ${input.name}`);
    const type = TOKEN_INPUTS.includes(input.name) ? "int64" : "float32";
    if (!input.isTensor || input.type !== type) {
      throw new Error(`input ${input.name} of the graph is not ${type}: ${input.isTensor ? input.type : "no tensor"}`);
    }
  }
  return cacheInputs;
}
