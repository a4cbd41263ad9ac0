/**
 * The one place where it is decided whether a number is judged against noise or, where none was measured, against a
 * fixed threshold.
 *
 * @module
 */

import { scoreOfZ, standing } from "./baseline.ts";
import type { Finding, ProbeContext } from "./probe.ts";

/** A number to be judged. */
export interface Measured {
  readonly raw: number;
  readonly better: "higher" | "lower";
  /** What it is, for people: `mean js = 0.1234`. */
  readonly words: string;
  /** The least z-score that passes. */
  readonly leastZ: number;
  /** Without noise: whether it passes, why, and its score from 0 to 1. */
  readonly fixed: { readonly passes: boolean; readonly words: string; readonly score: number };
}

/** Judges a number. */
export function judge(
  { raw, better, words, leastZ, fixed }: Measured,
  { baselines }: Pick<ProbeContext, "baselines">,
): Pick<Finding, "verdict" | "score" | "raw" | "zScore" | "message"> & { readonly evidence: Record<string, unknown> } {
  const { zScore, byRank } = standing(raw, baselines, better);
  const evidence = byRank === null ? {} : { z_by_rank: byRank };
  if (zScore === null) {
    const why = baselines.length === 0 ? "not compared with noise" : "noise varies too little to compare with";
    return {
      verdict: fixed.passes ? "pass" : "fail",
      score: clamped(fixed.score),
      raw,
      zScore,
      message: `${words}, ${fixed.words} (${why})`,
      evidence,
    };
  }
  const passes = zScore >= leastZ;
  return {
    verdict: passes ? "pass" : "fail",
    score: scoreOfZ(zScore),
    raw,
    zScore,
    message: `${words}, z = ${signed(zScore, 2)} against noise (${passes ? "at least" : "below"} ${leastZ})`,
    evidence,
  };
}

/** A number brought into 0 to 1. */
export function clamped(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** A number with its sign. */
export function signed(value: number, digits: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(digits)}`;
}
