/**
 * A causal language model in onnxruntime, of whatever layout: the next token's numbers for given ones, and what the
 * model remembers of them. One run at a time.
 *
 * @module
 */

import type { TensorNames } from "../files/genai_config.ts";
import type { CacheShape } from "../files/model_config.ts";
import { Logits } from "../generation/logits.ts";
import type { RowsWanted } from "../generation/row.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import { type CausalLayout, emptyCache, readLayout, tokenFeeds } from "./causal_layout.ts";
import type { Feeds, LoadedGraph } from "./graph.ts";
import type { LiveGraph } from "./live_graph.ts";

/** Keys and values of the tokens so far, as inputs of the next run. */
export interface KeyValueCache {
  /** How many tokens it holds. */
  readonly length: number;
  /** How much memory it takes. */
  readonly bytes: number;
  readonly feeds: Feeds;
  /** The tokens themselves, for a graph that remembers nothing and reads them again each time; else empty. */
  readonly ids: readonly number[];
}

/** What else a run is told. */
export interface StepOptions {
  readonly signal?: AbortSignal | undefined;
  /** The cache that goes in stays usable afterwards; else the run consumes it. */
  readonly keepPast?: boolean;
  /** What is wanted of the last token's logits; all of them when left out. */
  readonly wanted?: NextWanted;
}

/** What is wanted of one row. */
export type NextWanted = Pick<RowsWanted, "whole" | "top">;

const EVERYTHING: NextWanted = { whole: "last" };

/** What a step leads to. */
export interface Step {
  /** Of the last token alone. */
  readonly logits: Logits;
  readonly cache: KeyValueCache;
}

/** A loaded model, ready to run. */
export class CausalSession {
  readonly #onnx: OnnxRuntime;
  readonly #live: LiveGraph;
  readonly #layout: CausalLayout;
  readonly #noTokens: KeyValueCache;

  /**
   * @param graph What `live` runs.
   * @throws Error naming what the graph lacks, or has and should not, to be a causal language model's.
   */
  constructor(onnx: OnnxRuntime, live: LiveGraph, graph: LoadedGraph, names: TensorNames, shape: CacheShape) {
    this.#onnx = onnx;
    this.#live = live;
    this.#layout = readLayout(graph, names, shape);
    this.#noTokens = cacheOf(0, emptyCache(onnx, this.#layout));
  }

  /**
   * Whether several tokens may follow a cache in one run, so that prompts may be read in blocks and their beginnings
   * shared. Not without a cache; and not in merged decoders, whose branch with a cache was traced with one token, and
   * lets several see each other.
   */
  get supportsCache(): boolean {
    return this.#layout.cache.length > 0 && !this.#layout.cacheSwitch;
  }

  /** Runs a whole text at once, with no cache in or out: equal bits whatever runs beside it. */
  score(ids: readonly number[], adapter: Feeds, wanted: RowsWanted, signal?: AbortSignal): Promise<Logits> {
    return this.#run(ids, this.#noTokens, adapter, {
      outputs: [],
      rows: wanted.rows ?? 1,
      take: (results) => this.#takeLogits(results, ids.length, wanted),
      signal,
    });
  }

  /**
   * Runs the tokens that follow those in `cache`, or the first ones; only one at a time where {@link supportsCache}
   * says so. A run that fails leaves the cache as it was.
   */
  async step(
    ids: readonly number[],
    cache: KeyValueCache | undefined,
    adapter: Feeds,
    { signal, keepPast = false, wanted = EVERYTHING }: StepOptions = {},
  ): Promise<Step> {
    const past = cache ?? this.#noTokens;
    if (this.#layout.cache.length === 0) {
      const all = [...past.ids, ...ids];
      return { logits: await this.score(all, adapter, wanted, signal), cache: rememberedIds(all) };
    }
    if (past.length > 0 && ids.length > 1 && !this.supportsCache) {
      throw new RangeError(`Cannot run several tokens after a cache of this graph: ${ids.length} after ${past.length}`);
    }
    const step = await this.#advance(ids, past, adapter, wanted, signal);
    if (!keepPast) this.release(past);
    return step;
  }

  /** A new cache with the first `length` tokens of another, which stays; where {@link supportsCache} says so. */
  trim({ feeds }: KeyValueCache, length: number): Promise<KeyValueCache> {
    return this.#onnx.lock.run(async () => {
      const trimmed: Record<string, Ort.Tensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) trimmed[name] = await this.#onnx.trimmed(tensor, length);
      return cacheOf(length, trimmed);
    });
  }

  /** Lets go of a cache that no run will consume, when the library has time for it. */
  release(cache: KeyValueCache): void {
    if (cache === this.#noTokens) return;
    void this.#onnx.lock.run(() => {
      if (!this.#live.hasFailed) { for (const tensor of Object.values(cache.feeds)) tensor.dispose(); }
      return Promise.resolve();
    });
  }

  #advance(
    ids: readonly number[],
    past: KeyValueCache,
    adapter: Feeds,
    wanted: NextWanted,
    signal: AbortSignal | undefined,
  ): Promise<Step> {
    const { cache } = this.#layout;
    return this.#run(ids, past, adapter, {
      outputs: cache.map(({ output }) => output),
      rows: 1,
      signal,
      take: async (results) => {
        const logits = await this.#takeLogits(results, ids.length, wanted);
        const feeds = cache.map(({ input, output }) => [input, results[output]!] as const);
        return { logits, cache: cacheOf(past.length + ids.length, Object.fromEntries(feeds)) };
      },
    });
  }

  #run<T>(
    ids: readonly number[],
    past: KeyValueCache,
    adapter: Feeds,
    { outputs, rows, take, signal }: {
      readonly outputs: readonly string[];
      /** How many of the last tokens logits are wanted for. */
      readonly rows: number;
      readonly take: (results: Feeds) => Promise<T>;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<T> {
    return this.#live.run({
      feeds: { ...past.feeds, ...tokenFeeds(this.#onnx, this.#layout, ids, past.length, rows) },
      adapter,
      outputs: [this.#layout.logits, ...outputs],
      take,
      signal,
    });
  }

  async #takeLogits(results: Feeds, tokens: number, wanted: RowsWanted): Promise<Logits> {
    const { rows = 1 } = wanted;
    const tensor = results[this.#layout.logits]!;
    const [batch, given, vocabularySize = 0] = tensor.dims;
    if (batch !== 1 || given! < rows || vocabularySize === 0) {
      throw new Error(`${this.#layout.logits} has not a row for each token: [${tensor.dims}] for ${rows}`);
    }
    return new Logits(await this.#onnx.takeRows(tensor, wanted), tokens);
  }
}

function cacheOf(length: number, feeds: Feeds): KeyValueCache {
  const bytes = Object.values(feeds).reduce((sum, { size, type }) => sum + size * (type === "float16" ? 2 : 4), 0);
  return { length, bytes, feeds, ids: [] };
}

function rememberedIds(ids: readonly number[]): KeyValueCache {
  return { length: ids.length, bytes: ids.length * BYTES_PER_ID, feeds: {}, ids };
}

const BYTES_PER_ID = 8;
