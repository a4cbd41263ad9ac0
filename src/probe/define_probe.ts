/**
 * Makes a kind of probe of its fields and its function, so that every kind reads its entry, and refuses what it does
 * not know, in the same way.
 *
 * @module
 */

import * as z from "zod";
import type { Category, Finding, ProbeContext, ProbeKind } from "./probe.ts";
import { MOST_WEIGHT } from "./score.ts";
import { readSpec, SpecError } from "./spec_error.ts";
import type { Subject } from "./subject.ts";

/** A kind's own fields, read. */
export type ConfigOf<S extends z.ZodRawShape> = z.output<z.ZodObject<S>>;

/** How a kind is made. */
export interface ProbeDefinition<S extends z.ZodRawShape> {
  readonly kind: string;
  readonly category: Category;
  /** Its own fields, as dlm-sway calls them. */
  readonly fields: S;
  /** Whether noise in the adapter's place gives its number a meaning; not when left out. */
  readonly isCalibrated?: boolean;
  /** What is wrong with fields that are each right by itself. */
  readonly check?: (config: ConfigOf<S>, refuse: Refuse) => void;
  /** What can be checked only with the subject, before anything is loaded. */
  readonly prepare?: (config: ConfigOf<S>, subject: Subject, refuse: Refuse) => Promise<void>;
  readonly run: (config: ConfigOf<S>, context: ProbeContext) => Promise<Finding>;
}

/** Refuses a field. */
export type Refuse = (field: string, problem: string) => never;

const COMMON = {
  name: z.string().min(1).max(200).optional(),
  kind: z.string(),
  enabled: z.boolean().default(true),
  weight: z.number().min(0).max(MOST_WEIGHT).default(1),
};

/** Makes a kind of probe. */
export function defineProbe<S extends z.ZodRawShape>(definition: ProbeDefinition<S>): ProbeKind {
  const { kind, category, fields, isCalibrated = false, check, prepare, run } = definition;
  const schema = z.strictObject({ ...COMMON, ...fields });
  return {
    kind,
    plan(entry, at) {
      const config = readSpec(schema, entry, at) as ConfigOf<typeof COMMON> & ConfigOf<S>;
      const refuse: Refuse = (field, problem) => {
        throw new SpecError([...at, field], problem);
      };
      check?.(config, refuse);
      const { name = kind, enabled, weight } = config;
      return {
        name,
        kind,
        category,
        enabled,
        weight,
        isCalibrated,
        prepare: async (subject) => await prepare?.(config, subject, refuse),
        run: (context) => run(config, context),
      };
    },
  };
}
