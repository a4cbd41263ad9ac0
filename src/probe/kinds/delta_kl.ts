/**
 * `delta_kl`: does the adapter change what comes next? The mean divergence between base and adapter over some prompts.
 *
 * @module
 */

import * as z from "zod";
import { meanOf } from "../baseline.ts";
import { bootstrapInterval } from "../bootstrap.ts";
import { defineProbe } from "../define_probe.ts";
import { judge } from "../judge.ts";
import { divergences, NEXT_TOKEN_FIELDS, nextTokens } from "../next_tokens.ts";
import type { ProbeKind } from "../probe.ts";

/** Divergence of next-token distributions, JS or KL(base ‖ adapter), in nats; the more, the better. */
export const deltaKl: ProbeKind = defineProbe({
  kind: "delta_kl",
  category: "adherence",
  isCalibrated: true,
  fields: {
    ...NEXT_TOKEN_FIELDS,
    assert_mean_gte: z.number().default(0.02),
    assert_z_gte: z.number().default(3),
  },
  async run(config, context) {
    const { subject, seed } = context;
    const base = await nextTokens(subject.base, config, context);
    const adapted = await nextTokens(subject.adapter, config, context);
    const compared = await divergences(base, adapted, context);
    const perPrompt = compared.map((each) => each[config.divergence]);
    const raw = meanOf(perPrompt);
    const { evidence, ...judgement } = judge({
      raw,
      better: "higher",
      words: `mean ${config.divergence} = ${raw.toFixed(4)} nats`,
      leastZ: config.assert_z_gte,
      fixed: {
        passes: raw >= config.assert_mean_gte,
        words: `${raw >= config.assert_mean_gte ? "at least" : "below"} ${config.assert_mean_gte}`,
        // JS cannot be more than ln 2; KL has no end, and 1 nat is much.
        score: config.divergence === "js" ? raw / Math.LN2 : raw,
      },
    }, context);
    return {
      ...judgement,
      ci95: await bootstrapInterval(perPrompt, seed, context.pause),
      evidence: {
        divergence_kind: config.divergence,
        per_prompt: perPrompt,
        mean_js: meanOf(compared.map(({ js }) => js)),
        mean_kl: meanOf(compared.map(({ kl }) => kl)),
        max: Math.max(...perPrompt),
        num_prompts: perPrompt.length,
        ...evidence,
      },
    };
  },
});
