/**
 * Warm models from code, without a server: models are found, loaded once and kept, lent by name, and compared by suites
 * of probes.
 *
 * ```ts
 * import { openBackends } from "@warmcache/warmcache/warm";
 *
 * await using backends = await openBackends({ models: "models" });
 * await using lease = await backends.lease("kjv-tiny+fortunes");
 * const { total } = await lease.view.logprobs({ text: "The first law of" }, " programming");
 * console.log(total);
 * ```
 *
 * @module
 */

import { checkSides } from "../http/suite_request.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { readSuite } from "../probe/suite.ts";
import { runSuite, type SuiteProgress, type SuiteResult } from "../probe/run_suite.ts";
import type { LoadedModel, WarmEvent } from "../warm/backend_cache.ts";
import type { Listing } from "../warm/catalogue.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import type { Lease } from "../warm/lease.ts";
import type { LeaseOptions } from "../warm/options.ts";
import { type ModelSpec, modelSpec, type ModelSpecOptions, parseModelName } from "../warm/spec.ts";
import { MODELS_OPTIONS, type ModelsOptions, warmModels } from "./backends.ts";
import { leasedSubject } from "./leased_subject.ts";

export type * from "../model/backend.ts";
export { ModelError, type ModelErrorCode, type ModelErrorOptions } from "../model/error.ts";
export type { ApiEndpoint } from "../model/api/endpoint.ts";
export type { Milliseconds } from "../runtime/runtime.ts";
export type { ProbeResult, SuiteProgress, SuiteResult } from "../probe/run_suite.ts";
export type { Category, Finding, Verdict } from "../probe/probe.ts";
export type { Baseline } from "../probe/baseline.ts";
export type { Band, Score, Weights } from "../probe/score.ts";
export type { About } from "../warm/events.ts";
export type { EvictionReason, LoadedModel, WarmEvent } from "../warm/backend_cache.ts";
export type { Listing } from "../warm/catalogue.ts";
export type { Dtype } from "../warm/dtype.ts";
export type { ResolvedModel } from "../warm/identity.ts";
export type { KeepAlive } from "../warm/keep_alive.ts";
export type { BackendKind } from "../warm/kinds.ts";
export type { Lease } from "../warm/lease.ts";
export type { IdentifyOptions, LeaseOptions, PreloadOptions } from "../warm/options.ts";
export type { ModelName, ModelSpec, ModelSpecOptions } from "../warm/spec.ts";
export type { ApiEndpoints } from "./api_kind.ts";
export type { ModelsOptions } from "./backends.ts";

/** A model by its name, `base[:dtype][+adapter]`, or by its parts. */
export type ModelReference = string | ModelSpecOptions;

/** Which models to use, and how they are kept. */
export interface OpenBackendsOptions extends ModelsOptions {
  /** Hears of loads, evictions and failures. */
  readonly onEvent?: (event: WarmEvent) => void;
}

/** What to compare. */
export interface Comparison {
  /** What is compared with. */
  readonly base: ModelReference;
  /** Nearly always the base with an adapter; or another model, or another endpoint's. */
  readonly ft: ModelReference;
  /** The suite, in the form of `/run`; its `models` are not looked at. */
  readonly spec: unknown;
  /** In place of the suite's own seed. */
  readonly seed?: number;
  /** Ends the run. */
  readonly signal?: AbortSignal;
  /** Hears how far it is. */
  readonly onProgress?: (progress: SuiteProgress) => void;
}

/** Models that stay warm, for one program. */
export interface Backends extends AsyncDisposable {
  /**
   * Waits until a model is warm and keeps it so until the lease is disposed. Whoever holds one must not wait for
   * another, since each may wait for the other's place.
   *
   * @throws ModelError; the signal's reason when it is aborted before the lease is granted.
   */
  lease(model: ModelReference, options?: LeaseOptions): Promise<Lease>;
  /**
   * Which model a name means now, by content, without loading it.
   *
   * @throws ModelError `model_not_found`; `model_load_failed` when a file cannot be read.
   */
  identify(model: ModelReference): Promise<ResolvedModel>;
  /** The models on this machine, usable or not. */
  list(): Promise<Listing[]>;
  /** What is in memory, or was to be, most recently used last. */
  loaded(): LoadedModel[];
  /**
   * Runs a suite of probes on two models. Each question takes a lease for as long as it is asked.
   *
   * @throws TypeError for a suite that means nothing, or models that it cannot compare; ModelError; the signal's reason.
   */
  runSuite(comparison: Comparison): Promise<SuiteResult>;
  /** Takes no more leases, waits for those there are, and ends every Worker. */
  close(): Promise<void>;
}

/**
 * Opens the models of a folder, of the hub's cache, of endpoints, and of further kinds. Nothing is loaded before it is
 * asked for.
 *
 * @throws TypeError for a misspelled option, an endpoint or a kind that cannot be; RangeError for a limit below 1.
 */
export async function openBackends(options: OpenBackendsOptions = {}): Promise<Backends> {
  const { onEvent, ...models } = options;
  refuseUnknownOptions("open backends", models, Object.keys(MODELS_OPTIONS));
  const runtime = await loadRuntime();
  const { catalogue, backends } = warmModels(runtime, models);
  if (onEvent !== undefined) backends.on(onEvent);
  const close = (): Promise<void> => backends.evictAll();
  return {
    lease: async (model, options) => await backends.lease(specOf(model), options),
    identify: async (model) => await backends.identify(specOf(model)),
    list: () => catalogue.list(),
    loaded: () => backends.loaded(),
    runSuite: async (comparison) => {
      refuseUnknownOptions("run a suite", comparison, ["base", "ft", "spec", "seed", "signal", "onProgress"]);
      const { base, ft, spec, seed, signal, onProgress } = comparison;
      const suite = readSuite(spec);
      const sides = { base: await backends.identify(specOf(base)), ft: await backends.identify(specOf(ft)) };
      checkSides(suite, sides.base, sides.ft);
      const subject = leasedSubject(backends, { ...sides, isDifferential: suite.isDifferential });
      const { clock } = runtime;
      return await runSuite(subject, suite, {
        clock,
        ...(seed === undefined ? {} : { seed }),
        ...(signal === undefined ? {} : { signal }),
        ...(onProgress === undefined ? {} : { onProgress }),
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function specOf(model: ModelReference): ModelSpec {
  return typeof model === "string" ? parseModelName(model) : modelSpec(model);
}
