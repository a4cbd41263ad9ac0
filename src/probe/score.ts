/**
 * One number for a suite: the weighted mean of its categories, each the weighted mean of its probes. Whatever was not
 * judged (skipped, failed to run, not among the probes) takes no part, and a suite that judged nothing has no score.
 *
 * @module
 */

import type { Category, Verdict } from "./probe.ts";

/** What each category counts. */
export type Weights = Readonly<Record<Category, number>>;

/** dlm-sway's weights. `baseline` only measures noise. */
export const DEFAULT_WEIGHTS: Weights = {
  adherence: 0.3,
  attribution: 0.35,
  calibration: 0.2,
  ablation: 0.15,
  baseline: 0,
};

/** No probe and no category can count more: sums of larger numbers would be infinite. */
export const MOST_WEIGHT = 1e6;

/**
 * A score in a word: below 0.3 the adapter cannot be told from noise, below 0.6 it took in part, up to 0.85 it is
 * healthy; above, it is too good not to be looked at: it may have learnt its data by heart.
 */
export type Band = "noise" | "partial" | "healthy" | "suspicious";

/** As much of a probe's result as the score needs. */
export interface Scored {
  readonly name: string;
  readonly kind: string;
  readonly category: Category;
  readonly verdict: Verdict;
  readonly score: number | null;
  readonly weight: number;
  readonly message: string;
}

/** The score of a suite. */
export interface Score {
  /** From 0 to 1; `null` when nothing was judged. */
  readonly overall: number | null;
  /** {@link Score.overall} in a word. */
  readonly band: Band | null;
  /** By category; `null` where nothing was judged. */
  readonly components: Readonly<Record<Category, number | null>>;
  /** What each category counts. */
  readonly weights: Weights;
  /** What to look at first, for people; five at most. */
  readonly findings: readonly string[];
}

/** Sums up the results of a suite. */
export function scoreOf(results: readonly Scored[], weights: Weights): Score {
  const judged = results.filter(({ verdict, score }) => verdict !== "skip" && verdict !== "error" && score !== null);
  const categories = Object.keys(weights) as Category[];
  const components = Object.fromEntries(categories.map((category) => {
    const own = judged.filter((result) => result.category === category);
    return [category, weightedMean(own.map(({ score, weight }) => [score!, weight]))];
  })) as Record<Category, number | null>;
  const present = categories.filter((category) => components[category] !== null);
  const overall = weightedMean(present.map((category) => [components[category]!, weights[category]]));
  return {
    overall,
    band: overall === null ? null : bandOf(overall),
    components,
    weights,
    findings: findingsOf(results, components),
  };
}

/** The band a score lies in. */
export function bandOf(score: number): Band {
  if (score < 0.3) return "noise";
  if (score < 0.6) return "partial";
  return score <= 0.85 ? "healthy" : "suspicious";
}

/** `null` where all weights are 0, too. */
function weightedMean(values: readonly (readonly [value: number, weight: number])[]): number | null {
  const total = values.reduce((sum, [, weight]) => sum + weight, 0);
  return total === 0 ? null : values.reduce((sum, [value, weight]) => sum + value * weight, 0) / total;
}

function findingsOf(results: readonly Scored[], components: Score["components"]): string[] {
  const of = (verdict: Verdict): string[] =>
    results.filter((result) => result.verdict === verdict).map(({ name, message }) => `${name}: ${message}`);
  const errors = of("error").map((finding) => `could not be run: ${finding}`);
  const failures = of("fail").map((finding) => `failed: ${finding}`);
  const low = Object.entries(components).filter(([, score]) => score !== null && score < 0.3).map(
    ([category, score]) => `${category} is no better than noise: ${score!.toFixed(2)}`,
  );
  return [...errors, ...failures, ...low].slice(0, 5);
}
