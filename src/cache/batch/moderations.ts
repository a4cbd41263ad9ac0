/**
 * Moderations, text by text. A batch is divided into its texts, each with a key and an answer of its own. Results carry
 * no index: they belong to texts by their order alone, so there has to be one for each.
 *
 * @see https://platform.openai.com/docs/api-reference/moderations
 * @module
 */

import {
  addUsage,
  type InputFault,
  inputLength,
  type InputList,
  listedInputs,
  shareUsage,
  singleInput,
} from "./inputs.ts";
import { isJsonObject, type JsonObject } from "../json.ts";

/** An answer, divided among the inputs it was asked for. */
export interface ModerationsAnswer {
  /** For each input the answer that a call for it alone would have got: one result, and its part of the usage, if any. */
  readonly answers: readonly JsonObject[];
}

/**
 * Divides a request into its texts; a text that appears twice is one item at two places. A list of parts (objects with a
 * `type`: text, images) is one input. `undefined` for any other `input`: such a request is keyed whole.
 */
export function splitModerations(body: JsonObject): InputList | undefined {
  const { input } = body;
  if (typeof input === "string") return singleInput(body);
  if (!Array.isArray(input) || input.length === 0) return undefined;
  if (input.every(isPart)) return singleInput(body);
  return input.every((text) => typeof text === "string") ? listedInputs(body, input) : undefined;
}

/** Reads an answer to a request for these items, together or the only one. Another number of results is a fault. */
export function readModerations(answer: unknown, items: readonly JsonObject[]): ModerationsAnswer | InputFault {
  if (!isJsonObject(answer) || !Array.isArray(answer.results)) return { fault: "it has no list of results" };
  const { results, usage } = answer;
  if (results.length !== items.length) return { fault: `it has ${results.length} results for ${items.length} inputs` };
  if (!results.every(isJsonObject)) return { fault: "a result is no object" };
  const usages = isJsonObject(usage) ? shareUsage(usage, items.map(inputLength)) : undefined;
  return {
    answers: results.map((result, index) => ({
      ...answer,
      results: [result],
      ...(usages && { usage: usages[index] }),
    })),
  };
}

/**
 * The answer to a whole request, from the answer of each of its items; the first one gives the id. `undefined` when
 * other models answered: one answer names one model; and when one, stored as the answer to a request for that item alone,
 * does not have one result. Then all have to be bought anew.
 */
export function joinModerations(request: InputList, answers: readonly unknown[]): JsonObject | undefined {
  if (!answers.every(hasOneResult) || new Set(answers.map(({ model }) => model)).size > 1) return undefined;
  const usages = answers.map(({ usage }) => usage).filter(isJsonObject);
  const { usage: _, ...rest } = answers[0]!;
  return {
    ...rest,
    results: request.places.flatMap((item) => answers[item]!.results),
    // Half a bill would pass for the whole one.
    ...(usages.length === answers.length && { usage: addUsage(usages) }),
  };
}

function hasOneResult(answer: unknown): answer is JsonObject & { readonly results: readonly [JsonObject] } {
  if (!isJsonObject(answer) || !Array.isArray(answer.results)) return false;
  return answer.results.length === 1 && isJsonObject(answer.results[0]);
}

function isPart(value: unknown): boolean {
  return isJsonObject(value) && typeof value.type === "string";
}
