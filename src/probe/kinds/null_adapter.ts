/**
 * `null_adapter`: what do the other probes come to when noise stands in the adapter's place? It judges nothing. It runs
 * each calibrated probe after it on that probe's own questions, so that noise and adapter are measured alike, and hands
 * mean and standard deviation on, from which their z-scores are made.
 *
 * @module
 */

import * as z from "zod";
import { type Baseline, baselineOf, baselinesBody } from "../baseline.ts";
import { defineProbe } from "../define_probe.ts";
import type { Probe, ProbeContext, ProbeKind } from "../probe.ts";
import { rethrowEnding } from "../endings.ts";
import { sound } from "../sound.ts";
import type { Subject } from "../subject.ts";

const OTHER_KINDS = [
  "delta_kl",
  "adapter_revert",
  "preference_flip",
  "external_perplexity",
  "adapter_ablation",
] as const;

/** Measures noise, so that the probes after it can say how far they stand out. */
export const nullAdapter: ProbeKind = defineProbe({
  kind: "null_adapter",
  category: "baseline",
  fields: {
    runs: z.number().int().min(1).max(10).default(3),
    init_scale: z.number().positive().default(0.02),
    seed_base: z.number().int().min(0).max(2 ** 32 - 10).default(1000),
    rank_multipliers: z.array(z.number().positive()).min(1).max(10).default([1]),
    calibrate_kinds: z.array(z.enum(OTHER_KINDS)).max(OTHER_KINDS.length).default([]),
  },
  async run({ runs, init_scale, seed_base, rank_multipliers, calibrate_kinds }, context) {
    const { later, subject: { noise } } = context;
    if (noise === undefined) {
      return {
        verdict: "skip",
        score: null,
        message: "there is no adapter on the same weights whose shape noise could have; thresholds are fixed ones",
      };
    }
    const isWanted = ({ enabled, kind }: Probe): boolean =>
      enabled && (calibrate_kinds.length === 0 || calibrate_kinds.some((wanted) => wanted === kind));
    const wanted = later.filter(isWanted);
    const measured = wanted.filter(({ isCalibrated }) => isCalibrated).map((probe) => new NoiseOf(probe));
    for (const rank of rank_multipliers) {
      for (let seed = seed_base; seed < seed_base + runs; seed++) {
        // All probes meet one noise before the next one is made: it is as large as the adapter.
        const adapter = noise({ seed, initScale: init_scale, rankScale: rank });
        for (const each of measured) await each.measure(rank, { ...context.subject, adapter }, context);
      }
    }
    const summed = measured.map((each) => [each, each.baselines(rank_multipliers)] as const);
    const baselines = new Map(summed.flatMap(([{ probe }, some]) => some === undefined ? [] : [[probe.name, some]]));
    const skipped = [
      ...wanted.filter(({ isCalibrated }) => !isCalibrated).map((probe) =>
        skip(probe, "noise gives its number no meaning")
      ),
      ...summed.flatMap(([{ probe, problem }, some]) => some === undefined ? [skip(probe, problem)] : []),
    ];
    return {
      verdict: "pass",
      score: 1,
      baselines,
      message: `noise of ${runs} seeds for ${baselines.size} of ${later.length} later probes`,
      evidence: {
        null_stats: baselinesBody(baselines),
        skipped_probes: skipped,
        runs,
        init_scale,
        seed_base,
        rank_multipliers,
      },
    };
  },
});

/** What one probe comes to with noise for an adapter. */
class NoiseOf {
  readonly probe: Probe;
  /** Why it had no number, the first time that it had none. */
  problem = "";
  readonly #samples = new Map<number, number[]>();

  constructor(probe: Probe) {
    this.probe = probe;
  }

  /** Takes a sample of noise of one strength. */
  async measure(rank: number, subject: Subject, context: ProbeContext): Promise<void> {
    try {
      const { raw, message } = sound(await this.probe.run({ ...context, subject, baselines: [], later: [] }));
      if (typeof raw === "number") this.#samples.set(rank, [...this.#samples.get(rank) ?? [], raw]);
      else this.problem ||= message;
    } catch (error) {
      rethrowEnding(error, context.signal);
      this.problem ||= (error as Error).message;
    }
  }

  /** What noise came to, by strength; `undefined` where it came to nothing in the first one, which z-scores go by. */
  baselines(ranks: readonly number[]): readonly Baseline[] | undefined {
    if (!this.#samples.has(ranks[0]!)) return undefined;
    return ranks.filter((rank) => this.#samples.has(rank)).map((rank) => baselineOf(rank, this.#samples.get(rank)!));
  }
}

function skip({ name, kind }: Probe, reason: string): object {
  return { name, kind, reason };
}
