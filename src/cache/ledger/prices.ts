/**
 * What an answer costs: the contract that a price table has to meet, and what providers say of the tokens they bill,
 * read from their own answers. A cost that is not known is `null`, never 0: savings must not be made up.
 *
 * @module
 */

import type { MaybePromise } from "../../store/store.ts";
import { isJsonObject, type JsonObject } from "../json.ts";

/** One call to a provider, as far as its price depends on it. */
export interface PricedCall {
  /** Who was asked: `openai`, the name of a configured upstream, an origin. */
  readonly provider: string;
  /** The model the request named. */
  readonly modelAsked: string;
  /** The model the answer names; `null` when the provider did not say. */
  readonly modelAnswered: string | null;
  /** What was used. */
  readonly usage: BilledUsage;
  /** When the call was made, in milliseconds since 1970: prices change. */
  readonly created: number;
}

/** The price of a call in millionths of a US dollar, which may be fractional; `null` when it is not known. */
export type PriceOf = (call: PricedCall) => MaybePromise<number | null>;

/** What one call used, as its provider bills it. Counts the provider does not mention are 0. */
export interface BilledUsage {
  /** All tokens of the prompt, those counted below included. */
  readonly inputTokens: number;
  /** Of the prompt: read from the provider's own prompt cache. */
  readonly cacheReadTokens: number;
  /** Of the prompt: written to the provider's prompt cache, for however long. */
  readonly cacheWriteTokens: number;
  /** Of those written: to be kept for an hour, which Anthropic bills higher. */
  readonly hourCacheWriteTokens: number;
  /** Of the prompt: sound. */
  readonly inputAudioTokens: number;
  /** Of the prompt: sound read from the prompt cache, which is in `cacheReadTokens` and in `inputAudioTokens`. */
  readonly cacheReadAudioTokens: number;
  /** All tokens of the answer, those counted below and what the model thought before it included. */
  readonly outputTokens: number;
  /** Of the answer: thoughts. */
  readonly reasoningTokens: number;
  /** Of the answer: sound. */
  readonly outputAudioTokens: number;
  /** Of the answer: pictures. */
  readonly outputImageTokens: number;
  /** Searches of the web that the provider made and counted. */
  readonly webSearches: number;
  /** The rate the call was billed at, in the provider's word (`flex`, `priority`, `batch`, `fast`, …), or `standard`. */
  readonly rate: string;
  /** What the answer shows to be billed apart from tokens, in a way that it does not count; `null` when nothing. */
  readonly billedApart: string | null;
  /** What the provider says the call cost, in the unit in which it says so; `null` when it does not say. */
  readonly statedCost: number | null;
}

/**
 * Reads what an answer was billed for, in the shape of OpenAI's chat completions, completions, embeddings and responses,
 * of Anthropic's messages, of Gemini's generateContent, or in what the AI SDK passes on of these. `null` when it does not
 * say, or says what cannot be.
 *
 * @see https://platform.openai.com/docs/api-reference/chat/object
 * @see https://platform.claude.com/docs/en/api/messages
 * @see https://ai.google.dev/api/generate-content#UsageMetadata
 */
export function readBilledUsage(answer: unknown): BilledUsage | null {
  if (!isJsonObject(answer)) return null;
  const usage = readUsage(answer);
  return usage !== undefined && isConsistent(usage) ? usage : null;
}

function readUsage(answer: JsonObject): BilledUsage | undefined {
  const { usage, usageMetadata } = answer;
  if (isJsonObject(usageMetadata)) return geminiUsage(answer, usageMetadata);
  if (!isJsonObject(usage)) return undefined;
  if (isJsonObject(usage.raw)) return passedOnUsage(answer, usage.raw);
  if (!isGiven(usage.input_tokens)) {
    return isGiven(usage.prompt_tokens ?? usage.total_tokens) ? completionsUsage(answer, usage) : undefined;
  }
  return Array.isArray(answer.output) ? responsesUsage(answer, usage) : messagesUsage(answer, usage);
}

const NOTHING: BilledUsage = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  hourCacheWriteTokens: 0,
  inputAudioTokens: 0,
  cacheReadAudioTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  outputAudioTokens: 0,
  outputImageTokens: 0,
  webSearches: 0,
  rate: "standard",
  billedApart: null,
  statedCost: null,
};

/** Chat completions, completions and embeddings, and those who speak like them. */
function completionsUsage(answer: JsonObject, usage: JsonObject): BilledUsage {
  const input = member(usage, "prompt_tokens_details");
  const output = member(usage, "completion_tokens_details");
  const inputTokens = count(usage.prompt_tokens ?? usage.total_tokens);
  const completion = count(usage.completion_tokens);
  return {
    ...NOTHING,
    inputTokens,
    // DeepSeek and Moonshot have names of their own.
    cacheReadTokens: count(input.cached_tokens ?? usage.prompt_cache_hit_tokens ?? usage.cached_tokens),
    cacheWriteTokens: count(input.cache_write_tokens),
    inputAudioTokens: count(input.audio_tokens),
    // xAI, and Gemini in OpenAI's shape, leave thoughts out of the completion, but not out of the total.
    outputTokens: isGiven(usage.total_tokens)
      ? Math.max(completion, count(usage.total_tokens) - inputTokens)
      : completion,
    reasoningTokens: count(output.reasoning_tokens),
    outputAudioTokens: count(output.audio_tokens),
    rate: rateOf(answer.service_tier),
    // With a key of the caller's own, OpenRouter states its fee alone.
    billedApart: usage.is_byok === true ? "the caller's own key" : searchedWeb(answer) ? "web search" : null,
    statedCost: usage.is_byok === true ? null : statedCost(usage.cost),
  };
}

/** Items of a response that cost nothing but their tokens. Any other kind may be a tool that the provider bills. */
const UNBILLED_ITEMS: ReadonlySet<unknown> = new Set([
  "message",
  "reasoning",
  "compaction",
  "function_call",
  "custom_tool_call",
  "computer_call",
  "local_shell_call",
  "apply_patch_call",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_call",
]);

function responsesUsage(answer: JsonObject, usage: JsonObject): BilledUsage {
  const input = member(usage, "input_tokens_details");
  const output = member(usage, "output_tokens_details");
  const items = objectsIn(answer.output).map(({ type }) => type);
  return {
    ...NOTHING,
    inputTokens: count(usage.input_tokens),
    cacheReadTokens: count(input.cached_tokens),
    cacheWriteTokens: count(input.cache_write_tokens),
    outputTokens: count(usage.output_tokens),
    reasoningTokens: count(output.reasoning_tokens),
    rate: rateOf(answer.service_tier),
    billedApart: firstText(items.filter((type) => !UNBILLED_ITEMS.has(type))),
  };
}

function messagesUsage(answer: JsonObject, usage: JsonObject): BilledUsage {
  const cacheReadTokens = count(usage.cache_read_input_tokens);
  const cacheWriteTokens = count(usage.cache_creation_input_tokens);
  return {
    ...NOTHING,
    // Anthropic counts what its prompt cache read or wrote apart.
    inputTokens: count(usage.input_tokens) + cacheReadTokens + cacheWriteTokens,
    cacheReadTokens,
    cacheWriteTokens,
    hourCacheWriteTokens: count(member(usage, "cache_creation").ephemeral_1h_input_tokens),
    outputTokens: count(usage.output_tokens),
    reasoningTokens: count(member(usage, "output_tokens_details").thinking_tokens),
    webSearches: count(member(usage, "server_tool_use").web_search_requests),
    rate: rateOf(usage.service_tier, usage.speed, usage.inference_geo),
    billedApart: isGiven(answer.container) ? "code execution" : null,
  };
}

function geminiUsage(answer: JsonObject, usage: JsonObject): BilledUsage {
  const thoughts = count(usage.thoughtsTokenCount);
  const isGrounded = objectsIn(answer.candidates).some((candidate) => isGiven(candidate.groundingMetadata));
  return {
    ...NOTHING,
    inputTokens: count(usage.promptTokenCount) + count(usage.toolUsePromptTokenCount),
    cacheReadTokens: count(usage.cachedContentTokenCount),
    inputAudioTokens: ofModality(usage.promptTokensDetails, "AUDIO") +
      ofModality(usage.toolUsePromptTokensDetails, "AUDIO"),
    cacheReadAudioTokens: ofModality(usage.cacheTokensDetails, "AUDIO"),
    outputTokens: count(usage.candidatesTokenCount) + thoughts,
    reasoningTokens: thoughts,
    outputAudioTokens: ofModality(usage.candidatesTokensDetails, "AUDIO"),
    outputImageTokens: ofModality(usage.candidatesTokensDetails, "IMAGE"),
    rate: rateOf(usage.trafficType, usage.serviceTier),
    billedApart: isGrounded ? "grounding" : null,
  };
}

/** What the AI SDK passes on of a provider's bill, and what it tells of the rest of the answer. */
function passedOnUsage({ content, providerMetadata, response }: JsonObject, raw: JsonObject): BilledUsage | undefined {
  const isResponse = isGiven(raw.input_tokens_details);
  const usage = readUsage(
    isGiven(raw.promptTokenCount)
      ? { usageMetadata: raw }
      : { usage: raw, model: Object(response).modelId, ...(isResponse && { output: [] }) },
  );
  if (usage === undefined) return undefined;
  const parts = objectsIn(content);
  const hasTools = parts.some(({ type, providerExecuted }) => providerExecuted === true || type === "source");
  const tiers = Object.values(isJsonObject(providerMetadata) ? providerMetadata : {}).filter(isJsonObject);
  return {
    ...usage,
    rate: rateOf(usage.rate, ...tiers.flatMap(({ serviceTier, service_tier }) => [serviceTier, service_tier])),
    billedApart: usage.billedApart ?? (hasTools && usage.webSearches === 0 ? "a tool of the provider's" : null),
  };
}

/** Parts cannot exceed their wholes. NaN, which stands for what is no count, fails every comparison. */
function isConsistent(usage: BilledUsage): boolean {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
  return cacheReadTokens + cacheWriteTokens <= inputTokens && usage.hourCacheWriteTokens <= cacheWriteTokens &&
    usage.inputAudioTokens <= inputTokens &&
    usage.cacheReadAudioTokens <= Math.min(usage.inputAudioTokens, cacheReadTokens) &&
    usage.reasoningTokens <= outputTokens && usage.outputAudioTokens + usage.outputImageTokens <= outputTokens &&
    usage.webSearches >= 0;
}

/** 0 for what is not mentioned, NaN for what is no count. */
function count(value: unknown): number {
  if (!isGiven(value)) return 0;
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : NaN;
}

function ofModality(details: unknown, modality: string): number {
  const counts = objectsIn(details).filter((detail) => detail.modality === modality);
  return counts.reduce((sum, { tokenCount }) => sum + count(tokenCount), 0);
}

/** What providers call the rate that their price lists have. */
const STANDARD_RATES: ReadonlySet<string> = new Set([
  "standard",
  "default",
  "auto",
  "on_demand",
  "global",
  "not_available",
]);

/** The first word that names another rate than the standard one. */
function rateOf(...words: unknown[]): string {
  const named = words.filter((word) => typeof word === "string").map((word) => word.toLowerCase());
  return named.find((word) => word !== "" && !STANDARD_RATES.has(word)) ?? "standard";
}

/** OpenAI's models that search bill each search, without counting them. */
function searchedWeb(answer: JsonObject): boolean {
  if (typeof answer.model === "string" && answer.model.includes("-search-")) return true;
  const messages = objectsIn(answer.choices).map((choice) => member(choice, "message"));
  return messages.some(({ annotations }) => objectsIn(annotations).some(({ type }) => type === "url_citation"));
}

/** OpenRouter states a number, Perplexity an object with a total. */
function statedCost(cost: unknown): number | null {
  const stated = isJsonObject(cost) ? cost.total_cost : cost;
  return typeof stated === "number" && Number.isFinite(stated) && stated >= 0 ? stated : null;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function member(object: JsonObject, name: string): JsonObject {
  const value = object[name];
  return isJsonObject(value) ? value : {};
}

function objectsIn(list: unknown): JsonObject[] {
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}

function firstText(values: readonly unknown[]): string | null {
  return values.length === 0 ? null : String(values[0]);
}
