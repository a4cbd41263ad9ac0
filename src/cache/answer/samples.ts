/**
 * A response with several choices is several samples of one request. They are stored apart, so that ten that are there
 * and ten that are bought make twenty.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { endpointKind } from "../request/ignore_list.ts";
import { joinUsage, splitUsage } from "./usage.ts";

/** How many choices a request asks for, and how they divide. */
export interface SampleShape {
  /** Samples asked for: the body's `n` where the endpoint has one, else 1. */
  readonly samples: number;
  /** Prompts answered together; only completions have more than one. A sample has a choice for each. */
  readonly prompts: number;
  /** The provider would repeat itself, or ranks its choices: samples of two calls must not be mixed. */
  readonly fixed: boolean;
}

/** The shape of an answer that does not divide. */
export const ONE_SAMPLE: SampleShape = { samples: 1, prompts: 1, fixed: false };

/**
 * How a request's answer divides.
 *
 * @throws TypeError when `n` is no positive integer.
 */
export function sampleShape(endpoint: string, body: JsonObject): SampleShape {
  const kind = endpointKind(endpoint);
  if (kind !== "chat_completions" && kind !== "completions") return ONE_SAMPLE;
  const samples = body.n ?? 1;
  if (!Number.isSafeInteger(samples) || (samples as number) < 1) {
    throw new TypeError(`Cannot look for samples (n has to be a positive integer): ${JSON.stringify(samples)}`);
  }
  const prompts = kind === "completions" ? promptCount(body.prompt) : 1;
  return { samples: samples as number, prompts, fixed: isFixed(body) };
}

/** The shape of a request for so many samples, whatever its body says, and whatever its endpoint knows of samples. */
export function manySamples(endpoint: string, body: JsonObject, samples: number): SampleShape {
  return { ...sampleShape(endpoint, { ...body, n: 1 }), samples, fixed: isFixed(body) };
}

/** OpenAI's names, and where Mistral (`random_seed`), Gemini (`generationConfig`) and Ollama (`options`) say the same. */
function isFixed(body: JsonObject): boolean {
  return repeats(body) || repeats(body.generationConfig) || repeats(body.options);
}

function repeats(place: unknown): boolean {
  return isJsonObject(place) && (isSet(place.seed) || isSet(place.random_seed) || isSet(place.best_of));
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A list of texts or of token lists is as many prompts; a text, or one list of tokens, is one. */
function promptCount(prompt: unknown): number {
  return Array.isArray(prompt) && prompt.length > 0 && typeof prompt[0] !== "number" ? prompt.length : 1;
}

/**
 * Divides an answer into samples, each as a call with n = 1 would have answered. An answer that is one sample comes back
 * itself, untouched. `undefined` when its choices do not cover every prompt, so that nobody can say which is whose.
 */
export function splitAnswer(answer: JsonObject, shape: SampleShape): JsonObject[] | undefined {
  const choices = choicesOf(answer);
  const { prompts } = shape;
  if (prompts === 1) {
    if (choices.length <= 1) return [answer];
  } else {
    if (choices.length !== prompts * shape.samples || !isNumberedThrough(choices)) return undefined;
    if (shape.samples === 1) return [answer];
  }
  const ordered = inOrder(choices);
  const samples = choices.length / prompts;
  const usages = isJsonObject(answer.usage) ? splitUsage(answer.usage, samples) : undefined;
  return Array.from({ length: samples }, (_, sample) => ({
    ...answer,
    choices: Array.from({ length: prompts }, (_, index) => ({ ...ordered[index * samples + sample], index })),
    ...(usages && { usage: usages[sample] }),
  }));
}

/** Puts samples together as one call for all of them would have answered; the first one gives id, time and model. */
export function joinAnswers(samples: readonly JsonObject[]): JsonObject {
  const lists = samples.map((sample) => inOrder(choicesOf(sample)));
  const prompts = Math.max(...lists.map((list) => list.length));
  const ofPrompt = (prompt: number): JsonObject[] => lists.flatMap((list) => list.slice(prompt, prompt + 1));
  const choices = Array.from({ length: prompts }, (_, prompt) => ofPrompt(prompt)).flat();
  const usages = samples.map((sample) => sample.usage).filter(isJsonObject);
  const { usage: _, ...rest } = samples[0]!;
  return {
    ...rest,
    choices: choices.map((choice, index) => ({ ...choice, index })),
    // Half a bill would pass for the whole one.
    ...(usages.length === samples.length && { usage: joinUsage(usages) }),
  };
}

function choicesOf(answer: JsonObject): JsonObject[] {
  return Array.isArray(answer.choices) ? answer.choices.filter(isJsonObject) : [];
}

/** Choices by `index`; as they came when the provider did not number them. */
function inOrder(choices: readonly JsonObject[]): JsonObject[] {
  const numbers = new Set(choices.map(({ index }) => index).filter(Number.isSafeInteger));
  if (numbers.size !== choices.length) return [...choices];
  return choices.toSorted((a, b) => (a.index as number) - (b.index as number));
}

function isNumberedThrough(choices: readonly JsonObject[]): boolean {
  return inOrder(choices).every(({ index }, at) => index === at);
}
