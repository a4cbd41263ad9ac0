/**
 * Models that were put together, as one program uses them: lent by name, and compared by suites of probes.
 *
 * @module
 */

import { checkSides } from "../http/suite_request.ts";
import { readSuite } from "../probe/suite.ts";
import { runSuite, type SuiteProgress, type SuiteResult } from "../probe/run_suite.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { BackendCache, LoadedModel } from "../warm/backend_cache.ts";
import type { Listing } from "../warm/catalogue.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import type { Lease } from "../warm/lease.ts";
import type { LeaseOptions } from "../warm/options.ts";
import { type ModelSpec, modelSpec, type ModelSpecOptions, parseModelName } from "../warm/spec.ts";
import type { Models } from "./backends.ts";
import { leasedSubject } from "./leased_subject.ts";

/** A model by its name, `base[:dtype][+adapter]`, or by its parts. */
export type ModelReference = string | ModelSpecOptions;

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
  /**
   * Takes a base, with its adapters, out of memory, once whoever uses it or waits for it was served, and waits for that;
   * the next use loads it again. Whoever holds a lease of it must not wait for this. Returns whether it was there.
   */
  unload(model: ModelReference): Promise<boolean>;
  /** Takes no more leases, waits for those there are, and ends every Worker. */
  close(): Promise<void>;
}

const known = new WeakMap<Backends, BackendCache>();

/**
 * What keeps the models that were opened here.
 *
 * @throws TypeError for others.
 */
export function backendCacheOf(backends: Backends): BackendCache {
  const found = known.get(backends);
  if (found !== undefined) return found;
  throw new TypeError("Cannot use models that were not opened with openBackends");
}

/** Makes models usable by name. */
export function joinBackends(clock: Clock, { catalogue, backends }: Pick<Models, "catalogue" | "backends">): Backends {
  const close = (): Promise<void> => backends.evictAll();
  const joined: Backends = {
    lease: async (model, options) => await backends.lease(specOf(model), options),
    identify: async (model) => await backends.identify(specOf(model)),
    list: () => catalogue.list(),
    loaded: () => backends.loaded(),
    unload: async (model) => await backends.unload(specOf(model)),
    runSuite: async (comparison) => {
      refuseUnknownOptions("run a suite", comparison, ["base", "ft", "spec", "seed", "signal", "onProgress"]);
      const { base, ft, spec, seed, signal, onProgress } = comparison;
      const suite = readSuite(spec);
      const sides = { base: await backends.identify(specOf(base)), ft: await backends.identify(specOf(ft)) };
      checkSides(suite, sides.base, sides.ft);
      const subject = leasedSubject(backends, { ...sides, isDifferential: suite.isDifferential });
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
  known.set(joined, backends);
  return joined;
}

/** The spec that a reference means. */
export function specOf(model: ModelReference): ModelSpec {
  return typeof model === "string" ? parseModelName(model) : modelSpec(model);
}
