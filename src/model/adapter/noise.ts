/**
 * Noise in the shape of an adapter: what a difference between a base and an adapter has to stand out from. A and B are
 * drawn from one normal distribution and multiplied as the adapter's own are, so that only what was learnt is missing.
 *
 * @module
 */

import type { NullAdapterOptions } from "../backend.ts";
import { seededNormal } from "../generation/random.ts";
import type { LoraMatrices } from "./peft.ts";

/** What of an adapter its noise has as well. */
export type LoraShape = Omit<LoraMatrices, "a" | "b">;

/**
 * Noise of an adapter's shapes. A seed gives the same numbers on every runtime, whatever the graph the modules lie in:
 * they are drawn module by module in the order of their paths' code units, A before B, row by row.
 */
export function* noiseOf(
  shapes: ReadonlyMap<string, LoraShape>,
  { seed, initScale = 0.02, rankScale = 1 }: NullAdapterOptions,
): Generator<[module: string, matrices: LoraMatrices]> {
  const normal = seededNormal(seed);
  const deviation = initScale * Math.sqrt(rankScale);
  const draw = (length: number, scale: number): Float32Array => {
    const numbers = new Float32Array(length);
    for (let index = 0; index < length; index++) numbers[index] = normal() * deviation * scale;
    return numbers;
  };
  for (const module of [...shapes.keys()].sort()) {
    const { rank, inputSize, outputSize, scale } = shapes.get(module)!;
    const a = draw(inputSize * rank, 1);
    const b = draw(rank * outputSize, scale);
    yield [module, { rank, inputSize, outputSize, scale, a, b }];
  }
}
