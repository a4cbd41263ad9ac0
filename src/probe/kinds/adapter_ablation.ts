/**
 * `adapter_ablation`: how does the effect grow with the adapter's strength λ? A healthy adapter moves the model steadily,
 * is not spent long before λ = 1, and goes on moving it beyond.
 *
 * @module
 */

import * as z from "zod";
import { meanOf } from "../baseline.ts";
import { defineProbe } from "../define_probe.ts";
import { clamped } from "../judge.ts";
import { divergences, NEXT_TOKEN_FIELDS, nextTokens } from "../next_tokens.ts";
import type { ProbeKind } from "../probe.ts";

/** The share of the effect at λ = 1 at which the adapter counts as spent. */
const SATURATED = 0.9;

/** Nats; a mean divergence below it is rounding, and so has no shape. */
const LEAST_EFFECT = 1e-9;

/** The shape of the curve from λ to divergence: R² of a line, where it saturates, and what λ beyond 1 adds. */
export const adapterAblation: ProbeKind = defineProbe({
  kind: "adapter_ablation",
  category: "ablation",
  fields: {
    ...NEXT_TOKEN_FIELDS,
    lambdas: z.array(z.number().min(0).max(16)).min(3).max(64).default([0, 0.25, 0.5, 0.75, 1, 1.25]),
    assert_linearity_gte: z.number().default(0.85),
    assert_saturation_between: z.tuple([z.number(), z.number()]).default([0.3, 1.05]),
    assert_overshoot_gte: z.number().default(1.02),
  },
  check({ lambdas }, refuse) {
    const isSorted = lambdas.every((lambda, index) => index === 0 || lambda > lambdas[index - 1]!);
    if (!isSorted) refuse("lambdas", `they do not rise: ${lambdas.join(", ")}`);
    if (!lambdas.includes(1) || lambdas.at(-1)! <= 1) {
      refuse("lambdas", `1, and one above it, are needed to compare with: ${lambdas.join(", ")}`);
    }
  },
  async run(config, context) {
    const { lambdas } = config;
    const { scaled } = context.subject;
    if (scaled === undefined) {
      return { verdict: "skip", score: null, message: "there is no adapter on the same weights that could be scaled" };
    }
    const base = await nextTokens(context.subject.base, config, context);
    const curve: number[] = [];
    for (const lambda of lambdas) {
      const compared = await divergences(base, await nextTokens(scaled(lambda), config, context), context);
      curve.push(meanOf(compared.map((each) => each[config.divergence])));
    }
    const full = curve[lambdas.indexOf(1)]!;
    const moves = full > LEAST_EFFECT;
    const linearity = moves ? determination(lambdas, curve) : 0;
    const saturation = moves ? lambdas[curve.findIndex((effect) => effect >= SATURATED * full)]! : null;
    const overshoot = moves ? curve.at(-1)! / full : 1;
    const [low, high] = config.assert_saturation_between;
    const passed = {
      linearity: linearity >= config.assert_linearity_gte,
      saturation: saturation !== null && saturation >= low && saturation <= high,
      overshoot: overshoot >= config.assert_overshoot_gte,
    };
    return {
      verdict: passed.linearity && passed.saturation && passed.overshoot ? "pass" : "fail",
      // A line, the place of saturation and what lies beyond 1; 1.2 times the effect there is as good as more.
      score: 0.4 * clamped(linearity / Math.max(config.assert_linearity_gte, 1e-6)) +
        0.3 * (passed.saturation ? 1 : 0.3) + 0.3 * clamped((overshoot - 1) / 0.2),
      raw: linearity,
      message: `R² = ${linearity.toFixed(3)}, ` +
        (saturation === null ? "no effect to saturate" : `saturates at λ = ${saturation}`) +
        `, ${overshoot.toFixed(3)} times the effect at λ = ${lambdas.at(-1)}`,
      evidence: {
        lambdas,
        divergence_kind: config.divergence,
        mean_divergence_per_lambda: curve,
        linearity,
        saturation_lambda: saturation,
        overshoot,
        passed_linearity: passed.linearity,
        passed_saturation: passed.saturation,
        passed_overshoot: passed.overshoot,
      },
    };
  },
});

/** R² of the line of least squares. */
function determination(x: readonly number[], y: readonly number[]): number {
  const [meanX, meanY] = [meanOf(x), meanOf(y)];
  const together = meanOf(x.map((each, index) => (each - meanX) * (y[index]! - meanY)));
  const varianceX = meanOf(x.map((each) => (each - meanX) ** 2));
  const varianceY = meanOf(y.map((each) => (each - meanY) ** 2));
  return together ** 2 / (varianceX * varianceY);
}
