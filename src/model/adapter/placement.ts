/**
 * From the modules that an adapter was trained for to the layers that a graph computes them in. Where a graph computes
 * several modules in one product, their adapters become one: ranks follow each other, and each has its own columns of
 * B, the rest of which is zeros.
 *
 * @module
 */

import type { LinearLayer, LinearLayers, Part } from "../graph/linear_layers.ts";
import type { LayerMatrices } from "./lora_feeds.ts";
import type { LoraMatrices } from "./peft.ts";

/** A module's adapter and where it belongs. */
interface Placed {
  readonly module: string;
  readonly matrices: LoraMatrices;
  readonly part: Part;
}

/**
 * An adapter's matrices by layer.
 *
 * @throws Error naming the first module that the base does not have, or has in another shape.
 */
export function placeAdapter(
  adapter: Iterable<readonly [module: string, matrices: LoraMatrices]>,
  layers: LinearLayers,
): LayerMatrices[] {
  const byLayer = new Map<LinearLayer, Placed[]>();
  for (const [module, matrices] of adapter) {
    const parts = layers.locate(module);
    checkFit(module, matrices, parts);
    for (const part of parts) {
      const placed = byLayer.get(part.layer) ?? [];
      const other = placed.find((one) => overlap(one.part, part));
      if (other !== undefined) throw new Error(`${module} and ${other.module} are one module of the base`);
      placed.push({ module, matrices, part });
      byLayer.set(part.layer, placed);
    }
  }
  return Array.from(byLayer, ([layer, placed]) => joined(layer, placed));
}

function checkFit(module: string, { inputSize, outputSize }: LoraMatrices, parts: readonly Part[]): void {
  if (parts.length === 0) throw new Error(`the base has no linear layer ${module}`);
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const own = parts[0]!.layer.inputSize;
  if (own !== inputSize || columns !== outputSize) {
    const shapes = `${own} to ${columns}: the adapter's from ${inputSize} to ${outputSize}`;
    throw new Error(`${module} of the base goes from ${shapes}`);
  }
}

function overlap(one: Part, other: Part): boolean {
  return one.column < other.column + other.columns && other.column < one.column + one.columns;
}

function joined(layer: LinearLayer, placed: readonly Placed[]): LayerMatrices {
  const [{ matrices, part }] = placed as [Placed];
  const isWhole = part.columns === matrices.outputSize && part.columns === layer.outputSize;
  if (placed.length === 1 && isWhole) return { layer, rank: matrices.rank, a: matrices.a, b: matrices.b };
  const { inputSize, outputSize } = layer;
  const rank = placed.reduce((sum, { matrices }) => sum + matrices.rank, 0);
  const a = new Float32Array(inputSize * rank);
  const b = new Float32Array(rank * outputSize);
  let first = 0;
  for (const { matrices, part: { column, source, columns } } of placed) {
    for (let row = 0; row < inputSize; row++) {
      a.set(matrices.a.subarray(row * matrices.rank, (row + 1) * matrices.rank), row * rank + first);
    }
    for (let row = 0; row < matrices.rank; row++) {
      const from = row * matrices.outputSize + source;
      b.set(matrices.b.subarray(from, from + columns), (first + row) * outputSize + column);
    }
    first += matrices.rank;
  }
  return { layer, rank, a, b };
}
