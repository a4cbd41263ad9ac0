/**
 * An encoder in its Worker: it places texts in a space of meanings.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { OnnxBase } from "../backend.ts";
import type { GraphLoader, LoadedGraph } from "../graph/graph.ts";
import type { LoadedModel } from "../worker/loaded_model.ts";
import type { OnnxRuntime } from "../worker/ort.ts";

/**
 * Puts an embedding model together.
 *
 * @throws Error when a file is broken, or the graph is not an encoder's; ModelError `identity_changed`
 */
export function loadEmbeddingModel(
  _runtime: Runtime,
  _onnx: OnnxRuntime,
  _base: OnnxBase,
  _graph: LoadedGraph,
  _load: GraphLoader,
): Promise<LoadedModel> {
  throw new Error("the graph has no logits");
}
