/**
 * How a request wants its tokens chosen: what it says itself, else what the model's generation config says, else
 * nothing that would change the model's distribution.
 *
 * @module
 */

import type { GenerateRequest } from "../backend.ts";
import { ModelError } from "../error.ts";
import type { LogitsProcessorOptions } from "./logits_processor.ts";
import type { SamplerOptions } from "./sampler.ts";

/** What a model's makers recommend, from its `generation_config.json`. */
export type SamplingDefaults = Pick<GenerateRequest, "temperature" | "topP" | "topK" | "minP" | "repetitionPenalty">;

/** Everything that decides which token comes next. */
export interface Sampling extends SamplerOptions, LogitsProcessorOptions {
  /** Nothing ends the answer before it has so many tokens. */
  readonly minTokens: number;
}

/** Neither sharpens nor flattens, leaves nothing out and favours nothing. */
const NEUTRAL = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 } as const;

/**
 * Fills in what a request leaves out.
 *
 * @throws ModelError `invalid_request` with the field at fault.
 */
export function resolveSampling(
  request: GenerateRequest,
  defaults: SamplingDefaults,
  vocabularySize: number,
): Sampling {
  const { seed, minTokens = 0, presencePenalty = 0, frequencyPenalty = 0, logitBias = [] } = request;
  const sampling = {
    temperature: request.temperature ?? defaults.temperature ?? NEUTRAL.temperature,
    topP: request.topP ?? defaults.topP ?? NEUTRAL.topP,
    topK: request.topK ?? defaults.topK ?? NEUTRAL.topK,
    minP: request.minP ?? defaults.minP ?? NEUTRAL.minP,
    repetitionPenalty: request.repetitionPenalty ?? defaults.repetitionPenalty ?? NEUTRAL.repetitionPenalty,
    presencePenalty,
    frequencyPenalty,
    logitBias,
    minTokens,
    seed,
  };
  check(sampling, vocabularySize);
  return sampling;
}

function check(sampling: Sampling, vocabularySize: number): void {
  const { temperature, topP, topK, minP, repetitionPenalty, presencePenalty, frequencyPenalty, minTokens } = sampling;
  refuseUnless(Number.isFinite(temperature) && temperature >= 0, "temperature", "0 or more", temperature);
  refuseUnless(topP > 0 && topP <= 1, "topP", "above 0 and at most 1", topP);
  refuseUnless(Number.isSafeInteger(topK) && topK >= 0, "topK", "a number of tokens", topK);
  refuseUnless(minP >= 0 && minP <= 1, "minP", "from 0 to 1", minP);
  refuseUnless(
    Number.isFinite(repetitionPenalty) && repetitionPenalty > 0,
    "repetitionPenalty",
    "above 0",
    repetitionPenalty,
  );
  refuseUnless(Math.abs(presencePenalty) <= 2, "presencePenalty", "from -2 to 2", presencePenalty);
  refuseUnless(Math.abs(frequencyPenalty) <= 2, "frequencyPenalty", "from -2 to 2", frequencyPenalty);
  refuseUnless(Number.isSafeInteger(minTokens) && minTokens >= 0, "minTokens", "a number of tokens", minTokens);
  refuseUnless(sampling.seed >>> 0 === sampling.seed, "seed", "an unsigned 32-bit integer", sampling.seed);
  for (const [id, bias] of sampling.logitBias) {
    const isKnown = Number.isInteger(id) && id >= 0 && id < vocabularySize;
    refuseUnless(isKnown, "logitBias", `by the ids of the model's ${vocabularySize} tokens`, id);
    refuseUnless(Math.abs(bias) <= 100, "logitBias", "from -100 to 100", bias);
  }
}

/**
 * Refuses a request for one of its fields.
 *
 * @throws ModelError `invalid_request` unless `valid`.
 */
export function refuseUnless(valid: boolean, parameter: string, wanted: string, value: unknown): asserts valid {
  if (valid) return;
  throw new ModelError("invalid_request", `${parameter} is not ${wanted}: ${JSON.stringify(value)}`, { parameter });
}
