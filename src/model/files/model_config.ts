/**
 * What a model's `config.json` and `generation_config.json` say that generation has to know.
 *
 * @module
 */

import type { JsonObject } from "./model_files.ts";

/** The facts used here, under the field's names. */
export interface ModelConfig {
  /** Longest prompt and answer together, in tokens. */
  readonly contextLength: number;
  /** Heads in the key/value cache. */
  readonly keyValueHeads: number;
  /** Numbers per head. */
  readonly headSize: number;
  /** Tokens that end an answer. */
  readonly endOfText: ReadonlySet<number>;
}

/**
 * Reads a Hugging Face configuration; `generation` takes precedence on what ends an answer, as in transformers.
 *
 * @throws Error naming the entry that is missing or wrong.
 */
export function readModelConfig(config: JsonObject, generation: JsonObject = {}): ModelConfig {
  const heads = positive(config, "num_attention_heads");
  return {
    contextLength: positive(config, "max_position_embeddings"),
    keyValueHeads: config.num_key_value_heads == null ? heads : positive(config, "num_key_value_heads"),
    headSize: config.head_dim == null ? positive(config, "hidden_size") / heads : positive(config, "head_dim"),
    endOfText: new Set(tokenIds(generation.eos_token_id ?? config.eos_token_id ?? [])),
  };
}

function positive(config: JsonObject, name: string): number {
  const value = config[name];
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new Error(`config.json has no positive ${name}: ${JSON.stringify(value)}`);
  }
  return value as number;
}

function tokenIds(value: unknown): number[] {
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every(Number.isSafeInteger)) throw new Error(`eos_token_id is not a token id: ${JSON.stringify(value)}`);
  return ids;
}
