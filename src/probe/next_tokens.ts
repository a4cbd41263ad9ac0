/**
 * How far two views' next-token distributions are apart, prompt by prompt: what several probes measure.
 *
 * @module
 */

import * as z from "zod";
import type { NextToken } from "../model/backend.ts";
import { type Divergence, divergence } from "./divergence.ts";
import type { ProbeContext } from "./probe.ts";
import type { Respondent } from "./subject.ts";

/** Fields of probes that compare next-token distributions. */
export const NEXT_TOKEN_FIELDS: {
  readonly prompts: z.ZodArray<z.ZodString>;
  readonly divergence: z.ZodDefault<z.ZodEnum<{ js: "js"; kl: "kl" }>>;
  readonly top_k: z.ZodOptional<z.ZodNullable<z.ZodNumber>>;
} = {
  prompts: z.array(z.string().min(1)).min(1).max(1000),
  divergence: z.enum(["js", "kl"]).default("js"),
  top_k: z.number().int().min(1).max(8192).nullish(),
};

/** How to measure. */
export interface NextTokenMeasure {
  readonly prompts: readonly string[];
  /** How many of the likeliest tokens to compare one by one; `undefined` or `null`: as the suite says. */
  readonly top_k?: number | null | undefined;
}

/** The next-token distributions of a view after some prompts, none of which is without any content. */
export async function nextTokens(
  respondent: Respondent,
  { prompts, top_k }: NextTokenMeasure,
  { topK, signal }: Pick<ProbeContext, "topK" | "signal">,
): Promise<readonly NextToken[]> {
  const questions = prompts.map((text) => {
    return { kind: "nextToken", prompt: { text }, options: { topK: top_k ?? topK } } as const;
  });
  const answers = await respondent.score(questions, signal);
  for (const [index, answer] of answers.entries()) refuseUniform(answer, prompts[index]!);
  return answers;
}

/** Compares what two views answered, prompt by prompt; divergences are of the first from the second. */
export async function divergences(
  base: readonly NextToken[],
  other: readonly NextToken[],
  { pause }: Pick<ProbeContext, "pause">,
): Promise<readonly Divergence[]> {
  const compared: Divergence[] = [];
  for (const [index, answer] of base.entries()) {
    compared.push(divergence(answer, other[index]!));
    await pause();
  }
  return compared;
}

/**
 * A model whose weights are all zero, or that lost them, finds every token equally likely: a difference from such a
 * distribution says nothing about an adapter.
 *
 * @throws RangeError
 */
export function refuseUniform({ logprobs, ids, vocabularySize, tailLogprob }: NextToken, prompt: string): void {
  // Of how many tokens there are, an endpoint's answer tells only that it has named so many.
  if ((vocabularySize ?? ids.length) < 2 || logprobs.some((logprob) => logprob !== logprobs[0])) return;
  const unnamed = vocabularySize === null ? 0 : vocabularySize - ids.length;
  const rest = unnamed === 0 || tailLogprob === null ? logprobs[0]! : tailLogprob - Math.log(unnamed);
  if (Math.abs(rest - logprobs[0]!) > 1e-9) return;
  throw new RangeError(`Every token is equally likely, so the model is broken: after ${JSON.stringify(prompt)}`);
}
