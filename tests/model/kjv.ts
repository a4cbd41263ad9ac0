/** The example model as a resolved base, its adapter, and what PyTorch computed for them. */

import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ContentFile, GenerateRequest, ResolvedAdapter, ResolvedBase } from "../../src/model/backend.ts";

export const KJV_TINY: string = fileURLToPath(new URL("../../models/kjv-tiny", import.meta.url));

export interface ReferenceView {
  readonly token_logprobs: readonly number[];
  readonly completion_logprob: number;
  readonly next_top10_ids: readonly number[];
  readonly next_top10_logprobs: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly finish_reason: "stop" | "length";
}

export type ReferenceCase = {
  readonly prompt: string;
  readonly completion: string;
  readonly prompt_ids: readonly number[];
  readonly completion_ids: readonly number[];
} & { readonly [view in "base" | "fortunes" | "fortunes_scaled_0.5" | "fortunes_scaled_2"]: ReferenceView };

export async function readReference(): Promise<readonly ReferenceCase[]> {
  return JSON.parse(await fs.readFile(`${KJV_TINY}/reference.json`, "utf8")).cases;
}

export async function contentFile(path: string): Promise<ContentFile> {
  return { path, sha256: createHash("sha256").update(await fs.readFile(path)).digest("hex") };
}

/** A base in a directory laid out like kjv-tiny. */
export async function resolveBase(directory: string = KJV_TINY): Promise<ResolvedBase> {
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
    knownAdapterWeights: [`${directory}/adapters/fortunes/adapter_model.safetensors`],
  };
}

/** An adapter in a directory laid out by PEFT. */
export async function resolveAdapter(directory: string = `${KJV_TINY}/adapters/fortunes`): Promise<ResolvedAdapter> {
  const config = await contentFile(`${directory}/adapter_config.json`);
  const weights = await contentFile(`${directory}/adapter_model.safetensors`);
  const identity = createHash("sha256").update(config.sha256 + weights.sha256).digest("hex");
  return { name: "fortunes", identity, files: { config, weights } };
}

/** A greedy request of 24 tokens, changed as asked. */
export function greedy(changes: Partial<GenerateRequest>): GenerateRequest {
  return {
    prompt: { text: "In the beginning God" },
    maxTokens: 24,
    temperature: 0,
    topP: 1,
    seed: 0,
    stop: [],
    topLogprobs: undefined,
    echo: false,
    ...changes,
  };
}
