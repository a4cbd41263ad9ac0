/**
 * Where people keep a model's files: as transformers.js and Optimum export them, with one graph for each dtype in
 * `onnx/` or at the top, and as onnxruntime-genai does, with a `genai_config.json` that names the graph.
 *
 * ```text
 * config.json  tokenizer.json                                    tokenizer_config.json  generation_config.json
 * onnx/model.onnx  onnx/model_q4.onnx  onnx/model_q4.onnx_data   chat_template.jinja  genai_config.json
 * adapters/<adapter>/adapter_config.json                         modules.json  1_Pooling/config.json
 *                    adapter_model.safetensors                   sentence_bert_config.json  …
 * ```
 *
 * @module
 */

import { type Dtype, DTYPES, SUFFIXES } from "./dtype.ts";

/** Names of files, relative to a model's folder. */
export interface FileNames {
  has(name: string): boolean;
  [Symbol.iterator](): Iterator<string>;
}

/** One export of a model: a graph, and what belongs to it alone. Paths inside the model's folder. */
export interface Export {
  readonly graph: string;
  /** Its weights, where they lie beside it. */
  readonly externalData: readonly string[];
  /** Present in exports by onnxruntime-genai. */
  readonly genaiConfig?: string;
}

/** What every base has besides a graph. */
export const REQUIRED = { config: "config.json", tokenizer: "tokenizer.json" } as const;

/** What a base may have. */
export const OPTIONAL = {
  tokenizerConfig: "tokenizer_config.json",
  generationConfig: "generation_config.json",
  chatTemplate: "chat_template.jinja",
  modules: "modules.json",
  sentenceConfig: "sentence_bert_config.json",
  promptsConfig: "config_sentence_transformers.json",
} as const;

/** What an adapter consists of. */
export const ADAPTER = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const;

/** What onnxruntime-genai calls its graph. */
export const GENAI_CONFIG = "genai_config.json";

/** Folders in which graphs lie, in this order of precedence. */
export const GRAPH_FOLDERS: readonly string[] = ["onnx/", ""];

/** What graphs are called before their dtype. A merged decoder does what a plain one does, and faster. */
const STEMS = ["model", "decoder_model_merged", "decoder_model"];

/** The exports among a model's files. */
export function exportsAmong(files: FileNames, genaiConfig: unknown): ReadonlyMap<Dtype, Export> {
  const exports = new Map<Dtype, Export>();
  const genaiGraph = genaiGraphOf(genaiConfig);
  for (const dtype of DTYPES) {
    const candidates = GRAPH_FOLDERS.flatMap((folder) =>
      STEMS.map((stem) => `${folder}${stem}${SUFFIXES[dtype]}.onnx`)
    );
    if (genaiGraph !== undefined && genaiDtype(genaiGraph) === dtype) candidates.push(genaiGraph);
    const graph = candidates.find((name) => files.has(name));
    if (graph === undefined) continue;
    const externalData = [...files].filter((name) => isDataOf(graph, name)).sort();
    exports.set(dtype, { graph, externalData, ...(graph === genaiGraph ? { genaiConfig: GENAI_CONFIG } : {}) });
  }
  return exports;
}

/** `model.onnx_data`, `model.onnx_data_1` of PyTorch and transformers.js; `model.onnx.data` of onnxruntime-genai. */
function isDataOf(graph: string, name: string): boolean {
  if (!name.startsWith(graph)) return false;
  return /^(_data(_\d+)?|\.data)$/.test(name.slice(graph.length));
}

function genaiGraphOf(config: unknown): string | undefined {
  const { model } = (config ?? {}) as { model?: { decoder?: { filename?: unknown } } };
  const name = model?.decoder?.filename;
  return typeof name === "string" && name.endsWith(".onnx") && isPathInside(name) ? name : undefined;
}

/** Its names follow no rule, but most say how many bits the weights have, such as `…-cpu-int4-rtn-block-32.onnx`. */
function genaiDtype(name: string): Dtype {
  const bySuffix = DTYPES.findLast((dtype) => name.endsWith(`${SUFFIXES[dtype]}.onnx`));
  if (bySuffix !== undefined && bySuffix !== "fp32") return bySuffix;
  if (/int4/.test(name)) return "q4";
  return /fp16/.test(name) ? "fp16" : "fp32";
}

/**
 * The folder of the pooling module by `modules.json`, else where sentence-transformers puts it: each module has a folder
 * of its own, with a `config.json`.
 */
export function poolingFolder(modules: unknown): string {
  const listed = Array.isArray(modules) ? modules as ({ type?: unknown; path?: unknown } | null)[] : [];
  const module = listed.find((each) => typeof each?.type === "string" && each.type.endsWith(".Pooling"));
  return typeof module?.path === "string" && isPathInside(module.path) ? module.path : "1_Pooling";
}

/** Names come from files that anybody may have written. */
function isPathInside(path: string): boolean {
  return path.split("/").every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(part));
}

/**
 * What adapters for a base may call it. What PEFT notes is the folder or repository that it was trained from, the ONNX
 * export is of: often the same name with `-ONNX` after it, in another organisation.
 */
export function originsOf(base: string, baseConfig: unknown): readonly string[] {
  const { _name_or_path: exported } = (baseConfig ?? {}) as { _name_or_path?: unknown };
  const names = [base.split("@")[0]!, ...(typeof exported === "string" && exported !== "" ? [exported] : [])];
  return [...new Set(names.map(plainName).filter((name) => name !== undefined))];
}

/** What an adapter calls its base, in the form of {@link originsOf}; `undefined` when it does not say. */
export function originOf(adapterConfig: unknown): string | undefined {
  const trained = trainedFrom(adapterConfig);
  return trained === undefined ? undefined : plainName(trained);
}

/** What an adapter was trained from, as PEFT notes it. */
export function trainedFrom(adapterConfig: unknown): string | undefined {
  const { base_model_name_or_path: name } = (adapterConfig ?? {}) as { base_model_name_or_path?: unknown };
  return typeof name === "string" && name !== "" ? name : undefined;
}

/** `undefined` for a path that ends in no name, such as `./`: where that was, nobody else can know. */
function plainName(path: string): string | undefined {
  const last = path.split(/[\\/]/).findLast((part) => part !== "");
  return last === undefined || last === "." || last === ".." ? undefined : last.toLowerCase().replace(/-onnx$/, "");
}
