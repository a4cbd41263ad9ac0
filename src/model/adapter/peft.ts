/**
 * LoRA adapters in PEFT layout, made into the matrices that the rewritten graph takes.
 * What changes the answer and is not implemented is refused by name: an adapter applied half gives wrong answers.
 *
 * @module
 */

import type { FloatTensor } from "./safetensors.ts";
import type { JsonObject } from "../files/model_files.ts";

/** One module's adapter, the scale as trained folded into B. Row-major. */
export interface LoraMatrices {
  readonly rank: number;
  /** [inputSize, rank]. */
  readonly a: Float32Array;
  readonly inputSize: number;
  /** [rank, outputSize]. */
  readonly b: Float32Array;
  readonly outputSize: number;
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
 * Puts an adapter together from its configuration and its tensors.
 *
 * @throws Error naming the first thing that is unsupported, missing or broken.
 */
export function readAdapter(config: JsonObject, tensors: ReadonlyMap<string, FloatTensor>): LoraAdapter {
  const scaleOf = readScale(config);
  for (const [name, { data }] of tensors) {
    if (readTensorName(name) === undefined) throw new Error(`tensor is not supported: ${name}`);
    const broken = data.find((weight) => !Number.isFinite(weight));
    if (broken !== undefined) throw new Error(`tensor ${name} holds a weight that is not a number: ${broken}`);
  }
  const modules = targetModules(tensors.keys());
  if (modules.size === 0) throw new Error(`the adapter has no LoRA tensors: ${tensors.size} tensors`);
  return new Map(Array.from(modules, (module) => [module, readMatrices(module, tensors, scaleOf)]));
}

const PREFIX = "base_model.model.";

function readTensorName(name: string): { readonly module: string; readonly matrix: string } | undefined {
  const match = /^(?<module>.+)\.lora_(?<matrix>[AB])\.weight$/.exec(name);
  if (match === null || !name.startsWith(PREFIX)) return undefined;
  const { module, matrix } = match.groups as { module: string; matrix: string };
  return { module: module.slice(PREFIX.length), matrix };
}

/** Settings of PEFT's `LoraConfig` that change what the tensors mean, beyond A, B and a scale. */
const UNSUPPORTED_WHEN_SET = [
  "use_dora",
  "use_qalora",
  "use_bdlora",
  "lora_bias",
  "fan_in_fan_out",
  "modules_to_save",
  "alpha_pattern",
  "layer_replication",
  "target_parameters",
  "trainable_token_indices",
  "alora_invocation_tokens",
  "arrow_config",
];

/** Initialisations after which the base's own weights are the ones to use; PiSSA, OLoRA, LoftQ and CorDA change them. */
const BASE_KEEPING_INITIALISATIONS: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  "gaussian",
  "eva",
  "orthogonal",
];

/** Scale for a rank: alpha / r, or alpha / sqrt(r) with rsLoRA (https://arxiv.org/abs/2312.03732). */
function readScale(config: JsonObject): (rank: number) => number {
  if (config.peft_type !== "LORA") throw new Error(`peft_type is not LORA: ${JSON.stringify(config.peft_type)}`);
  for (const name of UNSUPPORTED_WHEN_SET) {
    if (isSet(config[name])) throw new Error(`${name} is not supported: ${JSON.stringify(config[name])}`);
  }
  if ((config.bias ?? "none") !== "none") throw new Error(`bias is not supported: ${JSON.stringify(config.bias)}`);
  if (!BASE_KEEPING_INITIALISATIONS.includes(config.init_lora_weights)) {
    throw new Error(`init_lora_weights is not supported: ${JSON.stringify(config.init_lora_weights)}`);
  }
  const { r, lora_alpha: alpha, use_rslora: stabilised } = config;
  if (typeof alpha !== "number" || !Number.isFinite(alpha)) {
    throw new Error(`lora_alpha is not a number: ${JSON.stringify(alpha)}`);
  }
  return (rank) => {
    if (rank !== r && !isSet(config.rank_pattern)) {
      throw new Error(`r is not the rank of the tensors, ${rank}: ${JSON.stringify(r)}`);
    }
    return alpha / (stabilised === true ? Math.sqrt(rank) : rank);
  };
}

function isSet(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function readMatrices(
  module: string,
  tensors: ReadonlyMap<string, FloatTensor>,
  scaleOf: (rank: number) => number,
): LoraMatrices {
  const [down, up] = ["A", "B"].map((matrix) => {
    const name = `${PREFIX}${module}.lora_${matrix}.weight`;
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`tensor is missing: ${name}`);
    if (tensor.shape.length !== 2) throw new Error(`tensor ${name} is not a matrix: [${tensor.shape}]`);
    return tensor;
  }) as [FloatTensor, FloatTensor];
  const [rank, inputSize] = down.shape as [number, number];
  const [outputSize, upRank] = up.shape as [number, number];
  if (rank !== upRank || rank === 0) {
    throw new Error(`lora_A and lora_B of ${module} do not fit: [${down.shape}] and [${up.shape}]`);
  }
  const scale = scaleOf(rank);
  return { rank, inputSize, outputSize, a: transpose(down, 1), b: transpose(up, scale) };
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
