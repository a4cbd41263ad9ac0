/**
 * The adapters of one base that are in memory, by content identity: a retrained adapter at the same path is another
 * one.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { ContentFile, ResidentAdapter, ResolvedAdapter } from "../backend.ts";
import type { ModelError } from "../error.ts";
import { loadFailure } from "../failure.ts";
import { readJson } from "../files/model_files.ts";
import type { Feeds } from "../graph/graph.ts";
import type { LiveGraph } from "../graph/live_graph.ts";
import { VerifiedFile } from "../graph/verified_file.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import type { AppliedAdapter } from "../worker/protocol.ts";
import { disposeFeeds, type LayerMatrices, loraFeeds } from "./lora_feeds.ts";
import { type LoraShape, noiseOf } from "./noise.ts";
import { type LoraAdapter, readAdapter } from "./peft.ts";
import { readScales } from "./peft_config.ts";
import { placeAdapter } from "./placement.ts";
import { readTensors } from "./safetensors.ts";
import { type FeedsLease, SharedFeeds } from "./shared_feeds.ts";

/** An adapter, read and placed. */
interface LoadedAdapter {
  readonly shapes: ReadonlyMap<string, LoraShape>;
  readonly matrices: readonly LayerMatrices[];
  /** Its tensors, by how it is applied. */
  readonly feeds: SharedFeeds;
}

/** Inputs for no adapter at all. */
const BASE_ALONE: FeedsLease = { feeds: {}, release() {} };

/** How many ways of applying an adapter stay in memory when nobody uses them: as trained, and some λ or noise. */
const IDLE_FEEDS = 4;

/** Loads adapters once and keeps them. */
export class Adapters {
  readonly #runtime: Runtime;
  readonly #onnx: OnnxRuntime;
  readonly #graph: Pick<LiveGraph, "layers" | "target">;
  readonly #onDrop: (identity: string) => void;
  readonly #loaded = new Map<string, Promise<LoadedAdapter>>();
  readonly #resident = new Map<string, ResidentAdapter>();

  /** @param onDrop Told the identity of an adapter that is let go of. */
  constructor(
    runtime: Runtime,
    onnx: OnnxRuntime,
    graph: Pick<LiveGraph, "layers" | "target">,
    onDrop: (identity: string) => void = () => {},
  ) {
    this.#onDrop = onDrop;
    this.#runtime = runtime;
    this.#onnx = onnx;
    this.#graph = graph;
  }

  /**
   * An adapter times λ, or noise of its shape, as inputs for the graph; for none, what makes the base. They are to be
   * released when the last run with them has ended.
   *
   * @throws ModelError `model_load_failed`, `identity_changed`
   */
  async lease(applied: AppliedAdapter | undefined): Promise<FeedsLease> {
    if (applied === undefined) return BASE_ALONE;
    const { adapter, as } = applied;
    const loaded = await this.#read(adapter);
    // Exactly the base: times 0, the matrices would still turn an overflow of float16 into no number.
    if ("scale" in as && as.scale === 0) return BASE_ALONE;
    try {
      return await loaded.feeds.take(JSON.stringify(as), () => this.#apply(loaded, as));
    } catch (error) {
      throw loadFailure(`adapter ${adapter.name}`, error);
    }
  }

  /** Those in memory. */
  get resident(): readonly ResidentAdapter[] {
    return [...this.#resident.values()];
  }

  /** Lets go of one; a request that is using it goes on with it. */
  drop(identity: string): void {
    const loading = this.#loaded.get(identity);
    this.#loaded.delete(identity);
    this.#resident.delete(identity);
    loading?.then(({ feeds }) => feeds.close(), () => {});
    this.#onDrop(identity);
  }

  #apply({ shapes, matrices }: LoadedAdapter, as: AppliedAdapter["as"]): Promise<Feeds> {
    if ("scale" in as) return loraFeeds(this.#onnx, matrices, as.scale);
    return loraFeeds(this.#onnx, placeAdapter(noiseOf(shapes, as.noise), this.#graph.layers));
  }

  /** Between two runs, the last of which may have been one with these. */
  #dispose(feeds: Feeds): void {
    // A device that is gone has let go of them itself.
    this.#onnx.lock.run(() => Promise.resolve(disposeFeeds(feeds))).catch(() => {});
  }

  #read(adapter: ResolvedAdapter): Promise<LoadedAdapter> {
    const known = this.#loaded.get(adapter.identity);
    if (known !== undefined) return known;
    const { name, identity } = adapter;
    const loading = this.#load(adapter);
    this.#loaded.set(identity, loading);
    const isWanted = (): boolean => this.#loaded.get(identity) === loading;
    loading.then(({ matrices }) => {
      if (isWanted()) this.#resident.set(identity, { name, identity, bytes: bytesOf(matrices) });
    }, (error: ModelError) => {
      // The same bytes will fail in the same way.
      if (isWanted() && !error.permanent) this.#loaded.delete(identity);
    });
    return loading;
  }

  async #load({ name, files }: ResolvedAdapter): Promise<LoadedAdapter> {
    try {
      const adapter = await readFiles(this.#runtime, files);
      const matrices = placeAdapter(adapter, this.#graph.layers);
      await this.#graph.target(matrices.map(({ layer }) => layer.name));
      const shapes = new Map(Array.from(adapter, ([module, { a: _, b: __, ...shape }]) => [module, shape]));
      return { shapes, matrices, feeds: new SharedFeeds(IDLE_FEEDS, (feeds) => this.#dispose(feeds)) };
    } catch (error) {
      throw loadFailure(`adapter ${name}`, error);
    }
  }
}

async function readFiles(runtime: Runtime, { config, weights }: ResolvedAdapter["files"]): Promise<LoraAdapter> {
  const settings = await readJson(runtime, config);
  const scaleOf = within(config, () => readScales(settings));
  const file = await VerifiedFile.open(runtime, weights);
  try {
    return within(weights, () => readAdapter(scaleOf, readTensors(file)));
  } catch (error) {
    throw file.failure ?? error;
  } finally {
    file.close();
  }
}

/** Does what looks into a file; an error names the file. */
function within<T>({ path }: ContentFile, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function bytesOf(matrices: readonly LayerMatrices[]): number {
  return matrices.reduce((sum, { a, b }) => sum + a.byteLength + b.byteLength, 0);
}
