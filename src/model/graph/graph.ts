/**
 * An ONNX graph, loaded with adapter inputs, its weights taken from files that are read as they are needed.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { OnnxBase } from "../backend.ts";
import { disposeFeeds, emptyFeeds } from "../adapter/lora_feeds.ts";
import { linearLayers } from "./layer_search.ts";
import type { LinearLayers } from "./linear_layers.ts";
import { withLogitsWindow } from "./logits_window.ts";
import { withLoraInputs } from "./lora_graph.ts";
import { outline } from "./onnx_outline.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import { turn } from "../worker/turn.ts";
import { WeightFiles } from "./weight_files.ts";

/** Tensors by the graph input they go to. */
export type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** Loads the graph of one base anew, with adapter inputs for those of `modules` that it computes in linear layers. */
export type GraphLoader = (modules: ReadonlySet<string>) => Promise<LoadedGraph>;

/** A graph in memory. */
export interface LoadedGraph {
  readonly session: Ort.InferenceSession;
  /** The linear layers an adapter may target. */
  readonly layers: LinearLayers;
  /** Names of the layers that have adapter inputs. */
  readonly modules: ReadonlySet<string>;
  /** Nothing for each of those layers: the base alone. */
  readonly noAdapter: Feeds;
}

/**
 * Loads a base's graph, with adapter inputs for those of the modules `wanted` that it computes in linear layers.
 *
 * @throws ModelError `identity_changed`; Error when the graph is broken.
 */
export async function loadGraph(
  runtime: Runtime,
  onnx: OnnxRuntime,
  base: OnnxBase,
  wanted: ReadonlySet<string>,
): Promise<LoadedGraph> {
  const weights = await WeightFiles.open(runtime, base.files);
  try {
    const model = withLogitsWindow(outline(weights));
    const layers = linearLayers(model);
    const modules = new Set([...wanted].flatMap((module) => layers.locate(module).map(({ layer }) => layer.name)));
    const rewritten = withLoraInputs(model, layers, modules);
    const noAdapter = await emptyFeeds(onnx, Array.from(modules, (name) => layers.get(name)!));
    try {
      const session = await onnx.lock.run(() =>
        onnx.ort.InferenceSession.create(rewritten, {
          ...onnx.sessionOptions,
          externalData: weights.mounted(),
          logSeverityLevel: ERRORS_ONLY,
        })
      );
      return { session, layers, modules, noAdapter };
    } catch (error) {
      disposeFeeds(noAdapter);
      throw error;
    }
  } catch (error) {
    // What a device has to say comes as an event.
    await turn();
    const complaint = onnx.complaint();
    const gpu = complaint === undefined ? "" : `; the GPU says: ${complaint}`;
    throw weights.failure ?? new Error(`${base.files.graph.path}: ${(error as Error).message}${gpu}`, { cause: error });
  } finally {
    weights.close();
  }
}

const ERRORS_ONLY = 3;
