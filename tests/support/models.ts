/** The example model: where it is, what PyTorch computed for it, resolved to its content, and copies that differ. */

import { createHash } from "node:crypto";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContentFile, OnnxBase, ResolvedAdapter } from "../../src/model/backend.ts";

/** The folder with the example model. */
export const MODELS: string = fileURLToPath(new URL("../../models", import.meta.url));

/** The example model itself. */
export const KJV_TINY: string = join(MODELS, "kjv-tiny");

/** What PyTorch computed for one view of the model at one prompt. */
export interface ReferenceView {
  /** Of each token of prompt and completion after the first. */
  readonly token_logprobs: readonly number[];
  readonly completion_logprob: number;
  readonly next_top10_ids: readonly number[];
  readonly next_top10_logprobs: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly finish_reason: "stop" | "length";
}

/** One prompt of `reference.json`. */
export interface ReferenceCase {
  readonly prompt: string;
  readonly completion: string;
  readonly prompt_ids: readonly number[];
  readonly completion_ids: readonly number[];
  readonly base: ReferenceView;
  readonly fortunes: ReferenceView;
  readonly "fortunes_scaled_0.5": ReferenceView;
  readonly fortunes_scaled_2: ReferenceView;
  readonly next_token_kl_base_adapter: number;
  readonly next_token_js: number;
}

/** Greedy continuations in `reference.json` have at most this many tokens. */
export const REFERENCE_MAX_TOKENS = 24;

/** The reference numbers of the example model. */
export async function referenceCases(): Promise<ReferenceCase[]> {
  return JSON.parse(await readFile(join(KJV_TINY, "reference.json"), "utf8")).cases;
}

/** A file with its content promised. */
export async function contentFile(path: string): Promise<ContentFile> {
  const bytes = await readFile(path);
  return { path, sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
}

/** A base in a directory laid out like kjv-tiny. */
export async function resolveBase(directory: string = KJV_TINY): Promise<OnnxBase> {
  const graph = await contentFile(`${directory}/onnx/model.onnx`);
  return {
    kind: "onnx",
    name: "kjv-tiny",
    identity: graph.sha256,
    dtype: "fp32",
    device: "wasm",
    files: {
      graph,
      config: await contentFile(`${directory}/config.json`),
      tokenizer: await contentFile(`${directory}/tokenizer.json`),
      tokenizerConfig: await contentFile(`${directory}/tokenizer_config.json`),
      generationConfig: await contentFile(`${directory}/generation_config.json`),
    },
  };
}

/** An adapter in a directory laid out by PEFT. */
export async function resolveAdapter(directory: string = `${KJV_TINY}/adapters/fortunes`): Promise<ResolvedAdapter> {
  const config = await contentFile(`${directory}/adapter_config.json`);
  const weights = await contentFile(`${directory}/adapter_model.safetensors`);
  const identity = createHash("sha256").update(config.sha256 + weights.sha256).digest("hex");
  return { name: "fortunes", identity, files: { config, weights } };
}

/** Copies the example model, adapters included, to `folder/name`. */
export async function copyModel(folder: string, name: string): Promise<string> {
  const target = join(folder, name);
  await cp(KJV_TINY, target, { recursive: true });
  return target;
}

/**
 * Copies the example model with its last normalisation turned round, or changed as told, so that it has other weights
 * and answers.
 */
export async function copyModelWithOtherWeights(
  folder: string,
  name: string,
  change: (weight: number) => number = (weight) => -weight,
): Promise<string> {
  const target = await copyModel(folder, name);
  const path = join(target, "onnx", "model.onnx");
  const bytes = await readFile(path);
  const tensor = "model.norm.weight";
  // TensorProto: the name (field 8) is followed by the raw data (field 9), a length and little-endian floats.
  let at = bytes.indexOf(`B${String.fromCharCode(tensor.length)}${tensor}`) + 2 + tensor.length + 1;
  let length = 0;
  for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) length |= ((byte = bytes[at++]!) & 0x7f) << shift;
  for (let i = at; i < at + length; i += 4) bytes.writeFloatLE(change(bytes.readFloatLE(i)), i);
  await writeFile(path, bytes);
  return target;
}
