/**
 * `/v1/chat/completions`: a conversation through the model's own chat template.
 *
 * @module
 */

import { z } from "zod";
import type { ScoredToken } from "../model/backend.ts";
import { type AnswerHead, finiteLogprob, headOf, type TextEndpoint } from "./endpoint.ts";
import { invalidRequest } from "./errors.ts";
import type { ChoiceEvent, Usage } from "./generation.ts";
import { empty, readBody, readCommon, refuseUnsupported, wantsLogprobs } from "./request_fields.ts";

const textPart = z.object({ type: z.literal("text"), text: z.string() });

const schema = z.object({
  messages: z.array(z.looseObject({
    role: z.enum(["system", "developer", "user", "assistant"]),
    content: z.union([z.string(), z.array(textPart)]),
  })).min(1),
  max_completion_tokens: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
});

/** OpenAI's chat completions. */
export const chatCompletions: TextEndpoint = {
  path: "/v1/chat/completions",
  idPrefix: "chatcmpl",

  read(body) {
    const { maxTokens, ...common } = readCommon(body);
    const fields = readBody(schema, body);
    refuseUnsupported(body, {
      tools: empty,
      tool_choice: (value) => empty(value) || value === "none" || value === "auto",
      functions: empty,
      function_call: (value) => empty(value) || value === "none" || value === "auto",
      response_format: (value) => empty(value) || (value as { type?: unknown }).type === "text",
      modalities: (value) => empty(value) || JSON.stringify(value) === '["text"]',
      audio: empty,
      logit_bias: empty,
      presence_penalty: empty,
      frequency_penalty: empty,
    });
    if (!empty(fields.top_logprobs) && !fields.logprobs) {
      throw invalidRequest("Invalid value for 'top_logprobs': it needs 'logprobs' to be true", "top_logprobs");
    }
    const messages = fields.messages.map((message, index) => {
      refuseUnsupported(message, { tool_calls: empty, function_call: empty, audio: empty }, ["messages", index]);
      const { role, content } = message;
      return { role, content: typeof content === "string" ? content : content.map(({ text }) => text).join("") };
    });
    return {
      ...common,
      prompts: [{ messages }],
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
      if (event.type === "prompt") chunks.push(roleChunk(head, index));
      const tokens = event.type === "token" && wantsLogprobs(request) ? [event.token] : [];
      if (event.text !== "" || tokens.length > 0) {
        const logprobs = tokens.length > 0 ? { content: tokens.map(logprobEntry), refusal: null } : null;
        chunks.push(chunk(head, { index, delta: { content: event.text }, logprobs, finish_reason: null }));
      }
      if (event.type === "end") chunks.push(finishChunk(head, index, event.finishReason));
      return chunks;
    };
  },

  *replay(answer) {
    const head = headOf(answer);
    for (const choice of answer.choices) {
      const { index, message, logprobs, finish_reason } = choice as unknown as StoredChoice;
      yield roleChunk(head, index);
      yield chunk(head, { index, delta: { content: message.content }, logprobs, finish_reason: null });
      yield finishChunk(head, index, finish_reason);
    }
  },

  usageChunk: (head, usage: Usage) => ({ ...frame(head, "chat.completion.chunk"), choices: [], usage }),
};

/** A choice as {@link chatCompletions} stored it. */
interface StoredChoice {
  readonly index: number;
  readonly message: { readonly content: string };
  readonly logprobs: unknown;
  readonly finish_reason: string;
}

function frame({ id, created, model, system_fingerprint }: AnswerHead, object: string): object {
  return { id, object, created, model, system_fingerprint };
}

function chunk(head: AnswerHead, choice: object): object {
  return { ...frame(head, "chat.completion.chunk"), choices: [choice] };
}

function roleChunk(head: AnswerHead, index: number): object {
  const delta = { role: "assistant", content: "", refusal: null };
  return chunk(head, { index, delta, logprobs: null, finish_reason: null });
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
