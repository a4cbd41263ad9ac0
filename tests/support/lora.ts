/** LoRA adapters for the Llamas of `tiny_llama.ts`: drawn from a seed, written as PEFT does, and merged in float64. */

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ResolvedAdapter } from "../../src/model/backend.ts";
import { safetensors } from "../model/safetensors.ts";
import { type Llama, type Matrix, merged } from "./llama_reference.ts";
import { contentFile } from "./models.ts";
import { halfBits } from "./onnx_builder.ts";
import { seededRandom } from "./random.ts";

/** One module's adapter: x·down·up, times `scale`. */
export interface LoraPair {
  readonly down: Matrix;
  readonly up: Matrix;
  readonly scale: number;
}

/** An adapter's pairs by module. */
export type Lora = ReadonlyMap<string, LoraPair>;

/** The modules of a layer that PEFT's `all-linear` targets. */
export const LAYER_MODULES: readonly string[] = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
];

/** The modules of a Llama whose paths match. */
export function modulesOf({ matrices }: Llama, pattern: RegExp = /\.layers\./): string[] {
  return [...matrices.keys()].filter((module) => module !== "model.embed_tokens" && pattern.test(module));
}

/** An adapter with weights drawn from a seed, exact in bfloat16, large enough to change every answer. */
export function randomLora(
  { matrices }: Pick<Llama, "matrices">,
  modules: readonly string[],
  rankOf: (module: string) => number = () => 4,
  scaleOf: (module: string, rank: number) => number = (_, rank) => 8 / rank,
  seed: number = 7,
): Lora {
  const random = seededRandom(seed);
  const matrix = (rows: number, columns: number): Matrix => {
    const values = Float64Array.from({ length: rows * columns }, () => Math.round((2 * random() - 1) * 100) / 512);
    return { rows, columns, values };
  };
  return new Map(modules.map((module) => {
    const { rows, columns } = matrices.get(module)!;
    const rank = rankOf(module);
    return [module, { down: matrix(rows, rank), up: matrix(rank, columns), scale: scaleOf(module, rank) }];
  }));
}

/** A Llama with an adapter times λ added to its weights. */
export function withLora(llama: Llama, lora: Lora, lambda: number = 1): Llama {
  const matrices = new Map(llama.matrices);
  for (const [module, { down, up, scale }] of lora) {
    matrices.set(module, merged(matrices.get(module)!, down, up, lambda * scale));
  }
  return { ...llama, matrices };
}

/** How PEFT writes an adapter. */
export interface LoraFiles {
  /** `adapter_config.json`, beyond what every LoRA says. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Of the tensors; F32 when left out. */
  readonly dtype?: "F32" | "F16" | "BF16";
  /** What a tensor is called; PEFT's own way when left out. */
  readonly nameOf?: (module: string, matrix: "A" | "B") => string;
}

/** Writes an adapter into a new folder. */
export async function writeLora(folder: string, lora: Lora, files: LoraFiles): Promise<ResolvedAdapter> {
  const { config, dtype = "F32", nameOf = (module, matrix) => `base_model.model.${module}.lora_${matrix}.weight` } =
    files;
  const tensors = [...lora].flatMap(([module, { down, up }]) => {
    return [[nameOf(module, "A"), stored(down, dtype)], [nameOf(module, "B"), stored(up, dtype)]];
  });
  await mkdir(folder, { recursive: true });
  const common = { peft_type: "LORA", bias: "none", base_model_name_or_path: "llama", target_modules: "all-linear" };
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify({ ...common, ...config }));
  await writeFile(join(folder, "adapter_model.safetensors"), safetensors(Object.fromEntries(tensors)));
  const [settings, weights] = await Promise.all(
    ["adapter_config.json", "adapter_model.safetensors"].map((name) => contentFile(join(folder, name))),
  );
  const identity = createHash("sha256").update(settings!.sha256 + weights!.sha256).digest("hex");
  return { name: "lora", identity, files: { config: settings!, weights: weights! } };
}

/** PEFT keeps A as [rank, in] and B as [out, rank], as `torch.nn.Linear` does. */
function stored({ rows, columns, values }: Matrix, dtype: "F32" | "F16" | "BF16") {
  const transposed = Float32Array.from(values, (_, at) => values[at % rows * columns + Math.floor(at / rows)]!);
  const words = new Uint32Array(transposed.buffer);
  const bytes = dtype === "F32"
    ? transposed
    : Uint16Array.from(dtype === "F16" ? Array.from(transposed, halfBits) : Array.from(words, (word) => word >>> 16));
  return { dtype, shape: [columns, rows], bytes };
}
