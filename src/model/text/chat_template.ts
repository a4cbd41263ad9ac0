/**
 * A conversation as the text a model was trained to continue, by its own Jinja template. The text depends on template
 * and conversation alone, since answers to it are kept: a template is not told the date. Most that would use it have a
 * fixed one instead; one that insists is refused.
 *
 * @module
 */

import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "../backend.ts";
import { ModelError } from "../error.ts";
import type { JsonObject } from "../files/model_files.ts";

/** Renders a conversation, ending where the model's turn begins. */
export type ChatTemplate = (messages: readonly ChatMessage[]) => string;

/**
 * Reads a chat template: that of `chat_template.jinja` where there is one, else of `tokenizer_config.json`, its only one
 * or the one named `default`.
 *
 * @param config The contents of `tokenizer_config.json`.
 * @param file The contents of `chat_template.jinja`.
 * @returns `undefined` when the model has none.
 * @throws Error when it is not a template.
 */
export function readChatTemplate(config: JsonObject, file?: string): ChatTemplate | undefined {
  const source = file ?? templateSource(config.chat_template);
  if (source === undefined) return undefined;
  const template = new Template(WITHOUT_DATE + source);
  const specialTokens = Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenContent(config[name])]));
  return (messages) => {
    try {
      return template.render({ ...specialTokens, messages, add_generation_prompt: true });
    } catch (error) {
      const hint = source.includes("strftime_now") ? " (strftime_now is not there: answers are kept)" : "";
      const reason = `${(error as Error).message}${hint}`;
      throw new ModelError("invalid_request", `The model's chat template refuses these messages: ${reason}`, {
        parameter: "messages",
        cause: error,
      });
    }
  };
}

/** The library's one global that changes by itself. The expression keeps a line break after it, which a block would eat. */
const WITHOUT_DATE = "{% set strftime_now = undefined %}{{ '' }}";

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
