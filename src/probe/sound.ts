/**
 * The last look at a finding before it is believed: JSON knows no NaN, and a verdict on one would be about nothing.
 *
 * @module
 */

import type { Finding } from "./probe.ts";

const NUMBERS = ["score", "raw", "zScore", "baseValue", "ftValue"] as const;

/** A finding whose numbers are finite. Without its own number it is an `error`; other numbers are left out, and named. */
export function sound(finding: Finding): Finding {
  const broken = NUMBERS.filter((name) => typeof finding[name] === "number" && !Number.isFinite(finding[name]));
  if (broken.length === 0) return finding;
  const values = Object.fromEntries(broken.map((name) => [name, String(finding[name])]));
  if (broken.includes("raw")) {
    return {
      verdict: "error",
      score: null,
      message: `its number is not finite: ${finding.raw}`,
      evidence: { ...finding.evidence, non_finite: values },
    };
  }
  const without = Object.fromEntries(broken.map((name) => [name, null]));
  return { ...finding, ...without, evidence: { ...finding.evidence, non_finite: values } };
}
