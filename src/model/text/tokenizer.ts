/**
 * Text to token ids and back, by `@huggingface/tokenizers`, with each token's own bytes.
 *
 * @module
 */

import { Tokenizer } from "@huggingface/tokenizers";
import type { JsonObject } from "../files/model_files.ts";
import { withTextEnds } from "./text_ends.ts";
import { readTokenDecoder, type TokenDecoder } from "./token_bytes.ts";

/** What one token says. */
export interface TokenText {
  /** Its bytes as text; part of a character shows as U+FFFD. A special token shows its name. */
  readonly text: string;
  /** What it adds to an answer, in UTF-8. A special token adds nothing. */
  readonly bytes: Uint8Array;
}

const NOTHING: TokenText = { text: "", bytes: new Uint8Array() };

/** A model's tokenizer. */
export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #decode: TokenDecoder;
  readonly #tokens = new Map<number, TokenText>();

  /**
   * @param tokenizer The contents of `tokenizer.json`.
   * @param config The contents of `tokenizer_config.json`.
   * @throws Error when they describe no tokenizer, or an unsupported one.
   */
  constructor(tokenizer: JsonObject, config: JsonObject) {
    this.#decode = readTokenDecoder(tokenizer.decoder);
    this.#tokenizer = new Tokenizer(withTextEnds(tokenizer, config), config);
    for (const [id, { content, special }] of this.#tokenizer.get_added_tokens_decoder()) {
      this.#tokens.set(id, special ? { text: content, bytes: new Uint8Array() } : textOf(this.#decode(content, true)));
    }
  }

  /** The ids of a text, with or without what the tokenizer puts around every text. */
  encode(text: string, { addSpecialTokens }: { readonly addSpecialTokens: boolean }): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  }

  /** What a token says; nothing for an id that the model has and the tokenizer has not. */
  token(id: number): TokenText {
    const known = this.#tokens.get(id);
    if (known !== undefined) return known;
    const written = this.#tokenizer.id_to_token(id);
    // Not remembered: there is no end of such ids.
    if (written === undefined) return NOTHING;
    const token = textOf(this.#decode(written));
    this.#tokens.set(id, token);
    return token;
  }

  /** The text of several tokens together. */
  decode(ids: readonly number[]): string {
    const bytes = ids.flatMap((id) => [...this.token(id).bytes]);
    return textOf(new Uint8Array(bytes)).text;
  }
}

function textOf(bytes: Uint8Array): TokenText {
  return { text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), bytes };
}
