/**
 * From what a caller asks to embed to token ids that fit the model: the prompt its makers put before every text, and
 * the tokens its tokenizer puts around it.
 *
 * @module
 */

import { Tokenizer } from "@huggingface/tokenizers";
import type { EmbedInput } from "../backend.ts";
import { ModelError } from "../error.ts";
import type { JsonObject } from "../files/model_files.ts";
import { checkLength, checkTokens, encodeText } from "../text/prompt.ts";
import { withTextEnds } from "../text/text_ends.ts";
import type { EncoderConfig } from "./encoder_config.ts";

/** A text in tokens. */
export interface EncodedInput {
  readonly ids: readonly number[];
  /** How many of them are the prompt's, with what stands before it. */
  readonly promptTokens: number;
}

/** The files it is made of, parsed; those that a model lacks are empty. */
export interface InputEncoderFiles {
  /** `tokenizer.json` */
  readonly tokenizer: JsonObject;
  /** `tokenizer_config.json` */
  readonly tokenizerConfig: JsonObject;
  /** `config_sentence_transformers.json` */
  readonly promptsConfig: JsonObject;
  /** `sentence_bert_config.json` */
  readonly sentenceConfig: JsonObject;
}

/** Encodes what a model is asked to embed. */
export class InputEncoder {
  /** What is put before every text; may be empty. */
  readonly prompt: string;
  readonly #limits: EncoderConfig;
  readonly #tokenizer: Tokenizer;
  readonly #promptTokens: number;
  /** Whether texts are put into lower case, beside what the tokenizer does by itself. */
  readonly #lowers: boolean;

  /** @throws Error when the files describe no tokenizer, or a default prompt that is not there. */
  constructor(files: InputEncoderFiles, limits: EncoderConfig) {
    const { tokenizer, tokenizerConfig, promptsConfig, sentenceConfig } = files;
    this.#lowers = sentenceConfig.do_lower_case === true;
    this.#tokenizer = new Tokenizer(withTextEnds(tokenizer, tokenizerConfig), tokenizerConfig);
    this.#limits = limits;
    this.prompt = readDefaultPrompt(promptsConfig);
    this.#promptTokens = this.prompt === "" ? 0 : this.#countPromptTokens();
  }

  /**
   * Encodes a text, after the model's prompt. Ids are taken as they are.
   *
   * @throws ModelError `invalid_request` for nothing, and for ids that the model does not have; `prompt_too_long`
   */
  encode(input: EmbedInput): EncodedInput {
    const encoded = typeof input === "string" ? this.#encodeText(input) : { ids: input, promptTokens: 0 };
    checkLength(this.#limits, encoded.ids.length, 0, PARAMETER);
    checkTokens(this.#limits, encoded.ids, PARAMETER);
    return encoded;
  }

  #encodeText(text: string): EncodedInput {
    // The tokens around every text would hide that there is none.
    if (text === "") {
      throw new ModelError("invalid_request", `No text in ${PARAMETER}: it is empty`, { parameter: PARAMETER });
    }
    const { contextLength } = this.#limits;
    const tokenizer = { encode: (whole: string): number[] => this.#idsOf(whole) };
    const ids = encodeText({ tokenizer, contextLength }, this.prompt + text, true, PARAMETER);
    // The prompt's end and the text's beginning may have become one token.
    return { ids, promptTokens: Math.min(this.#promptTokens, ids.length - 1) };
  }

  #idsOf(text: string): number[] {
    return this.#tokenizer.encode(this.#lowers ? text.toLowerCase() : text).ids;
  }

  /** What comes at the end of every text is not the prompt's, nor is the space that the text's first token takes in. */
  #countPromptTokens(): number {
    const ids = this.#idsOf(this.prompt.trimEnd());
    const isSpecial = this.#tokenizer.get_added_tokens_decoder().get(ids.at(-1)!)?.special === true;
    return ids.length - Number(isSpecial);
  }
}

/** The request field, for errors. */
const PARAMETER = "input";

function readDefaultPrompt({ prompts, default_prompt_name: name }: JsonObject): string {
  if (name == null) return "";
  const all = (prompts ?? {}) as JsonObject;
  const prompt = typeof name === "string" && Object.hasOwn(all, name) ? all[name] : undefined;
  if (typeof prompt === "string") return prompt;
  throw new Error(`the default prompt is not one of ${Object.keys(all).join(", ")}: ${JSON.stringify(name)}`);
}
