/**
 * An adapter's matrices as inputs of the rewritten graph, in the layer's own element type and where the model runs.
 *
 * @module
 */

import type { Feeds } from "../graph/graph.ts";
import type { LinearLayer } from "../graph/linear_layers.ts";
import { loraInputNames } from "../graph/lora_graph.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import { narrowed } from "./float16.ts";

/** The matrices that go beside one layer. Row-major. */
export interface LayerMatrices {
  readonly layer: LinearLayer;
  readonly rank: number;
  /** [inputSize, rank] of the layer. */
  readonly a: Float32Array;
  /** [rank, outputSize] of the layer, the scale as trained in it. */
  readonly b: Float32Array;
}

/**
 * Matrices beside their layers, B times λ. They stay on the device until {@link disposeFeeds}.
 *
 * @throws Error when a weight is beyond what the layer computes in, or the device has no room.
 */
export async function loraFeeds(onnx: OnnxRuntime, all: Iterable<LayerMatrices>, scale: number = 1): Promise<Feeds> {
  const feeds: Record<string, Feeds[string]> = {};
  try {
    for (const { layer: { name, type, inputSize, outputSize }, rank, a, b } of all) {
      const names = loraInputNames(name);
      const scaled = scale === 1 ? b : b.map((weight) => weight * scale);
      const [down, up] = type === "float32" ? [a, finite(scaled, name)] : [narrowed(a, name), narrowed(scaled, name)];
      feeds[names.a] = await onnx.resident(type, down, [inputSize, rank]);
      feeds[names.b] = await onnx.resident(type, up, [rank, outputSize]);
    }
    return feeds;
  } catch (error) {
    disposeFeeds(feeds);
    throw error;
  }
}

/** A layer that rounds to integers would make numbers again of what an infinite weight gives. */
function finite(weights: Float32Array, name: string): Float32Array {
  const beyond = weights.find((weight) => !Number.isFinite(weight));
  if (beyond !== undefined) throw new Error(`a weight of ${name} times its scale is beyond float32: ${beyond}`);
  return weights;
}

/** Nothing beside these layers: the base alone. */
export function emptyFeeds(onnx: OnnxRuntime, layers: Iterable<LinearLayer>): Promise<Feeds> {
  const rank = onnx.lowestRank;
  const nothing = Array.from(layers, (layer) => {
    const { inputSize, outputSize } = layer;
    return { layer, rank, a: new Float32Array(inputSize * rank), b: new Float32Array(rank * outputSize) };
  });
  return loraFeeds(onnx, nothing);
}

/** Lets go of tensors; while a run uses them they have to stay. */
export function disposeFeeds(feeds: Feeds): void {
  for (const tensor of Object.values(feeds)) tensor.dispose();
}
