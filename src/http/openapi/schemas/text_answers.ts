/**
 * What the routes of `/v1` answer with, as OpenAI defined it.
 *
 * @see https://platform.openai.com/docs/api-reference
 * @module
 */

import { z } from "@hono/zod-openapi";
import { count, usage } from "./common.ts";

const head = {
  id: z.string(),
  created: count.describe("Seconds since 1970."),
  model: z.string().describe("As it was asked for."),
  system_fingerprint: z.string().describe("Content identity of model and adapter, shortened."),
};
const lastUsage = z.union([usage, z.null()]).optional()
  .describe("In a stream, if it was asked for: `null` but for the last chunk.");
const finish = z.enum(["stop", "length"]);

const tokenLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(count).describe("Where each token begins, in Unicode characters."),
  token_ids: z.array(count).describe("Of this server alone: two tokens can have the same text."),
});

/** A text completion. */
export const completion: z.ZodType = z.object({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.object({
    text: z.string(),
    index: count,
    logprobs: tokenLogprobs.nullable(),
    finish_reason: finish.nullable(),
  })),
  usage: lastUsage,
}).openapi("Completion");

const logprob = z.object({ token: z.string(), bytes: z.array(count), logprob: z.number() });
const chatLogprobs = z.object({
  content: z.array(logprob.extend({ top_logprobs: z.array(logprob) })),
  refusal: z.null(),
}).nullable();

/** A chat completion. */
export const chatCompletion: z.ZodType = z.object({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(z.object({
    index: count,
    message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
    logprobs: chatLogprobs,
    finish_reason: finish,
  })),
  usage,
}).openapi("ChatCompletion");

/** A chunk of a chat completion. */
export const chatCompletionChunk: z.ZodType = z.object({
  ...head,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(z.object({
    index: count,
    delta: z.object({
      role: z.literal("assistant").optional(),
      content: z.string().optional(),
      refusal: z.null().optional(),
    }),
    logprobs: chatLogprobs,
    finish_reason: finish.nullable(),
  })),
  usage: lastUsage,
}).openapi("ChatCompletionChunk");

/** Embeddings. */
export const embeddings: z.ZodType = z.object({
  object: z.literal("list"),
  data: z.array(z.object({
    object: z.literal("embedding"),
    index: count,
    embedding: z.union([z.array(z.number()), z.string().describe("Base64 of little-endian float32.")]),
  })),
  model: z.string(),
  usage: z.object({ prompt_tokens: count, total_tokens: count }),
}).openapi("Embeddings");

/** A model. */
export const model: z.ZodType = z.object({
  id: z.string().describe("What requests call it."),
  object: z.literal("model"),
  created: count.describe("Seconds since 1970."),
  owned_by: z.literal("local"),
  parent: z.string().nullable().describe("The base of an adapter."),
  root: z.string(),
  dtypes: z.array(z.string()).optional().describe("The exports of a base: each can be asked for as `base:dtype`."),
}).openapi("Model");

/** All of them. */
export const modelList: z.ZodType = z.object({ object: z.literal("list"), data: z.array(model) }).openapi("ModelList");
