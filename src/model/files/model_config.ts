/**
 * What a model's configuration files say that generation has to know. The families call the same thing by many names:
 * those of Hugging Face's configuration classes are read.
 *
 * @module
 */

import type { SamplingDefaults } from "../generation/sampling.ts";
import { genaiModel } from "./genai_config.ts";
import { isObject, type JsonObject } from "./model_files.ts";

/** Sizes of the key/value cache, where the configuration has them. */
export interface CacheShape {
  readonly heads: number | undefined;
  /** Numbers per head. */
  readonly headSize: number | undefined;
}

/** The facts used here. */
export interface ModelConfig {
  /** Longest prompt and answer together, in tokens. */
  readonly contextLength: number;
  readonly cache: CacheShape;
  /** Tokens that end an answer. */
  readonly endOfText: ReadonlySet<number>;
  /** What the makers of the model recommend; what they leave open is `undefined`. */
  readonly sampling: SamplingDefaults;
}

/** The files, parsed; only the first is always there. */
export interface ConfigFiles {
  readonly config: JsonObject;
  readonly generation?: JsonObject | undefined;
  readonly tokenizer?: JsonObject | undefined;
  readonly genai?: JsonObject | undefined;
}

/**
 * Reads a configuration. On what ends an answer `generation_config.json` has precedence, as in transformers; whether it
 * samples at all (`do_sample`) is the request's business.
 *
 * @throws Error naming the entry that is missing or wrong.
 */
export function readModelConfig({ config: whole, generation = {}, tokenizer = {}, genai }: ConfigFiles): ModelConfig {
  checkPurpose(whole);
  const config = textConfig(whole);
  const ends = generation.eos_token_id ?? genaiModel(genai).eos_token_id ?? config.eos_token_id ?? [];
  return {
    contextLength: Math.min(positionLimit(config, genaiModel(genai)), tokenizerLimit(tokenizer)),
    cache: cacheShape(config),
    endOfText: new Set(tokenIds(ends)),
    sampling: {
      temperature: setting(generation, "temperature", (value) => value >= 0),
      topP: setting(generation, "top_p", (value) => value > 0 && value <= 1),
      topK: setting(generation, "top_k", (value) => Number.isSafeInteger(value) && value >= 0),
      minP: setting(generation, "min_p", (value) => value >= 0 && value <= 1),
      repetitionPenalty: setting(generation, "repetition_penalty", (value) => value > 0),
    },
  };
}

/** What `config.json` says of text. Models of several modalities have that in a part of its own. */
export function textConfig(config: JsonObject): JsonObject {
  return isObject(config.text_config) ? { ...config, ...config.text_config } : config;
}

/**
 * What Hugging Face's classes end in whose graphs may look like a causal language model's, and are none: a masked one
 * has logits of every token as well, and sees the token that it is asked about.
 */
const OTHER_PURPOSES = /For(?:MaskedLM|PreTraining|TokenClassification|SequenceClassification|QuestionAnswering)$/;

function checkPurpose({ architectures }: JsonObject): void {
  const [architecture] = Array.isArray(architectures) ? architectures : [];
  if (typeof architecture === "string" && OTHER_PURPOSES.test(architecture)) {
    throw new Error(`config.json says that the model does not go on from texts: it is a ${architecture}`);
  }
}

/** What the longest text is called. A sliding window is no limit: what is behind it was read all the same. */
const LIMITS = [
  "max_position_embeddings",
  "n_positions",
  "n_ctx",
  "max_seq_len",
  "max_sequence_length",
  "seq_length",
];

/** Tokenizers without a limit have 10^30 or so in its place. */
const SANE_LIMIT = 2 ** 31;

/**
 * For how many tokens a model has positions.
 *
 * @throws Error when it is not said, or wrong.
 */
export function positionLimit(config: JsonObject, genai: JsonObject = {}): number {
  const name = LIMITS.find((name) => config[name] != null);
  if (name === undefined && genai.context_length == null) {
    throw new Error(`config.json has none of ${LIMITS.join(", ")}: its entries are ${Object.keys(config).join(", ")}`);
  }
  return name === undefined
    ? positive(genai, "context_length", "genai_config.json")
    : stretched(config, positive(config, name));
}

/** How many tokens a tokenizer's makers meant a text to have at most; any number, where it is not said. */
export function tokenizerLimit({ model_max_length: most }: JsonObject): number {
  return typeof most === "number" && most >= 1 && most < SANE_LIMIT ? Math.floor(most) : Infinity;
}

/** Ways of stretching positions whose `max_position_embeddings` is the length after it, not before. */
const STRETCHED_BEFORE = ["llama3"];

/**
 * Ways by which a text that grows beyond the length before stretching has the positions of all its tokens turned by
 * other angles. Keys that are kept were turned by the old ones, and an exporter that follows one text through the model
 * writes down one set of angles: beyond that length a graph computes something else than the model.
 */
const TURNING_OTHERWISE = ["dynamic", "longrope", "su"];

/** How long texts may be by scaled rotary positions. The length before stretching may be noted beside the factor. */
function stretched(config: JsonObject, length: number): number {
  const scaling = config.rope_scaling ?? config.rope_parameters;
  if (!isObject(scaling) || String(config.model_type).startsWith("gemma3")) return length;
  const type = String(scaling.rope_type ?? scaling.type);
  const original = scaling.original_max_position_embeddings ?? config.original_max_position_embeddings;
  if (TURNING_OTHERWISE.includes(type)) return typeof original === "number" ? Math.min(length, original) : length;
  const { factor } = scaling;
  if (typeof factor !== "number" || !(factor >= 1) || STRETCHED_BEFORE.includes(type)) return length;
  const from = type === "yarn" && typeof original === "number" ? original : length;
  return Math.max(length, Math.floor(from * factor));
}

function cacheShape(config: JsonObject): CacheShape {
  const first = (...names: string[]): number | undefined => {
    const name = names.find((name) => config[name] != null);
    return name === undefined ? undefined : positive(config, name);
  };
  const heads = first("num_attention_heads", "n_head", "n_heads", "num_heads");
  const width = first("hidden_size", "n_embd", "d_model");
  const perHead = heads !== undefined && width !== undefined ? width / heads : undefined;
  return {
    heads: first("num_key_value_heads", "num_kv_heads", "n_head_kv") ?? heads,
    headSize: first("head_dim") ?? (Number.isSafeInteger(perHead) ? perHead : undefined),
  };
}

function positive(config: JsonObject, name: string, file: string = "config.json"): number {
  const value = config[name];
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new Error(`${file} has no positive ${name}: ${JSON.stringify(value)}`);
  }
  return value as number;
}

function tokenIds(value: unknown): number[] {
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    throw new Error(`eos_token_id is not a token id: ${JSON.stringify(value)}`);
  }
  return ids;
}

function setting(generation: JsonObject, name: string, isValid: (value: number) => boolean): number | undefined {
  const value = generation[name] ?? undefined;
  if (value === undefined || (typeof value === "number" && Number.isFinite(value) && isValid(value))) return value;
  throw new Error(`generation_config.json has no valid ${name}: ${JSON.stringify(value)}`);
}
