/**
 * `/v1/chat/completions`: a conversation through the model's own chat template.
 *
 * @module
 */

import * as z from "zod";
import type { ChatMessage, ScoredToken, TemplateOptions } from "../model/backend.ts";
import { type AnswerHead, finiteLogprob, type TextEndpoint } from "./endpoint.ts";
import { invalidRequest } from "./api_error.ts";
import type { ChoiceEvent, Usage } from "./generation.ts";
import {
  COMMON_FIELDS,
  COMMON_SHAPE,
  empty,
  type Harmless,
  isText,
  readBody,
  readCommon,
  refuseUnsupported,
  wantsLogprobs,
} from "./request_fields.ts";

const textPart = z.object({ type: z.literal("text"), text: z.string() });

const schema = z.object({
  messages: z.array(z.looseObject({
    role: z.enum(["system", "developer", "user", "assistant", "tool", "function"]),
    // A turn that is nothing but calls of tools has none.
    content: z.union([z.string(), z.array(textPart)]).nullish(),
  })).min(1).describe("The conversation. What else a message has, its template is given."),
  add_generation_prompt: z.boolean().nullish()
    .describe("Whether the model's turn begins. Default: true, unless the last message is to go on."),
  continue_final_message: z.boolean().nullish().describe("Whether the answer goes on with the last message."),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish().describe("Variables of the model's chat template."),
  max_completion_tokens: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).nullish()
    .describe("The newer name of `max_tokens`, and it is taken where both are given."),
  logprobs: z.boolean().nullish().describe("Whether to tell the log-probabilities of the tokens that were chosen."),
  top_logprobs: z.number().int().min(0).max(20).nullish().describe("Of how many of the likeliest tokens, too."),
});

/** What a conversation cannot be given. */
const unsupported = (n: number): Record<string, Harmless> => ({
  tools: empty,
  tool_choice: (value) => empty(value) || value === "none" || value === "auto",
  functions: empty,
  function_call: (value) => empty(value) || value === "none" || value === "auto",
  response_format: isText,
  modalities: (value) => empty(value) || JSON.stringify(value) === '["text"]',
  audio: empty,
  reasoning_effort: empty,
  verbosity: empty,
  web_search_options: empty,
  // Of completions and of vLLM.
  echo: empty,
  suffix: empty,
  best_of: (value) => empty(value) || value === n,
  add_special_tokens: empty,
  chat_template: empty,
  documents: empty,
});

/** OpenAI's chat completions. */
export const chatCompletions: TextEndpoint = {
  path: "/v1/chat/completions",
  idPrefix: "chatcmpl",
  schema: z.object({ ...COMMON_SHAPE, ...schema.shape }),
  fields: [...COMMON_FIELDS, ...Object.keys(schema.shape), ...Object.keys(unsupported(1))],

  read(body) {
    const { maxTokens, ...common } = readCommon(body);
    const fields = readBody(schema, body);
    refuseUnsupported(body, unsupported(common.n));
    if (!empty(fields.top_logprobs) && !fields.logprobs) {
      throw invalidRequest("Invalid value for 'top_logprobs': it needs 'logprobs' to be true", "top_logprobs");
    }
    return {
      ...common,
      prompts: [{ messages: fields.messages.map(readMessage), template: readTemplateOptions(fields) }],
      sampling: {
        ...common.sampling,
        maxTokens: fields.max_completion_tokens ?? maxTokens,
        topLogprobs: fields.logprobs ? fields.top_logprobs ?? 0 : undefined,
        echo: false,
      },
    };
  },

  answer(head, request, choices, usage) {
    return {
      ...frame(head, "chat.completion"),
      choices: choices.map((choice) => ({
        index: choice.index,
        message: { role: "assistant", content: choice.text, refusal: null },
        logprobs: wantsLogprobs(request) ? { content: choice.tokens.map(logprobEntry), refusal: null } : null,
        finish_reason: choice.finishReason,
      })),
      usage,
    };
  },

  chunker(head, request) {
    return ({ index, event }: ChoiceEvent) => {
      const chunks: object[] = [];
      if (event.type === "prompt") chunks.push(roleChunk(head, index, wantsLogprobs(request)));
      const tokens = event.type === "token" && wantsLogprobs(request) ? [event.token] : [];
      if (event.text !== "" || tokens.length > 0) {
        const logprobs = tokens.length > 0 ? { content: tokens.map(logprobEntry), refusal: null } : null;
        chunks.push(chunk(head, { index, delta: { content: event.text }, logprobs, finish_reason: null }));
      }
      if (event.type === "end") chunks.push(finishChunk(head, index, event.finishReason));
      return chunks;
    };
  },

  usageChunk: (head, usage: Usage) => ({ ...frame(head, "chat.completion.chunk"), choices: [], usage }),
};

/** A message as its template takes it: all that it has, its text in one piece. */
function readMessage(message: z.infer<typeof schema>["messages"][number], index: number): ChatMessage {
  refuseUnsupported(message, { audio: empty }, ["messages", index]);
  const { content, ...others } = message;
  if (typeof content === "string") return { ...others, content };
  if (Array.isArray(content)) return { ...others, content: content.map(({ text }) => text).join("") };
  if (empty(message.tool_calls) && empty(message.function_call)) {
    const param = `messages[${index}].content`;
    throw invalidRequest(`Missing required parameter: '${param}'`, param);
  }
  return content === null ? { ...others, content } : others;
}

/** What a template is told by fields of their own, or not at all. */
const NO_VARIABLES: readonly string[] = ["messages", "add_generation_prompt", "continue_final_message", "strftime_now"];

function readTemplateOptions(fields: z.infer<typeof schema>): TemplateOptions {
  const { add_generation_prompt: begin, continue_final_message: goOn, chat_template_kwargs: variables } = fields;
  if (begin && goOn) {
    const message = "Invalid value for 'continue_final_message': the model's turn cannot be begun as well";
    throw invalidRequest(`${message} ('add_generation_prompt')`, "continue_final_message");
  }
  const taken = NO_VARIABLES.find((name) => Object.hasOwn(variables ?? {}, name));
  if (taken !== undefined) {
    const param = `chat_template_kwargs.${taken}`;
    throw invalidRequest(`Invalid value for '${param}': a template is told it in another way`, param);
  }
  return {
    addGenerationPrompt: begin ?? undefined,
    continueFinalMessage: goOn ?? undefined,
    variables: variables ?? undefined,
  };
}

function frame({ id, created, model, system_fingerprint }: AnswerHead, object: string): object {
  return { id, object, created, model, system_fingerprint };
}

function chunk(head: AnswerHead, choice: object): object {
  return { ...frame(head, "chat.completion.chunk"), choices: [choice] };
}

function roleChunk(head: AnswerHead, index: number, hasLogprobs: boolean): object {
  const delta = { role: "assistant", content: "", refusal: null };
  const logprobs = hasLogprobs ? { content: [], refusal: null } : null;
  return chunk(head, { index, delta, logprobs, finish_reason: null });
}

function finishChunk(head: AnswerHead, index: number, reason: string): object {
  return chunk(head, { index, delta: {}, logprobs: null, finish_reason: reason });
}

function logprobEntry(token: ScoredToken): object {
  return { ...logprobOf(token), top_logprobs: token.top.map(logprobOf) };
}

function logprobOf({ text, bytes, logprob }: Omit<ScoredToken, "top">): object {
  return { token: text, bytes, logprob: finiteLogprob(logprob!) };
}
