/**
 * What an answer says about itself: tokens, model, fingerprint; and how a bill for several samples is divided among
 * them. The prompt is paid once however many samples are asked for, so every sample carries it whole.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";

/** What an answer says about itself; `null` where it says nothing. */
export interface AnswerFacts {
  readonly modelAnswered: string | null;
  readonly fingerprint: string | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** Reads an answer of OpenAI's, Anthropic's or Gemini's shape, or a result of one of the AI SDK's models. */
export function readFacts(answer: unknown): AnswerFacts {
  const facts = isJsonObject(answer) ? answer : {};
  const usage = [facts.usage, facts.usageMetadata].find(isJsonObject) ?? {};
  const response = isJsonObject(facts.response) ? facts.response : {};
  return {
    modelAnswered: textOf(facts.model) ?? textOf(facts.modelVersion) ?? textOf(response.modelId),
    fingerprint: textOf(facts.system_fingerprint),
    promptTokens: promptTokens(usage),
    completionTokens: count(usage.completion_tokens) ?? count(usage.output_tokens) ?? candidateTokens(usage) ??
      total(usage.outputTokens),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Gemini counts its thoughts apart from what it said; all of it was bought. */
function candidateTokens(usage: JsonObject): number | null {
  const said = count(usage.candidatesTokenCount);
  return said === null ? null : said + (count(usage.thoughtsTokenCount) ?? 0);
}

/** Anthropic counts what its prompt cache read or wrote apart from `input_tokens`; all of it was prompt. */
function promptTokens(usage: JsonObject): number | null {
  const read = count(usage.cache_read_input_tokens) ?? 0;
  const written = count(usage.cache_creation_input_tokens) ?? 0;
  const input = count(usage.input_tokens);
  return count(usage.prompt_tokens) ?? count(usage.promptTokenCount) ?? total(usage.inputTokens) ??
    (input === null ? null : input + read + written);
}

/** The AI SDK has the sum beside its parts. */
function total(tokens: unknown): number | null {
  return isJsonObject(tokens) ? count(tokens.total) : null;
}

function count(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}

/**
 * Divides the usage of one call among its samples. Fields of the prompt stay whole, the others are divided (integers
 * into integers), so that {@link joinUsage} of all the parts gives the original back.
 */
export function splitUsage(usage: JsonObject, parts: number): JsonObject[] {
  return Array.from({ length: parts }, (_, index) => partOf(usage, index, parts));
}

function partOf(usage: JsonObject, index: number, parts: number): JsonObject {
  return mapValues(usage, (name, value) => {
    if (isPaidOnce(name)) return value;
    if (typeof value === "number") {
      const once = paidOnceWithin(usage, name);
      return once + share(value - once, index, parts);
    }
    return isJsonObject(value) ? partOf(value, index, parts) : value;
  });
}

/** The usage of one call that would have given all these samples: the prompt once, the rest added up. */
export function joinUsage(usages: readonly JsonObject[]): JsonObject {
  return mapValues(usages[0]!, (name, value) => {
    if (isPaidOnce(name)) return value;
    const values = usages.map((usage) => usage[name]);
    if (values.every((each) => typeof each === "number")) {
      const shares = values.map((each, index) => each - paidOnceWithin(usages[index]!, name));
      return paidOnceWithin(usages[0]!, name) + shares.reduce((sum, each) => sum + each, 0);
    }
    return values.every(isJsonObject) ? joinUsage(values) : value;
  });
}

function isPaidOnce(name: string): boolean {
  return name.startsWith("prompt") || name.startsWith("input");
}

/** The part of a number that belongs to the prompt: only a total has one. */
function paidOnceWithin(usage: JsonObject, name: string): number {
  return name === "total_tokens" ? count(usage.prompt_tokens) ?? count(usage.input_tokens) ?? 0 : 0;
}

function share(total: number, index: number, parts: number): number {
  if (Number.isSafeInteger(total)) {
    const each = Math.floor(total / parts);
    return each + (index < total - each * parts ? 1 : 0);
  }
  // The last one takes what the others, added in order, leave: that difference is exact (Sterbenz's lemma).
  const each = total / parts;
  if (index < parts - 1) return each;
  let others = 0;
  for (let other = 0; other < parts - 1; other++) others += each;
  return total - others;
}

function mapValues(object: JsonObject, map: (name: string, value: unknown) => unknown): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, map(name, value)]));
}
