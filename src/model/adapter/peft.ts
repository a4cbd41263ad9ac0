/**
 * LoRA adapters in PEFT layout, made into the matrices that go beside a model's modules.
 * What changes the answer and is not supported is refused by name: an adapter applied half gives wrong answers.
 *
 * @module
 */

import type { Scales } from "./peft_config.ts";
import type { FloatTensor } from "./safetensors.ts";

/** One module's adapter, the scale as trained folded into B. Row-major. */
export interface LoraMatrices {
  readonly rank: number;
  /** [inputSize, rank]. */
  readonly a: Float32Array;
  readonly inputSize: number;
  /** [rank, outputSize]. */
  readonly b: Float32Array;
  readonly outputSize: number;
  /** What B was multiplied by: alpha by the rank, or what the configuration has in its place. */
  readonly scale: number;
}

/** An adapter's matrices by module. */
export type LoraAdapter = ReadonlyMap<string, LoraMatrices>;

/** The modules that tensors of these names adapt. */
export function targetModules(tensorNames: Iterable<string>): Set<string> {
  const modules = new Set<string>();
  for (const name of tensorNames) {
    const target = readTensorName(name);
    if (target !== undefined) modules.add(target.module);
  }
  return modules;
}

/**
 * Puts an adapter together from what its configuration says and its tensors. The tensors say which modules it is for,
 * as in PEFT's own files they are those of `target_modules`.
 *
 * @throws Error naming the first thing that is unsupported, missing or broken.
 */
export function readAdapter(scaleOf: Scales, tensors: Iterable<readonly [string, FloatTensor]>): LoraAdapter {
  const halves = new Map<string, { A?: FloatTensor; B?: FloatTensor }>();
  for (const [name, tensor] of tensors) {
    const target = readTensorName(name);
    if (target === undefined) throw new Error(unsupportedTensor(name));
    const { module, matrix } = target;
    const half = halves.get(module) ?? {};
    if (half[matrix] !== undefined) throw new Error(`${module} has lora_${matrix} twice: ${name}`);
    if (tensor.shape.length !== 2) throw new Error(`tensor ${name} is not a matrix: [${tensor.shape}]`);
    checkFinite(name, tensor.data);
    halves.set(module, { ...half, [matrix]: tensor });
  }
  if (halves.size === 0) throw new Error("the adapter has no LoRA tensors");
  return new Map(Array.from(halves, ([module, { A, B }]) => [module, readMatrices(module, A, B, scaleOf)]));
}

const PREFIX = "base_model.model.";

/**
 * PEFT's own files leave out the adapter's name, `default`; a model's state dictionary has it, and may lack the prefix.
 */
function readTensorName(name: string): { readonly module: string; readonly matrix: "A" | "B" } | undefined {
  const match = /^(?<module>.+)\.lora_(?<matrix>[AB])(?:\.default)?\.weight$/.exec(name);
  if (match === null) return undefined;
  const { module, matrix } = match.groups as { module: string; matrix: "A" | "B" };
  return { module: module.startsWith(PREFIX) ? module.slice(PREFIX.length) : module, matrix };
}

/** What tensors belong to that are no LoRA of a linear layer, by what their names have in them. */
const UNSUPPORTED_TENSORS: readonly (readonly [RegExp, string])[] = [
  [/\.lora_embedding_[AB]\b/, "adapters of embeddings"],
  [/\.lora_magnitude_vector\b/, "DoRA (use_dora)"],
  [/\.lora_[AB](\.default)?\.bias$/, "biases of adapters (lora_bias)"],
  [/\.lora_[AB]\b/, "adapters of another name than default"],
  [/\.trainable_tokens_/, "tokens trained by themselves (trainable_token_indices)"],
  [/\.bias$/, "trained biases (bias)"],
  [/\.weight$/, "trained copies of modules (modules_to_save)"],
];

function unsupportedTensor(name: string): string {
  const [, what] = UNSUPPORTED_TENSORS.find(([pattern]) => pattern.test(name)) ?? [];
  return `tensor is not supported: ${name}${what === undefined ? "" : `; ${what} are not`}`;
}

function checkFinite(name: string, data: Float32Array): void {
  for (const weight of data) {
    if (!Number.isFinite(weight)) throw new Error(`tensor ${name} holds a weight that is not a number: ${weight}`);
  }
}

function readMatrices(
  module: string,
  down: FloatTensor | undefined,
  up: FloatTensor | undefined,
  scaleOf: Scales,
): LoraMatrices {
  if (down === undefined || up === undefined) {
    throw new Error(`tensor is missing: lora_${down === undefined ? "A" : "B"} of ${module}`);
  }
  const [rank, inputSize] = down.shape as [number, number];
  const [outputSize, upRank] = up.shape as [number, number];
  if (rank !== upRank || rank === 0) {
    throw new Error(`lora_A and lora_B of ${module} do not fit: [${down.shape}] and [${up.shape}]`);
  }
  const scale = scaleOf(module, rank);
  return { rank, inputSize, outputSize, a: transpose(down, 1), b: transpose(up, scale), scale };
}

function transpose({ shape, data }: FloatTensor, scale: number): Float32Array {
  const [rows, columns] = shape as [number, number];
  const transposed = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      transposed[column * rows + row] = data[row * columns + column]! * scale;
    }
  }
  return transposed;
}
