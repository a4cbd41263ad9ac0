/**
 * The adapters of one base that are in memory, by content identity: a retrained adapter at the same path is another one.
 *
 * @module
 */

import type { Runtime } from "../runtime/runtime.ts";
import type { ResolvedAdapter } from "./backend.ts";
import { type Feeds, loraFeeds } from "./graph.ts";
import { nodeName } from "./lora_graph.ts";
import { loadFailure, readContent, readJson } from "./model_files.ts";
import type { OnnxRuntime } from "./ort.ts";
import { type LoraAdapter, readAdapter } from "./peft.ts";
import { readTensors } from "./safetensors.ts";
import type { CausalSession } from "./session.ts";

/** Loads adapters once and keeps them. */
export class Adapters {
  readonly #runtime: Runtime;
  readonly #onnx: OnnxRuntime;
  readonly #session: CausalSession;
  readonly #loaded = new Map<string, Promise<LoraAdapter>>();

  constructor(runtime: Runtime, onnx: OnnxRuntime, session: CausalSession) {
    this.#runtime = runtime;
    this.#onnx = onnx;
    this.#session = session;
  }

  /**
   * An adapter times λ, as inputs for the session's graph.
   *
   * @throws ModelError `model_load_failed`, `identity_changed`
   */
  async feeds(adapter: ResolvedAdapter, scale: number): Promise<Feeds> {
    const modules = Array.from(await this.#resident(adapter), ([module, matrices]) => {
      const b = scale === 1 ? matrices.b : matrices.b.map((weight) => weight * scale);
      return loraFeeds(this.#onnx, module, { ...matrices, b });
    });
    return Object.assign({}, ...modules);
  }

  #resident(adapter: ResolvedAdapter): Promise<LoraAdapter> {
    const known = this.#loaded.get(adapter.identity);
    if (known !== undefined) return known;
    const loading = this.#load(adapter).catch((error) => {
      this.#loaded.delete(adapter.identity);
      throw loadFailure(`adapter ${adapter.name}`, error);
    });
    this.#loaded.set(adapter.identity, loading);
    return loading;
  }

  async #load({ files }: ResolvedAdapter): Promise<LoraAdapter> {
    const config = await readJson(this.#runtime, files.config);
    const weights = await readContent(this.#runtime, files.weights);
    const adapter = readAdapter(config, readTensors(weights));
    this.#checkFit(adapter);
    await this.#session.target(adapter.keys());
    return adapter;
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
