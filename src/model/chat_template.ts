/**
 * A conversation as the text a model was trained to continue, by its own Jinja template.
 *
 * @module
 */

import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "./backend.ts";
import { ModelError } from "./error.ts";
import type { JsonObject } from "./model_files.ts";

/** Renders a conversation, ending where the model's turn begins. */
export type ChatTemplate = (messages: readonly ChatMessage[]) => string;

/**
 * Reads the chat template of a `tokenizer_config.json`: its only one, or the one named `default`.
 *
 * @returns `undefined` when the model has none.
 * @throws Error when it is not a template.
 */
export function readChatTemplate(config: JsonObject): ChatTemplate | undefined {
  const source = templateSource(config.chat_template);
  if (source === undefined) return undefined;
  const template = new Template(source);
  const specialTokens = Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenContent(config[name])]));
  return (messages) => {
    try {
      return template.render({ ...specialTokens, messages, add_generation_prompt: true });
    } catch (error) {
      const reason = (error as Error).message;
      throw new ModelError("invalid_request", `The model's chat template refuses these messages: ${reason}`, {
        parameter: "messages",
        cause: error,
      });
    }
  };
}

const SPECIAL_TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

function templateSource(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.find((one: JsonObject) => one?.name === "default") as JsonObject | undefined;
  return typeof named?.template === "string" ? named.template : undefined;
}

/** Special tokens are strings, or added tokens with their content. */
function tokenContent(value: unknown): unknown {
  return typeof value === "object" && value !== null ? (value as JsonObject).content : value;
}
