/**
 * Reading OpenAI request bodies, with vLLM's further fields for choosing tokens: types and ranges with the field named in
 * the error, `null` taken as absent, unknown fields let through, and known fields that this server cannot follow
 * refused, since to ignore them would answer another question than the one asked.
 *
 * @module
 */

import * as z from "zod";
import { invalidRequest } from "./api_error.ts";
import type { Sampling } from "./generation.ts";
import type { Prompt } from "../model/backend.ts";

/** A request for text, whichever endpoint it came by. */
export interface TextRequest {
  readonly model: string;
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly sampling: Sampling;
  /** `undefined`: not repeatable. */
  readonly seed: number | undefined;
  readonly stream: boolean;
  /** Whether a stream ends with a chunk that has the usage. */
  readonly includeUsage: boolean;
}

const tokenCount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).nullish();
const penalty = z.number().min(-2).max(2).nullish();

const commonSchema = z.object({
  model: z.string().min(1).describe(
    "`base[:dtype][+adapter]`, such as `kjv-tiny+fortunes`: one that `/v1/models` has.",
  ),
  n: z.number().int().min(1).max(128).nullish().describe("How many answers to each prompt. Default: 1."),
  max_tokens: tokenCount.describe("How many tokens an answer may have."),
  temperature: z.number().min(0).max(2).nullish().describe(
    "How much chance there is; 0: none. The default of what is chosen by chance is the model's own.",
  ),
  top_p: z.number().gt(0).max(1).nullish()
    .describe("Only the likeliest tokens that have this probability together; 1: all."),
  // vLLM's clients write -1 for all.
  top_k: z.number().int().min(-1).max(Number.MAX_SAFE_INTEGER).nullish()
    .describe("Only so many of the likeliest tokens; 0 and -1: all."),
  min_p: z.number().min(0).max(1).nullish()
    .describe("Only tokens that are at least so likely, as a part of the likeliest one's probability."),
  repetition_penalty: z.number().gt(0).nullish().describe("Above 1: tokens that are there already become less likely."),
  presence_penalty: penalty.describe("Above 0: tokens that were chosen before become less likely."),
  frequency_penalty: penalty.describe("The same, the more so the more often they were."),
  logit_bias: z.record(z.string().regex(/^\d{1,10}$/), z.number().min(-100).max(100)).nullish()
    .describe("What is added to the logits of tokens, by their ids."),
  min_tokens: tokenCount.describe("How many tokens an answer has at least."),
  seed: z.number().int().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER).nullish()
    .describe("The same seed gives the same answer, and only such answers are kept where there is chance."),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish()
    .describe("Where to stop: before one of these texts."),
  stream: z.boolean().nullish().describe("Whether to answer in chunks, as server-sent events."),
  stream_options: z.object({
    include_usage: z.boolean().nullish().describe("Whether the last chunk has the usage."),
  }).nullish(),
});

/** What both text endpoints can be told, for the description of their bodies. */
export const COMMON_SHAPE: z.ZodRawShape = commonSchema.shape;

/** The part of a {@link TextRequest} that both text endpoints read alike. */
export interface CommonRequest extends Omit<TextRequest, "prompts" | "sampling"> {
  readonly sampling: Omit<Sampling, "maxTokens" | "topLogprobs" | "echo">;
  readonly maxTokens: number | undefined;
}

/**
 * Reads the fields that both text endpoints have.
 *
 * @throws ApiError 400 with the field at fault.
 */
export function readCommon(fields: Record<string, unknown>): CommonRequest {
  const body = readBody(commonSchema, fields);
  refuseUnsupported(fields, UNSUPPORTED);
  const { stop, logit_bias: bias } = body;
  return {
    model: body.model,
    n: body.n ?? 1,
    maxTokens: body.max_tokens ?? undefined,
    // The sampler takes 32 bits; a negative seed is as good as any other.
    seed: body.seed === undefined || body.seed === null ? undefined : Number(BigInt.asUintN(32, BigInt(body.seed))),
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    sampling: {
      temperature: body.temperature ?? undefined,
      topP: body.top_p ?? undefined,
      topK: body.top_k === -1 ? 0 : body.top_k ?? undefined,
      minP: body.min_p ?? undefined,
      repetitionPenalty: body.repetition_penalty ?? undefined,
      presencePenalty: body.presence_penalty ?? undefined,
      frequencyPenalty: body.frequency_penalty ?? undefined,
      logitBias: bias ? Object.entries(bias).map(([id, value]) => [Number(id), value] as const) : undefined,
      minTokens: body.min_tokens ?? undefined,
      stop: typeof stop === "string" ? [stop] : stop ?? [],
    },
  };
}

/**
 * Checks a body against a schema.
 *
 * @throws ApiError 400 that names the first field at fault.
 */
export function readBody<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const param = paramOf(issue.path);
  if (param === undefined) throw invalidRequest(issue.message);
  const value = issue.path.reduce<unknown>(
    (of, step) => (of as Record<PropertyKey, unknown> | undefined)?.[step],
    body,
  );
  if (value === undefined) throw invalidRequest(`Missing required parameter: '${param}'`, param);
  const received = JSON.stringify(value).slice(0, 80);
  throw invalidRequest(`Invalid value for '${param}': ${issue.message}: received ${received}`, param);
}

/**
 * The same, where a field that nobody knows is a mistake.
 *
 * @param schema refuses them.
 * @throws ApiError 400
 */
export function readStrictBody<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const unknown = schema.safeParse(body).error?.issues.find((issue) => issue.code === "unrecognized_keys");
  if (unknown === undefined) return readBody(schema, body);
  const name = unknown.keys[0]!.slice(0, 80);
  throw invalidRequest(`Unknown parameter: '${name}'`, paramOf([...unknown.path, name]), "unknown_parameter");
}

/** Whether an answer is to carry log-probabilities. */
export function wantsLogprobs({ sampling }: TextRequest): boolean {
  return sampling.topLogprobs !== undefined;
}

/** Values of a field that mean the same as leaving it out. */
export type Harmless = (value: unknown) => boolean;

/** Harmless when it says nothing: absent, `null`, empty, `0`, `false`. */
export const empty: Harmless = (value) =>
  value === undefined || value === null || value === false || value === 0 || value === "" ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Harmless for a response format: none, or text. */
export const isText: Harmless = (value) => empty(value) || (value as { type?: unknown }).type === "text";

/** Fields of OpenAI's, vLLM's and llama.cpp's that would change an answer and that no endpoint here follows. */
const UNSUPPORTED: Readonly<Record<string, Harmless>> = {
  allowed_token_ids: empty,
  bad_words: empty,
  grammar: empty,
  guided_choice: empty,
  guided_grammar: empty,
  guided_json: empty,
  guided_regex: empty,
  ignore_eos: empty,
  include_stop_str_in_output: empty,
  json_schema: empty,
  length_penalty: (value) => empty(value) || value === 1,
  logits_processors: empty,
  mirostat: empty,
  // 0 asks for those of the prompt itself.
  prompt_logprobs: (value) => value === null,
  repeat_penalty: (value) => empty(value) || value === 1,
  skip_special_tokens: (value) => value === null || value === true,
  stop_token_ids: empty,
  structured_outputs: empty,
  truncate_prompt_tokens: empty,
  typical_p: (value) => empty(value) || value === 1,
  use_beam_search: empty,
};

/** Fields of OpenAI's, vLLM's and llama.cpp's that change no answer: who asks, how it is billed, kept or sped up. */
const HARMLESS = [
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prediction",
  "parallel_tool_calls",
  "priority",
  "request_id",
  "cache_prompt",
];

/** The names of the fields that {@link readCommon} knows. */
export const COMMON_FIELDS: readonly string[] = [
  ...Object.keys(commonSchema.shape),
  ...Object.keys(UNSUPPORTED),
  ...HARMLESS,
];

/**
 * Refuses known fields with a meaning this server cannot give them.
 *
 * @param path Where `body` is in the request, if it is not the whole of it.
 * @throws ApiError 400 with code `unsupported_parameter`.
 */
export function refuseUnsupported(
  body: Record<string, unknown>,
  fields: Record<string, Harmless>,
  path: readonly PropertyKey[] = [],
): void {
  for (const [field, harmless] of Object.entries(fields)) {
    if (Object.hasOwn(body, field) && !harmless(body[field])) {
      const param = paramOf([...path, field]);
      const value = JSON.stringify(body[field]).slice(0, 80);
      throw invalidRequest(`Unsupported parameter: '${param}': ${value}`, param, "unsupported_parameter");
    }
  }
}

/** `["messages", 0, "role"]` as OpenAI writes it: `messages[0].role`. */
function paramOf(path: readonly PropertyKey[]): string | undefined {
  if (path.length === 0) return undefined;
  return path.map((step, at) => typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${String(step)}`).join(
    "",
  );
}
