/**
 * Reading the bodies of `/run` and `/score`: a suite, and the two models it compares. They are dlm-sway's, less what
 * would have a request name code to be run.
 *
 * @module
 */

import * as z from "zod";
import { readSpec, SpecError } from "../probe/spec_error.ts";
import { readSuite, type Suite, withProbes } from "../probe/suite.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { type ModelSpec, modelSpec, type ModelSpecOptions, parseModelName } from "../warm/spec.ts";
import { refuseOwnedModel } from "./tenancy.ts";

const NO_CODE = "code that a request names is never run here; leave it out";

const side = z.strictObject({
  /** `hf` is what dlm-sway calls the layout these models have. `api`, or one that this server was given in code. */
  kind: z.string().default("onnx").transform((kind) => kind === "hf" ? "onnx" : kind),
  base: z.string().min(1),
  adapter: z.string().min(1).nullish(),
  dtype: z.string().nullish(),
  device: z.string().nullish(),
  /** One of those that the server was started with. */
  endpoint: z.string().min(1).nullish(),
  revision: z.string().min(1).nullish(),
  entry_point: z.null({ error: NO_CODE }).optional(),
  trust_remote_code: z.literal(false, { error: NO_CODE }).optional(),
});

const models = z.strictObject({ base: side, ft: side });

const seed = z.number().int().min(0).max(2 ** 32 - 1).nullish();
const runSchema = z.strictObject({ spec: z.unknown(), spec_path: z.string().default("<serve>"), seed });
const scoreSchema = z.strictObject({
  spec: z.unknown(),
  probe_names: z.array(z.string()).min(1).max(100).nullish(),
  seed,
});

/** What the body of `/run` is checked with; then its `spec` is read as a suite. */
export const runBodySchema: z.ZodObject = runSchema;

/** What the body of `/score` is checked with. */
export const scoreBodySchema: z.ZodObject = scoreSchema;

/** What `models` of a suite is checked with. */
export const suiteModelsSchema: z.ZodObject = models;

/** A suite that was asked for, and the models it compares. */
export interface SuiteRequest {
  readonly suite: Suite;
  readonly seed: number | undefined;
  readonly specPath: string;
  readonly base: ModelSpec;
  readonly ft: ModelSpec;
}

/**
 * Reads the body of `/run`.
 *
 * @throws SpecError with the field at fault; ModelError `model_not_found` for what no model can be called.
 */
export function readRunRequest(body: unknown): SuiteRequest {
  const { spec, spec_path: specPath, seed } = readSpec(runSchema, body, []);
  return { ...readModels(readSuite(spec, ["spec"])), seed: seed ?? undefined, specPath };
}

/**
 * Reads the body of `/score`, and leaves out the probes that it does not name.
 *
 * @returns with the names of the probes that were asked for.
 * @throws as {@link readRunRequest} does.
 */
export function readScoreRequest(body: unknown): SuiteRequest & { readonly names: readonly string[] } {
  const { spec, probe_names, seed } = readSpec(scoreSchema, body, []);
  const whole = readSuite(spec, ["spec"]);
  const names = probe_names ?? whole.probes.map(({ name }) => name);
  const suite = probe_names ? withProbes(whole, names, ["probe_names"]) : whole;
  return { ...readModels(suite), seed: seed ?? undefined, specPath: "<serve:/score>", names };
}

/**
 * Checks that base and adapter are one set of weights, where the suite says so: a difference between two models would
 * be taken for the adapter's.
 *
 * @throws SpecError
 */
export function checkSides({ isDifferential }: Suite, base: ResolvedModel, ft: ResolvedModel): void {
  const at = ["spec", "models"];
  // What endpoints have in common they do not say; but the same one twice is surely the same.
  const areEndpoints = base.base.kind === "api" && ft.base.kind === "api";
  if (areEndpoints && base.identity === ft.identity) {
    throw new SpecError(
      [...at, "ft"],
      "it is the same model of the same endpoint as models.base: nothing is measured so",
    );
  }
  if (areEndpoints || !isDifferential) return;
  const instead = "two models of their own are compared with defaults.differential = false";
  if (ft.adapter === undefined) throw new SpecError([...at, "ft", "adapter"], `it is missing; ${instead}`);
  if (base.adapter !== undefined) throw new SpecError([...at, "base", "adapter"], `the base has none; ${instead}`);
  if (base.base.identity === ft.base.identity) return;
  throw new SpecError([...at, "ft", "base"], `it is another model than models.base.base; ${instead}: ${ft.base.name}`);
}

function readModels(suite: Suite): Pick<SuiteRequest, "suite" | "base" | "ft"> {
  const at = ["spec", "models"];
  const { base, ft } = readSpec(models, suite.models, at);
  return { suite, base: specOf(base, [...at, "base"]), ft: specOf(ft, [...at, "ft"]) };
}

function specOf(
  { kind, base, adapter, dtype, device, endpoint, revision }: z.output<typeof side>,
  at: readonly PropertyKey[],
): ModelSpec {
  // What an endpoint calls its models has no parts that mean anything here.
  if (kind === "api") refuseOwnedModel(base);
  const named = kind === "api" ? { base } : parseModelName(base);
  const rest = definedOf({ kind, adapter, dtype, device, endpoint, revision });
  try {
    return modelSpec({ ...named, ...rest } as ModelSpecOptions);
  } catch (error) {
    if (error instanceof TypeError) throw new SpecError(at, error.message);
    throw error;
  }
}

function definedOf(fields: Record<string, string | null | undefined>): Record<string, string> {
  const given = Object.entries(fields).filter((field): field is [string, string] => typeof field[1] === "string");
  return Object.fromEntries(given);
}
