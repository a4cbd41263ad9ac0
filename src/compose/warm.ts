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

import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { WarmEvent } from "../warm/backend_cache.ts";
import { MODELS_OPTIONS, type ModelsOptions, warmModels } from "./backends.ts";
import { type Backends, joinBackends } from "./join_backends.ts";

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
export type { Backends, Comparison, ModelReference } from "./join_backends.ts";

/** Which models to use, and how they are kept. */
export interface OpenBackendsOptions extends ModelsOptions {
  /** Hears of loads, evictions and failures. */
  readonly onEvent?: (event: WarmEvent) => void;
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
  const opened = warmModels(runtime, models);
  if (onEvent !== undefined) opened.backends.on(onEvent);
  return joinBackends(runtime.clock, opened);
}
