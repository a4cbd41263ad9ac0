/**
 * What an encoder's configuration files say that embedding has to know.
 *
 * @module
 */

import { positionLimit, textConfig, tokenizerLimit } from "../files/model_config.ts";
import type { JsonObject } from "../files/model_files.ts";

/** The files, parsed; those that a model lacks are empty. */
export interface EncoderConfigFiles {
  /** `config.json` */
  readonly config: JsonObject;
  /** `tokenizer_config.json` */
  readonly tokenizerConfig: JsonObject;
  /** `sentence_bert_config.json` */
  readonly sentenceConfig: JsonObject;
}

/** The facts used here. */
export interface EncoderConfig {
  /** Longest text, in tokens. */
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** What the model calls the place of a text's first token. */
  readonly firstPosition: number;
  /** To how many numbers a vector may be cut: these, any, or none. */
  readonly cuts: readonly number[] | "any" | undefined;
}

/**
 * Reads them. Of several limits the lowest holds; a text is as long as its makers allow, in Sentence Transformers too.
 *
 * @throws Error naming the entry that is missing or wrong.
 */
export function readEncoderConfig(files: EncoderConfigFiles): EncoderConfig {
  const { config: whole, tokenizerConfig, sentenceConfig: { max_seq_length: longest } } = files;
  const config = textConfig(whole);
  const firstPosition = COUNTS_FROM_PADDING.has(config.model_type as string)
    ? integer(config.pad_token_id ?? 1, "pad_token_id", 0) + 1
    : 0;
  return {
    contextLength: Math.min(
      integer(positionLimit(config) - firstPosition, "max_position_embeddings less those of padding", 1),
      tokenizerLimit(tokenizerConfig),
      longest == null ? Infinity : integer(longest, "max_seq_length", 1),
    ),
    vocabularySize: integer(config.vocab_size, "vocab_size", 1),
    firstPosition,
    cuts: readCuts(config),
  };
}

/** Families that call the place of the first token one more than their padding's id, and so lose that many places. */
const COUNTS_FROM_PADDING: ReadonlySet<string> = new Set([
  "camembert",
  "data2vec-text",
  "esm",
  "ibert",
  "longformer",
  "luke",
  "mpnet",
  "roberta",
  "roberta-prelayernorm",
  "xlm-roberta",
  "xlm-roberta-xl",
  "xmod",
]);

function integer(value: unknown, name: string, least: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new Error(`the configuration has no ${name} of ${least} or more: ${JSON.stringify(value)}`);
}

function readCuts({ matryoshka_dimensions: list, is_matryoshka: isMatryoshka }: JsonObject): EncoderConfig["cuts"] {
  if (list == null) return isMatryoshka === true ? "any" : undefined;
  if (Array.isArray(list)) return list.map((dimensions) => integer(dimensions, "matryoshka_dimensions", 1));
  throw new Error(`config.json has no list of matryoshka_dimensions: ${JSON.stringify(list)}`);
}
