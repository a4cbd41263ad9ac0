/**
 * What `/run` and `/score` answer with.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { ProbeReport, SuiteReport } from "../../../probe/report.ts";
import { count, date } from "./common.ts";

/** A report is read by programs that may not change it. */
type Answer<T> = z.ZodType<T & { readonly request_seconds: number }>;

const score = z.number().min(0).max(1).nullable();
const seconds = z.number().min(0);

const probe: z.ZodType<ProbeReport> = z.object({
  name: z.string(),
  kind: z.string(),
  verdict: z.enum(["pass", "fail", "warn", "skip", "error"]),
  score,
  raw: z.number().nullable().describe("What was measured, in the unit of the probe."),
  z_score: z.number().nullable().describe("How far that is from the null adapters, in standard deviations."),
  base_value: z.number().nullable(),
  ft_value: z.number().nullable(),
  evidence: z.record(z.string(), z.unknown()).describe("What the verdict rests on, by kind."),
  message: z.string(),
  duration_s: seconds,
  ci_95: z.tuple([z.number(), z.number()]).nullable().describe("The 95 % confidence interval of `raw`."),
}).openapi("ProbeReport");

const categories = ["adherence", "attribution", "calibration", "ablation", "baseline"] as const;

const byCategory = <T extends z.ZodType>(value: T): z.ZodObject<Record<typeof categories[number], T>> =>
  z.object({ adherence: value, attribution: value, calibration: value, ablation: value, baseline: value });

/** The answer of `/run`. */
export const suiteReport: Answer<SuiteReport> = z.object({
  schema_version: z.literal(1),
  warmcache_version: z.string(),
  spec_path: z.string(),
  base_model_id: z.string(),
  adapter_id: z.string().describe("Empty when no adapter was compared."),
  identities: z.object({ base: z.string(), ft: z.string() }).describe("Content identities of both sides."),
  started_at: date,
  finished_at: date,
  wall_seconds: seconds,
  determinism: z.object({
    class: z.enum(["strict", "best_effort"]),
    seed: count,
    notes: z.array(z.string()),
  }),
  backend_stats: z.record(z.string(), z.number().nullable()),
  score: z.object({
    overall: score,
    band: z.enum(["noise", "partial", "healthy", "suspicious"]).nullable(),
    components: byCategory(score),
    weights: byCategory(seconds),
    findings: z.array(z.string()),
  }),
  null_stats: z.record(z.string(), z.looseObject({})).describe("What null adapters came to, by probe."),
  probes: z.array(probe),
  request_seconds: seconds,
}).openapi("SuiteReport");

/** The answer of `/score`. */
export const scores: Answer<{ readonly probes: readonly ProbeReport[] }> = z.object({
  probes: z.array(probe),
  request_seconds: seconds,
}).openapi("Scores");
