/** What every side is asked, in ids: the same for all, so that their answers can be compared. */

import type { BenchModel } from "./model.ts";
import { seededRandom } from "../../tests/support/random.ts";

/** How much to ask. */
export interface Workload {
  /** Ids whose log-probabilities are compared before any figure is believed. */
  readonly checked: readonly number[];
  /** Tokens of a prompt. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** How often each is repeated within a process; the median counts. */
  readonly repetitions: number;
}

/** The workload for a model: small where the model is. */
export function workloadOf({ size, shape }: BenchModel): Workload {
  const tiny = size === "tiny";
  return {
    checked: randomIds(shape.vocabulary, 24, 1),
    promptTokens: tiny ? 16 : 512,
    answerTokens: tiny ? 4 : 64,
    repetitions: tiny ? 1 : 5,
  };
}

/** Ids of a prompt; another number gives another prompt. */
export function randomIds(vocabulary: number, count: number, seed: number): number[] {
  const random = seededRandom(seed);
  // The first ids are special ones.
  return Array.from({ length: count }, () => 10 + Math.floor(random() * (vocabulary - 10)));
}

/** What a side found out. Times in milliseconds, speeds in tokens per second. */
export interface SideFigures {
  /** Of each checked token after the first. */
  readonly logprobs: readonly number[];
  readonly figures: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, string>>;
}
