/**
 * The adapters of one base that are in memory, by content identity: a retrained adapter at the same path is another one.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { ResidentAdapter, ResolvedAdapter } from "../backend.ts";
import type { ModelError } from "../error.ts";
import { type Feeds, loraFeeds } from "../graph/graph.ts";
import { nodeName } from "../graph/lora_graph.ts";
import { loadFailure } from "../failure.ts";
import { readContent, readJson } from "../files/model_files.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import { type LoraAdapter, readAdapter } from "./peft.ts";
import { readTensors } from "./safetensors.ts";
import type { CausalSession } from "../graph/session.ts";
import type { AppliedAdapter } from "../worker/protocol.ts";

/** Loads adapters once and keeps them. */
export class Adapters {
  readonly #runtime: Runtime;
  readonly #onnx: OnnxRuntime;
  readonly #session: CausalSession;
  readonly #loaded = new Map<string, Promise<LoraAdapter>>();
  readonly #resident = new Map<string, ResidentAdapter>();

  constructor(runtime: Runtime, onnx: OnnxRuntime, session: CausalSession) {
    this.#runtime = runtime;
    this.#onnx = onnx;
    this.#session = session;
  }

  /**
   * An adapter times λ, or noise of its shape, as inputs for the session's graph.
   *
   * @throws ModelError `model_load_failed`, `identity_changed`
   */
  async feeds({ adapter, as }: AppliedAdapter): Promise<Feeds> {
    const read = await this.#read(adapter);
    if ("noise" in as) throw new Error("noise is not there yet");
    const { scale } = as;
    const modules = Array.from(read, ([module, matrices]) => {
      const b = scale === 1 ? matrices.b : matrices.b.map((weight) => weight * scale);
      return loraFeeds(this.#onnx, module, { ...matrices, b });
    });
    return Object.assign({}, ...modules);
  }

  /** Those in memory. */
  get resident(): readonly ResidentAdapter[] {
    return [...this.#resident.values()];
  }

  /** Lets go of one; a request that is using it goes on with it. */
  drop(identity: string): void {
    this.#loaded.delete(identity);
    this.#resident.delete(identity);
  }

  #read(adapter: ResolvedAdapter): Promise<LoraAdapter> {
    const known = this.#loaded.get(adapter.identity);
    if (known !== undefined) return known;
    const { name, identity } = adapter;
    const loading = this.#load(adapter);
    this.#loaded.set(identity, loading);
    const isWanted = (): boolean => this.#loaded.get(identity) === loading;
    loading.then((read) => {
      if (isWanted()) this.#resident.set(identity, { name, identity, bytes: bytesOf(read) });
    }, (error: ModelError) => {
      // The same bytes will fail in the same way.
      if (isWanted() && !error.permanent) this.#loaded.delete(identity);
    });
    return loading;
  }

  async #load({ name, files }: ResolvedAdapter): Promise<LoraAdapter> {
    try {
      const config = await readJson(this.#runtime, files.config);
      const weights = await readContent(this.#runtime, files.weights);
      const adapter = readAdapter(config, readTensors(weights));
      this.#checkFit(adapter);
      await this.#session.target(adapter.keys());
      return adapter;
    } catch (error) {
      throw loadFailure(`adapter ${name}`, error);
    }
  }

  #checkFit(adapter: LoraAdapter): void {
    for (const [module, { inputSize, outputSize }] of adapter) {
      const layer = this.#session.layers.get(nodeName(module));
      if (layer === undefined) {
        throw new Error(`the base has no linear layer ${module}: ${nodeName(module)} is missing`);
      }
      if (layer.inputSize !== inputSize || layer.outputSize !== outputSize) {
        const own = `${layer.inputSize} to ${layer.outputSize}`;
        throw new Error(`${module} of the base goes from ${own}: the adapter's from ${inputSize} to ${outputSize}`);
      }
    }
  }
}

function bytesOf(adapter: LoraAdapter): number {
  return [...adapter.values()].reduce((sum, { a, b }) => sum + a.byteLength + b.byteLength, 0);
}
