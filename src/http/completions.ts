/**
 * `/v1/completions`: text, texts, token ids; `echo` and `logprobs` in the legacy shape that evaluation harnesses use.
 *
 * @module
 */

import * as z from "zod";
import type { Prompt, ScoredToken, Token } from "../model/backend.ts";
import { type AnswerHead, finiteLogprob, type TextEndpoint } from "./endpoint.ts";
import type { Choice, ChoiceEvent, Usage } from "./generation.ts";
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
import { isEmpty, readIds, readText } from "./token_ids.ts";

const schema = z.object({
  prompt: z.union([z.string(), z.array(z.unknown())], { error: "expected a text, texts, token ids or lists of them" })
    .describe("A text, texts, token ids, or lists of them."),
  logprobs: z.number().int().min(0).max(100).nullish()
    .describe("How many of the likeliest tokens to tell the log-probabilities of; 0: of those chosen alone."),
  echo: z.boolean().nullish().describe("Whether the answer begins with the prompt; then `max_tokens` may be 0."),
});

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;

/** What a text completion cannot be given. */
const unsupported = (n: number): Record<string, Harmless> => ({
  suffix: empty,
  best_of: (value) => empty(value) || value === n,
  // A text gets the tokens that its tokenizer puts around every text.
  add_special_tokens: (value) => value === null || value === true,
  response_format: isText,
  // Of chat completions: a text has no template.
  add_generation_prompt: empty,
  chat_template: empty,
  chat_template_kwargs: empty,
  continue_final_message: empty,
});

/** OpenAI's legacy text completions. */
export const completions: TextEndpoint = {
  path: "/v1/completions",
  idPrefix: "cmpl",
  schema: z.object({ ...COMMON_SHAPE, ...schema.shape }),
  fields: [...COMMON_FIELDS, ...Object.keys(schema.shape), ...Object.keys(unsupported(1))],

  read(body) {
    const { maxTokens, ...common } = readCommon(body);
    const fields = readBody(schema, body);
    refuseUnsupported(body, unsupported(common.n));
    return {
      ...common,
      prompts: readPrompts(fields.prompt),
      sampling: {
        ...common.sampling,
        maxTokens: maxTokens ?? DEFAULT_MAX_TOKENS,
        topLogprobs: fields.logprobs ?? undefined,
        echo: fields.echo ?? false,
      },
    };
  },

  answer(head, request, choices, usage) {
    return {
      ...whole(head),
      choices: choices.map((choice) => ({
        text: choice.text,
        index: choice.index,
        logprobs: wantsLogprobs(request) ? logprobs(choice.tokens, 0) : null,
        finish_reason: choice.finishReason,
      })),
      usage,
    };
  },

  chunker(head, request) {
    // How many characters of each choice came before, for `text_offset`.
    let offset = 0;
    return ({ index, event }: ChoiceEvent) => {
      if (event.type === "prompt") offset = 0;
      const tokens = event.type === "prompt" ? event.tokens : event.type === "token" ? [event.token] : [];
      const finishReason = event.type === "end" ? event.finishReason : null;
      if (event.text === "" && finishReason === null && !(wantsLogprobs(request) && tokens.length > 0)) return [];
      const details = wantsLogprobs(request) ? logprobs(tokens, offset) : null;
      offset += tokens.reduce((sum, token) => sum + characters(token), 0);
      return [chunk(head, { text: event.text, index, logprobs: details, finish_reason: finishReason })];
    };
  },

  usageChunk: (head, usage: Usage) => ({ ...whole(head), choices: [], usage }),
};

function readPrompts(prompt: z.infer<typeof schema>["prompt"]): Prompt[] {
  if (typeof prompt === "string") return [{ text: prompt }];
  if (prompt.length === 0) throw isEmpty("prompt");
  if (typeof prompt[0] === "number") return [{ ids: readIds(prompt, "prompt") }];
  return typeof prompt[0] === "string"
    ? prompt.map((text, at) => ({ text: readText(text, `prompt[${at}]`) }))
    : prompt.map((ids, at) => ({ ids: readIds(ids, `prompt[${at}]`) }));
}

function whole({ id, created, model, system_fingerprint }: AnswerHead): object {
  return { id, object: "text_completion", created, model, system_fingerprint };
}

function chunk(head: AnswerHead, choice: Record<string, unknown>): object {
  return { ...whole(head), choices: [choice] };
}

/**
 * The legacy shape: parallel arrays. `text_offset` counts Unicode characters. `token_ids` is ours, since two tokens
 * can have the same text.
 */
function logprobs(tokens: Choice["tokens"], start: number): object {
  let offset = start;
  return {
    tokens: tokens.map(tokenText),
    token_logprobs: tokens.map(({ logprob }) => logprob === null ? null : finiteLogprob(logprob)),
    top_logprobs: tokens.map((token) => token.logprob === null ? null : alternatives(token)),
    text_offset: tokens.map((token) => {
      const at = offset;
      offset += characters(token);
      return at;
    }),
    token_ids: tokens.map(({ id }) => id),
  };
}

/** The alternatives by text, the chosen token always among them; of two tokens with one text the likelier stays. */
function alternatives(token: ScoredToken): Record<string, number> {
  const byText = new Map<string, number>();
  for (const other of token.top) {
    const text = tokenText(other);
    if (!byText.has(text)) byText.set(text, finiteLogprob(other.logprob));
  }
  byText.set(tokenText(token), finiteLogprob(token.logprob!));
  return Object.fromEntries(byText);
}

/** A token's text; one that is only part of a character is written as its bytes, as OpenAI does. */
function tokenText({ text, bytes }: Token): string {
  if (!text.includes("\uFFFD")) return text;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
}

/** Characters that begin in a token: bytes of UTF-8 that continue none. */
function characters({ bytes }: Token): number {
  return bytes.filter((byte) => (byte & 0xc0) !== 0x80).length;
}
