/**
 * What a probe is: a kind with a checked configuration, which asks a subject and judges what it hears.
 *
 * @module
 */

import type { Baseline } from "./baseline.ts";
import type { Subject } from "./subject.ts";

/** What a probe came to. `warn`: too little to decide on; `skip`: it cannot be asked here; `error`: it failed. */
export type Verdict = "pass" | "fail" | "warn" | "skip" | "error";

/** What a probe is about; each has its weight in the score. `baseline` only measures noise. */
export type Category = "adherence" | "attribution" | "calibration" | "ablation" | "baseline";

/** What a probe has found, before anybody has timed it or given it a name. */
export interface Finding {
  /** What was found. */
  readonly verdict: Verdict;
  /** From 0 to 1; `null` for what has not judged. */
  readonly score: number | null;
  /** The number itself, in the probe's own unit. */
  readonly raw?: number | null;
  /** How many standard deviations better than noise. */
  readonly zScore?: number | null;
  /** The same number of the base alone. */
  readonly baseValue?: number | null;
  /** The same number of the other side. */
  readonly ftValue?: number | null;
  /** Bootstrap interval of `raw`. */
  readonly ci95?: readonly [number, number] | null;
  /** JSON: what the number was made of. */
  readonly evidence?: Readonly<Record<string, unknown>>;
  /** One line for people. */
  readonly message: string;
  /** What noise came to, by the name of the probe it was measured for; only `null_adapter` has them. */
  readonly baselines?: ReadonlyMap<string, readonly Baseline[]>;
}

/** What a probe may use. */
export interface ProbeContext {
  readonly subject: Subject;
  /** Unsigned 32-bit integer that all chance comes from. */
  readonly seed: number;
  /** How many of the likeliest tokens to compare, where the probe does not say. */
  readonly topK: number;
  readonly signal: AbortSignal | undefined;
  /** What noise came to in this very probe, as trained first; empty when nobody measured it. */
  readonly baselines: readonly Baseline[];
  /** The probes that come after this one. */
  readonly later: readonly Probe[];
  /** To be awaited between long calculations: others get their turn, and an aborted suite ends. */
  readonly pause: () => Promise<void>;
}

/** A configured probe. */
export interface Probe {
  /** Unique in its suite. */
  readonly name: string;
  readonly kind: string;
  readonly category: Category;
  readonly enabled: boolean;
  /** Its weight among the probes of its category. */
  readonly weight: number;
  /** Whether noise in the adapter's place gives its number a meaning. */
  readonly isCalibrated: boolean;
  /** Checks what only the subject can know, before anything is loaded. Rejects with a {@link ./spec_error.ts SpecError}. */
  prepare(subject: Subject): Promise<void>;
  /** Rejects when it cannot come to a finding. */
  run(context: ProbeContext): Promise<Finding>;
}

/** A kind of probe, as `suite[].kind` names it. */
export interface ProbeKind {
  readonly kind: string;
  /** Makes a probe of an entry of a suite, which stands at `at`. */
  plan(entry: unknown, at: readonly PropertyKey[]): Probe;
}
