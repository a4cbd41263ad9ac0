/**
 * The report of a suite as JSON, in the daemon's own words (dlm-sway's `schema_version` 1), so that what reads its
 * reports reads these.
 *
 * @module
 */

import { baselinesBody } from "./baseline.ts";
import type { Category, Verdict } from "./probe.ts";
import type { ProbeResult, SuiteResult } from "./run_suite.ts";
import type { Band } from "./score.ts";

/** What a report says besides what the suite came to. */
export interface ReportFacts {
  readonly version: string;
  /** Where the suite came from. */
  readonly specPath: string;
  readonly baseModel: string;
  /** Empty when no adapter was compared. */
  readonly adapter: string;
  /** Content identities of both sides. */
  readonly identities: { readonly base: string; readonly ft: string };
  /** Whether the device gives the same bits each time. */
  readonly isExact: boolean;
  /** What running it took. */
  readonly backendStats: Readonly<Record<string, number | null>>;
}

/** One probe in a report. */
export interface ProbeReport {
  /** What the suite calls it. */
  readonly name: string;
  /** Which probe it is. */
  readonly kind: string;
  /** What it came to. */
  readonly verdict: Verdict;
  /** 0 to 1; `null` when it gave none. */
  readonly score: number | null;
  /** What was measured, in the unit of the probe. */
  readonly raw: number | null;
  /** How far that is from the null adapters, in their standard deviations. */
  readonly z_score: number | null;
  /** What was measured of the base. */
  readonly base_value: number | null;
  /** What was measured of the other side. */
  readonly ft_value: number | null;
  /** What the verdict rests on, by kind. */
  readonly evidence: Readonly<Record<string, unknown>>;
  /** The verdict in words. */
  readonly message: string;
  /** How long it took, in seconds. */
  readonly duration_s: number;
  /** The 95 % confidence interval of `raw`. */
  readonly ci_95: readonly [number, number] | null;
}

/** A report. */
export interface SuiteReport {
  /** The version of this form. */
  readonly schema_version: 1;
  /** What made it. */
  readonly warmcache_version: string;
  /** Where the suite came from. */
  readonly spec_path: string;
  /** What the base is called. */
  readonly base_model_id: string;
  /** What the adapter is called; empty when none was compared. */
  readonly adapter_id: string;
  /** Content identities of both sides. */
  readonly identities: { readonly base: string; readonly ft: string };
  /** ISO 8601. */
  readonly started_at: string;
  /** ISO 8601. */
  readonly finished_at: string;
  /** How long all of it took. */
  readonly wall_seconds: number;
  /** Whether the same comes out again. */
  readonly determinism: {
    readonly class: "strict" | "best_effort";
    readonly seed: number;
    readonly notes: readonly string[];
  };
  /** What running it took. */
  readonly backend_stats: Readonly<Record<string, number | null>>;
  /** All probes together, by category. */
  readonly score: {
    readonly overall: number | null;
    readonly band: Band | null;
    readonly components: Readonly<Record<Category, number | null>>;
    readonly weights: Readonly<Record<Category, number>>;
    readonly findings: readonly string[];
  };
  /** What null adapters came to, by the name of the probe that they were measured for. */
  readonly null_stats: Readonly<Record<string, object>>;
  /** Probe by probe, in the order of the suite. */
  readonly probes: readonly ProbeReport[];
}

/** Writes a report. */
export function reportOf(result: SuiteResult, facts: ReportFacts): SuiteReport {
  return {
    schema_version: 1,
    warmcache_version: facts.version,
    spec_path: facts.specPath,
    base_model_id: facts.baseModel,
    adapter_id: facts.adapter,
    identities: facts.identities,
    started_at: new Date(result.startedAt).toISOString(),
    finished_at: new Date(result.finishedAt).toISOString(),
    wall_seconds: result.duration / 1000,
    determinism: {
      class: facts.isExact ? "strict" : "best_effort",
      seed: result.seed,
      notes: facts.isExact ? [] : ["a GPU on another machine, or an endpoint, may give other digits"],
    },
    backend_stats: facts.backendStats,
    score: result.score,
    null_stats: baselinesBody(result.baselines),
    probes: result.probes.map(probeReport),
  };
}

/** Writes one probe. */
export function probeReport(result: ProbeResult): ProbeReport {
  return {
    name: result.name,
    kind: result.kind,
    verdict: result.verdict,
    score: result.score,
    raw: result.raw ?? null,
    z_score: result.zScore ?? null,
    base_value: result.baseValue ?? null,
    ft_value: result.ftValue ?? null,
    evidence: { ...result.evidence, weight: result.weight },
    message: result.message,
    duration_s: result.duration / 1000,
    ci_95: result.ci95 ?? null,
  };
}
