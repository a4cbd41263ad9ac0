/**
 * How far a number stands out from what noise comes to. An adapter that moves a model no farther than random matrices
 * of its shape has not been shown to do anything.
 *
 * @module
 */

/** What noise of one strength came to, seed by seed. */
export interface Baseline {
  /** What the noise's variance was multiplied by: 1 is as the adapter's own rank has it. */
  readonly rank: number;
  /** Mean over the seeds. */
  readonly mean: number;
  /** Standard deviation over the seeds, as of a whole population. At least {@link LEAST_DEVIATION}. */
  readonly std: number;
  /** How many seeds. */
  readonly n: number;
  /** The seeds agree too well, or are too few, to divide by what they differ in. */
  readonly degenerate: boolean;
  /** The numbers themselves. */
  readonly samples: readonly number[];
}

/** How a number compares with noise. */
export interface Standing {
  /** Standard deviations better than noise; `null` without a baseline to trust. */
  readonly zScore: number | null;
  /** The same by strength of the noise, when several were measured. */
  readonly byRank: Readonly<Record<string, number>> | null;
}

/** Below this a deviation is rounding, and z would be any number at all. */
export const LEAST_DEVIATION = 1e-6;

/** Sums up what seeds came to. `samples` is not empty. */
export function baselineOf(rank: number, samples: readonly number[]): Baseline {
  const mean = meanOf(samples);
  const std = Math.sqrt(meanOf(samples.map((sample) => (sample - mean) ** 2)));
  const degenerate = samples.length < 2 || std < LEAST_DEVIATION;
  return { rank, mean, std: Math.max(std, LEAST_DEVIATION), n: samples.length, degenerate, samples };
}

/**
 * Compares a number with noise.
 *
 * @param better Which numbers are better, so that a positive z always is.
 */
export function standing(raw: number, baselines: readonly Baseline[], better: "higher" | "lower"): Standing {
  const sign = better === "higher" ? 1 : -1;
  const zOf = ({ mean, std }: Baseline): number => sign * (raw - mean) / std;
  const sound = baselines.filter((baseline) => !baseline.degenerate && Number.isFinite(zOf(baseline)));
  const first = sound.find((baseline) => baseline === baselines[0]);
  return {
    zScore: first === undefined ? null : zOf(first),
    byRank: baselines.length < 2 || sound.length === 0
      ? null
      : Object.fromEntries(sound.map((baseline) => [rankName(baseline), zOf(baseline)])),
  };
}

/** The name of a strength of noise: `rank_0.50`. */
export function rankName({ rank }: Pick<Baseline, "rank">): string {
  return `rank_${rank.toFixed(2)}`;
}

/** A z-score as a score: the logistic function of a third of it, so 0 gives 0.5 and 3 gives 0.73. */
export function scoreOfZ(z: number): number {
  return 1 / (1 + Math.exp(-z / 3));
}

/** Arithmetic mean; `values` is not empty. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Baselines by the name of their probe, as reports have them. */
export function baselinesBody(baselines: ReadonlyMap<string, readonly Baseline[]>): Record<string, object> {
  const bodyOf = ({ mean, std, n, degenerate, samples }: Baseline): object => ({ mean, std, n, degenerate, samples });
  return Object.fromEntries([...baselines].map(([name, measured]) => {
    const byRank = Object.fromEntries(measured.map((each) => [rankName(each), bodyOf(each)]));
    return [name, { ...bodyOf(measured[0]!), ...measured.length < 2 ? {} : { by_rank: byRank } }];
  }));
}
