/**
 * `preference_flip`: does the adapter prefer what it was taught to prefer? Of the pairs that the base ranks wrongly, the
 * share that the adapter ranks rightly.
 *
 * @module
 */

import * as z from "zod";
import { ModelError } from "../../model/error.ts";
import { meanOf } from "../baseline.ts";
import { bootstrapInterval } from "../bootstrap.ts";
import { defineProbe } from "../define_probe.ts";
import { rethrowEnding } from "../endings.ts";
import { clamped, judge, signed } from "../judge.ts";
import type { ProbeContext, ProbeKind } from "../probe.ts";
import type { Respondent } from "../subject.ts";

const triple = z.strictObject({ prompt: z.string().min(1), chosen: z.string().min(1), rejected: z.string().min(1) });
type Triple = z.output<typeof triple>;

/** How much likelier the chosen answer is than the rejected one, in nats, by either side. */
interface Margins {
  readonly base: number;
  readonly adapted: number;
}

/** The share of wrongly ranked pairs that the adapter turns round; the more, the better. */
export const preferenceFlip: ProbeKind = defineProbe({
  kind: "preference_flip",
  category: "attribution",
  isCalibrated: true,
  fields: {
    triples: z.array(triple).max(1000).default([]),
    assert_flip_rate_gte: z.number().min(0).max(1).default(0.7),
    assert_z_gte: z.number().default(3),
    min_triples_for_decision: z.number().int().min(1).default(3),
  },
  async run({ triples, assert_flip_rate_gte, assert_z_gte, min_triples_for_decision }, context) {
    if (triples.length === 0) return { verdict: "skip", score: null, message: "there are no triples to rank" };
    const { margins, dropped } = await measure(triples, context);
    const drops = { total: triples.length, dropped_triples: dropped.length, dropped_reasons: dropped.slice(0, 5) };
    if (margins.length === 0) {
      return {
        verdict: "error",
        score: null,
        message: `none of the triples can be ranked: ${dropped[0]}`,
        evidence: drops,
      };
    }
    const values = {
      baseValue: meanOf(margins.map(({ base }) => base)),
      ftValue: meanOf(margins.map(({ adapted }) => adapted)),
    };
    const changes = margins.map(({ base, adapted }) => adapted - base);
    const wrong = margins.filter(({ base }) => base < 0);
    const flips: number[] = wrong.map(({ adapted }) => adapted > 0 ? 1 : 0);
    const flipped = flips.filter((flip) => flip === 1).length;
    const evidence = { ...drops, base_wrong: wrong.length, flipped, mean_margin_delta: meanOf(changes) };
    if (wrong.length < min_triples_for_decision) {
      // Too few to turn round: how the margins moved is told, and not judged.
      const raw = meanOf(changes);
      return {
        verdict: "warn",
        score: clamped(0.5 + raw / 4),
        raw,
        ...values,
        ci95: await bootstrapInterval(changes, context.seed, context.pause),
        evidence,
        message: `the base ranks only ${wrong.length} wrongly, and ${min_triples_for_decision} are needed to decide; ` +
          `mean change of the margin ${signed(raw, 3)} nats`,
      };
    }
    const raw = flipped / wrong.length;
    const { evidence: ranks, ...judgement } = judge({
      raw,
      better: "higher",
      words: `flip rate = ${raw.toFixed(3)} (${flipped} of ${wrong.length} that the base ranks wrongly)`,
      leastZ: assert_z_gte,
      fixed: {
        passes: raw >= assert_flip_rate_gte,
        words: `${raw >= assert_flip_rate_gte ? "at least" : "below"} ${assert_flip_rate_gte}`,
        score: assert_flip_rate_gte === 0 ? 1 : raw / assert_flip_rate_gte,
      },
    }, context);
    return {
      ...judgement,
      ...values,
      ci95: await bootstrapInterval(flips, context.seed, context.pause),
      evidence: { flip_rate: raw, ...evidence, ...ranks },
    };
  },
});

/** The margins of all triples that both sides can rank, and why the others cannot be. */
async function measure(
  triples: readonly Triple[],
  { subject, signal }: ProbeContext,
): Promise<{ readonly margins: readonly Margins[]; readonly dropped: readonly string[] }> {
  const both = async (some: readonly Triple[]): Promise<Margins[]> => {
    const base = await marginsOf(subject.base, some, signal);
    const adapted = await marginsOf(subject.adapter, some, signal);
    return base.map((margin, index) => ({ base: margin, adapted: adapted[index]! }));
  };
  try {
    return { margins: await both(triples), dropped: [] };
  } catch (error) {
    rethrowUnlessTriples(error, signal);
  }
  // One triple that is too long, or makes no token, must not take the others with it: they are asked one by one.
  const margins: Margins[] = [];
  const dropped: string[] = [];
  for (const one of triples) {
    try {
      margins.push(...await both([one]));
    } catch (error) {
      rethrowUnlessTriples(error, signal);
      dropped.push(`${JSON.stringify(one.prompt.slice(0, 40))}: ${(error as Error).message}`);
    }
  }
  return { margins, dropped };
}

function rethrowUnlessTriples(error: unknown, signal: AbortSignal | undefined): void {
  rethrowEnding(error, signal);
  const isTriples = error instanceof ModelError && ["invalid_request", "prompt_too_long"].includes(error.code);
  if (!isTriples) throw error;
}

async function marginsOf(
  respondent: Respondent,
  triples: readonly Triple[],
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const questions = triples.flatMap(({ prompt: text, chosen, rejected }) =>
    [chosen, rejected].map((completion) => ({ kind: "logprobs", prompt: { text }, completion }) as const)
  );
  const answers = await respondent.score(questions, signal);
  return triples.map((_, index) => answers[2 * index]!.total - answers[2 * index + 1]!.total);
}
