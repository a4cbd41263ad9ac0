/**
 * From what a caller asks to continue to token ids that fit the model.
 *
 * @module
 */

import type { Prompt } from "../backend.ts";
import type { ChatTemplate } from "./chat_template.ts";
import { ModelError } from "../error.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** What limits a text. */
export interface TextLimits {
  readonly vocabularySize: number;
  readonly contextLength: number;
}

/** What limits and encodes a prompt. */
export interface PromptEncoder extends TextLimits {
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
}

/** A prompt in tokens. */
export interface EncodedPrompt {
  readonly ids: readonly number[];
  readonly text: string;
  /** The request field it came from, for errors. */
  readonly parameter: "prompt" | "messages";
}

/**
 * Encodes a prompt. A text gets the tokens its tokenizer puts around every text; a conversation's template writes its
 * own.
 *
 * @throws ModelError `invalid_request` when there are no tokens, or ids that the model does not have.
 */
export function encodePrompt(encoder: PromptEncoder, prompt: Prompt): EncodedPrompt {
  const encoded = encodeByKind(encoder, prompt);
  checkTokens(encoder, encoded.ids, encoded.parameter);
  return encoded;
}

function encodeByKind(encoder: PromptEncoder, prompt: Prompt): EncodedPrompt {
  const { tokenizer, chatTemplate } = encoder;
  if ("ids" in prompt) {
    checkLength(encoder, prompt.ids.length, 0, "prompt");
    return { ids: prompt.ids, text: tokenizer.decode(prompt.ids), parameter: "prompt" };
  }
  if ("text" in prompt) {
    const ids = encodeText(encoder, prompt.text, true, "prompt");
    return { ids, text: prompt.text, parameter: "prompt" };
  }
  if (chatTemplate === undefined) {
    throw new ModelError("invalid_request", "The model has no chat template: give a prompt instead of messages", {
      parameter: "messages",
    });
  }
  const text = chatTemplate(prompt.messages, prompt.template);
  return { ids: encodeText(encoder, text, false, "messages"), text, parameter: "messages" };
}

/** No tokenizer in use makes one token of more characters; the longest are runs of spaces. */
const MOST_CHARACTERS_A_TOKEN = 256;

/**
 * The ids of a text. One that cannot fit the context is refused unread: to encode 10 MB takes seconds, in which the
 * Worker serves nobody.
 *
 * @throws ModelError `prompt_too_long`
 */
export function encodeText(
  { tokenizer, contextLength }: Pick<TextLimits, "contextLength"> & {
    readonly tokenizer: Pick<TextTokenizer, "encode">;
  },
  text: string,
  addSpecialTokens: boolean,
  parameter: string,
): readonly number[] {
  if (text.length > contextLength * MOST_CHARACTERS_A_TOKEN) {
    const message = `The model's context holds ${contextLength} tokens: ${text.length} characters in ${parameter}`;
    throw new ModelError("prompt_too_long", message, { parameter });
  }
  return tokenizer.encode(text, { addSpecialTokens });
}

/**
 * Refuses a text of no tokens, and ids that are not the model's.
 *
 * @throws ModelError `invalid_request`
 */
export function checkTokens(
  { vocabularySize }: Pick<TextLimits, "vocabularySize">,
  ids: readonly number[],
  parameter: string,
): void {
  if (ids.length === 0) {
    throw new ModelError("invalid_request", `No tokens in ${parameter}: it is empty`, { parameter });
  }
  const unknown = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (unknown !== undefined) {
    const message = `A token id in ${parameter} is not one of the model's ${vocabularySize}: ${unknown}`;
    throw new ModelError("invalid_request", message, { parameter });
  }
}

/**
 * Refuses what does not fit the context.
 *
 * @param answerTokens How much room the answer needs.
 * @throws ModelError `prompt_too_long`
 */
export function checkLength(
  { contextLength }: Pick<TextLimits, "contextLength">,
  promptTokens: number,
  answerTokens: number,
  parameter: string,
): void {
  if (promptTokens + answerTokens <= contextLength) return;
  const answer = answerTokens === 0 ? "" : ` and ${answerTokens} for the answer`;
  const message = `The model's context holds ${contextLength} tokens: ${promptTokens} in ${parameter}${answer}`;
  throw new ModelError("prompt_too_long", message, { parameter });
}
