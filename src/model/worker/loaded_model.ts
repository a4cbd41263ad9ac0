/**
 * A base in its Worker, whatever kind of model it is.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { Adapters } from "../adapter/adapters.ts";
import { targetModules } from "../adapter/peft.ts";
import { readTensorNames } from "../adapter/safetensors.ts";
import type { Ability, OnnxBase } from "../backend.ts";
import { ENCODER_OUTPUTS } from "../embedding/encoder_session.ts";
import { loadEmbeddingModel } from "../embedding/embedding_model.ts";
import { ModelError } from "../error.ts";
import { loadFailure } from "../failure.ts";
import { loadCausalModel } from "../generation/causal_model.ts";
import { type GraphLoader, type LoadedGraph, loadGraph } from "../graph/graph.ts";
import type { OnnxRuntime } from "./ort.ts";
import type { ViewTask } from "./protocol.ts";

/** A base, ready for tasks. */
export interface LoadedModel {
  readonly abilities: ReadonlySet<Ability>;
  /** Longest text it reads, in tokens; an answer counts with its prompt. */
  readonly contextLength: number;
  readonly adapters: Adapters;
  /** Bytes it keeps from one request to the next, on this machine and outside the WASM memory. */
  readonly keptBytes: number;
  /**
   * Does a task; each value is part of the answer.
   *
   * @throws ModelError
   */
  perform(task: ViewTask, signal: AbortSignal): AsyncGenerator<unknown>;
}

/**
 * Loads a base.
 *
 * @throws ModelError `model_load_failed`, `identity_changed`
 */
export async function loadModel(
  runtime: Runtime,
  onnx: OnnxRuntime,
  base: OnnxBase,
  knownAdapterWeights: readonly string[],
): Promise<LoadedModel> {
  try {
    const load: GraphLoader = (wanted) => loadGraph(runtime, onnx, base, wanted);
    const graph = await load(knownModules(runtime, knownAdapterWeights));
    const loadKind = isEmbeddingModel(base, graph) ? loadEmbeddingModel : loadCausalModel;
    return await loadKind(runtime, onnx, base, graph, load);
  } catch (error) {
    throw loadFailure(base.name, error);
  }
}

function isEmbeddingModel({ files }: OnnxBase, { session: { outputNames } }: LoadedGraph): boolean {
  if (outputNames.includes("logits")) return false;
  if (outputNames.some((name) => ENCODER_OUTPUTS.includes(name))) return true;
  const outputs = `${files.graph.path}: its outputs are ${outputNames.join(", ")}`;
  throw new Error(`the graph has neither logits nor one of ${ENCODER_OUTPUTS.join(", ")}: ${outputs}`);
}

/** The refusal of a task that a model was not made for. */
export function cannot(ability: Ability, instead: string): ModelError {
  return new ModelError("invalid_request", `The model cannot ${ability}: ${instead}`, { parameter: "model" });
}

/** Modules of the adapters that lie beside the base. A broken one does not concern the base; it fails when it is used. */
function knownModules({ files }: Runtime, adapterWeights: readonly string[]): ReadonlySet<string> {
  const names = adapterWeights.flatMap((path) => {
    try {
      return readTensorNames(files, path);
    } catch {
      return [];
    }
  });
  return targetModules(names);
}
