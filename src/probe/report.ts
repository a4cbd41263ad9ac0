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
  readonly name: string;
  readonly kind: string;
  readonly verdict: Verdict;
  readonly score: number | null;
  readonly raw: number | null;
  readonly z_score: number | null;
  readonly base_value: number | null;
  readonly ft_value: number | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly message: string;
  readonly duration_s: number;
  readonly ci_95: readonly [number, number] | null;
}

/** A report. */
export interface SuiteReport {
  readonly schema_version: 1;
  readonly warmcache_version: string;
  readonly spec_path: string;
  readonly base_model_id: string;
  readonly adapter_id: string;
  readonly identities: { readonly base: string; readonly ft: string };
  /** ISO 8601. */
  readonly started_at: string;
  readonly finished_at: string;
  readonly wall_seconds: number;
  readonly determinism: {
    readonly class: "strict" | "best_effort";
    readonly seed: number;
    readonly notes: readonly string[];
  };
  readonly backend_stats: Readonly<Record<string, number | null>>;
  readonly score: {
    readonly overall: number | null;
    readonly band: Band | null;
    readonly components: Readonly<Record<Category, number | null>>;
    readonly weights: Readonly<Record<Category, number>>;
    readonly findings: readonly string[];
  };
  readonly null_stats: Readonly<Record<string, object>>;
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
      notes: facts.isExact ? [] : ["a GPU may give other last digits on another machine"],
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
