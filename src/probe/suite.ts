/**
 * A suite: which probes to run, in which order, and how. It has the form of dlm-sway's specification, so that what was
 * written for its daemon can be sent to this one.
 *
 * @module
 */

import * as z from "zod";
import type { Probe } from "./probe.ts";
import { PROBE_KINDS } from "./registry.ts";
import { DEFAULT_WEIGHTS, MOST_WEIGHT, type Weights } from "./score.ts";
import { readSpec, shown, SpecError, suggestion } from "./spec_error.ts";

const weights = z.strictObject(
  Object.fromEntries(
    Object.keys(DEFAULT_WEIGHTS).map((category) => [category, z.number().min(0).max(MOST_WEIGHT).optional()]),
  ),
);

const defaults = z.strictObject({
  seed: z.number().int().min(0).max(2 ** 32 - 1).default(0),
  top_k: z.number().int().min(1).max(8192).default(256),
  differential: z.boolean().default(true),
  coverage_threshold: z.number().min(0).max(1).default(0.6),
  concurrent_probes: z.number().int().min(1).max(32).default(1),
  score_weights: weights.nullish(),
});

const schema = z.strictObject({
  version: z.literal(1).default(1),
  models: z.unknown().optional(),
  defaults: defaults.prefault({}),
  suite: z.array(z.looseObject({ kind: z.string(), name: z.string().optional() })).max(100).default([]),
  dlm_source: z.null().optional(),
});

/** What a suite is checked with, before each of its probes is by its kind. */
export const suiteSchema: z.ZodObject = schema;

/** What to run, checked. */
export interface Suite {
  /** Unsigned 32-bit integer that all chance comes from. */
  readonly seed: number;
  /** How many of the likeliest tokens are compared, where a probe does not say. */
  readonly topK: number;
  /** Whether base and adapter are one set of weights. */
  readonly isDifferential: boolean;
  /** What each category counts in the score. */
  readonly weights: Weights;
  /** In the order in which they run. */
  readonly probes: readonly Probe[];
  /** Which models to compare, as it was written: whoever finds models reads it. */
  readonly models: unknown;
}

/**
 * Reads a suite. Nothing is loaded for it, and every probe is checked.
 *
 * @param at Where it stands in a request.
 * @throws SpecError naming the first field at fault, with the nearest name there is.
 */
export function readSuite(spec: unknown, at: readonly PropertyKey[] = []): Suite {
  const { defaults, suite, models } = readSpec(schema, spec, at);
  const names = new Set<string>();
  const probes = suite.map((entry, index) => {
    const path = [...at, "suite", index];
    const kind = PROBE_KINDS.get(entry.kind);
    if (kind === undefined) {
      const known = suggestion(entry.kind, [...PROBE_KINDS.keys()]);
      throw new SpecError([...path, "kind"], `unknown kind of probe ${shown(entry.kind)}${known}`);
    }
    const probe = kind.plan(entry, path);
    if (names.has(probe.name)) throw new SpecError([...path, "name"], `another probe has it too: ${probe.name}`);
    names.add(probe.name);
    return probe;
  });
  const weights = { ...DEFAULT_WEIGHTS, ...definedOf(defaults.score_weights ?? {}) };
  if (Object.values(weights).every((weight) => weight === 0)) {
    throw new SpecError([...at, "defaults", "score_weights"], "none of them is more than 0");
  }
  return {
    seed: defaults.seed,
    topK: defaults.top_k,
    isDifferential: defaults.differential,
    weights,
    probes,
    models,
  };
}

/**
 * The same suite with some of its probes only, and what these need: noise that was to be measured for them still is.
 *
 * @param at Where the names stand in a request.
 * @throws SpecError for a name that no probe has.
 */
export function withProbes(suite: Suite, names: readonly string[], at: readonly PropertyKey[]): Suite {
  const known = suite.probes.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    if (known.includes(name)) continue;
    throw new SpecError([...at, index], `no probe has this name: ${shown(name)}${suggestion(name, known)}`);
  }
  const last = suite.probes.findLastIndex(({ name }) => names.includes(name));
  const isNeeded = ({ name, category }: Probe, index: number): boolean =>
    names.includes(name) || (category === "baseline" && index < last);
  return { ...suite, probes: suite.probes.filter(isNeeded) };
}

function definedOf(weights: Readonly<Record<string, number | undefined>>): Partial<Weights> {
  return Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight !== undefined));
}
