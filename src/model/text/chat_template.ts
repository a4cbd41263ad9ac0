/**
 * A conversation as the text a model was trained to continue, by its own Jinja template. The text depends on template
 * and conversation alone, since answers to it are kept: a template is not told the date. Most that would use it have a
 * fixed one instead; one that insists is refused.
 *
 * @module
 */

import { Template } from "@huggingface/jinja";
import type { ChatMessage, TemplateOptions } from "../backend.ts";
import { ModelError } from "../error.ts";
import type { JsonObject } from "../files/model_files.ts";

/**
 * Renders a conversation.
 *
 * @throws ModelError `invalid_request` when the template refuses it, or cannot do what is asked.
 */
export type ChatTemplate = (messages: readonly ChatMessage[], options?: TemplateOptions) => string;

/**
 * Reads a model's chat templates: that of `chat_template.jinja` where there is one, else those of
 * `tokenizer_config.json`. Of several, `tool_use` is for conversations with tools and `default` for all others, as in
 * transformers.
 *
 * @param config The contents of `tokenizer_config.json`.
 * @param file The contents of `chat_template.jinja`.
 * @returns `undefined` when the model has none.
 * @throws Error when the `default` one is not a template.
 */
export function readChatTemplate(config: JsonObject, file?: string): ChatTemplate | undefined {
  const sources = new Map(templateSources(file ?? config.chat_template));
  if (sources.size === 0) return undefined;
  const templates = new Map<string, Template>();
  const read = (name: string): Template => {
    const template = templates.get(name) ?? new Template(WITHOUT_DATE + sources.get(name)!);
    templates.set(name, template);
    return template;
  };
  if (sources.has("default")) read("default");
  const usesDate = [...sources.values()].some((source) => source.includes("strftime_now"));
  const specialTokens = Object.fromEntries(SPECIAL_TOKENS.map((name) => [name, tokenContent(config[name])]));
  return (messages, { addGenerationPrompt, continueFinalMessage = false, variables = {} } = {}) => {
    checkVariables(variables);
    if (continueFinalMessage && addGenerationPrompt) {
      throw refusal("A conversation cannot go on with its last message and begin another: leave out one of the two", {
        parameter: "continueFinalMessage",
      });
    }
    const hasTools = Array.isArray(variables.tools) && variables.tools.length > 0;
    const name = hasTools && sources.has("tool_use") ? "tool_use" : "default";
    if (!sources.has(name)) {
      const names = [...sources.keys()].join(", ");
      throw refusal(`The model has no chat template for this conversation; those it has are named ${names}`);
    }
    const render = (conversation: readonly ChatMessage[]): string => {
      const asked = { messages: conversation, add_generation_prompt: addGenerationPrompt ?? !continueFinalMessage };
      try {
        return read(name).render({ ...ALWAYS_TOLD, ...specialTokens, ...variables, ...asked });
      } catch (error) {
        const reason = (error as Error).message;
        const hint = usesDate ? " (strftime_now is not there: answers are kept)" : "";
        throw refusal(`The model's chat template refuses these messages: ${reason}${hint}`, { cause: error });
      }
    };
    return continueFinalMessage ? withoutEnd(messages, render) : render(messages);
  };
}

/**
 * The library's one global that changes by itself. A block eats the line break after it, and no more of the template.
 */
const WITHOUT_DATE = "{% set strftime_now = undefined %}\n";

/** What transformers tells every template, there or not: some ask whether it is none, not whether it is defined. */
const ALWAYS_TOLD = { tools: null, documents: null };

const SPECIAL_TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** What a template is told by other names, and must not be told twice. */
const TAKEN: readonly string[] = ["messages", "add_generation_prompt", "continue_final_message", "strftime_now"];

function checkVariables(variables: Readonly<Record<string, unknown>>): void {
  const taken = TAKEN.find((name) => Object.hasOwn(variables, name));
  if (taken !== undefined) {
    throw refusal(`A variable of the chat template is not for a request to set: ${taken}`, { parameter: "variables" });
  }
}

/**
 * Marks the end of a message while its template is rendered. In a private use area, so that no text has it; the space
 * at its end shows whether the template trims messages.
 */
const END_MARK = "\u{F0E4D} ";

/** A conversation up to the end of its last message's text, without what the template puts after it. */
function withoutEnd(
  messages: readonly ChatMessage[],
  render: (conversation: readonly ChatMessage[]) => string,
): string {
  const last = messages.at(-1);
  if (typeof last?.content !== "string") {
    throw refusal(`The last message has no text to go on with: ${JSON.stringify(last?.content)}`);
  }
  const text = render([...messages.slice(0, -1), { ...last, content: last.content + END_MARK }]);
  const end = text.lastIndexOf(END_MARK.trimEnd());
  if (end < 0) throw refusal("The model's chat template leaves out the last message, which was to go on");
  const rendered = text.slice(0, end);
  return text.startsWith(END_MARK, end) ? rendered : rendered.trimEnd();
}

function refusal(
  message: string,
  { parameter = "messages", cause }: { readonly parameter?: string; readonly cause?: unknown } = {},
): ModelError {
  return new ModelError("invalid_request", message, { parameter, cause });
}

/** Templates by name. A model that has one alone has no name for it. */
function templateSources(value: unknown): (readonly [name: string, source: string])[] {
  if (typeof value === "string") return [["default", value]];
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: JsonObject | null) => {
    const { name, template } = one ?? {};
    return typeof name === "string" && typeof template === "string" ? [[name, template] as const] : [];
  });
}

/** Special tokens are strings, or added tokens with their content. */
function tokenContent(value: unknown): unknown {
  return typeof value === "object" && value !== null ? (value as JsonObject).content : value;
}
