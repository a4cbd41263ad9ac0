/**
 * How models are kept, as the caller says it.
 *
 * @module
 */

import type { Backend, ModelMemory, ResolvedBase } from "../model/backend.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import type { CooldownOptions } from "./cooldown.ts";
import type { DigestOptions } from "./file_digests.ts";
import type { ResolvedModel } from "./identity.ts";
import type { KeepAlive } from "./keep_alive.ts";
import type { ModelSpec } from "./spec.ts";

/** Finds out which model a spec means now; `fresh` when the answer before proved wrong. */
export type IdentifyModel = (spec: ModelSpec, options: DigestOptions) => Promise<ResolvedModel>;

/**
 * Loads a base into a Worker of its own. Rejects with {@link ModelError} `identity_changed` when the files are not
 * those whose digests it was given. Settles soon after the signal is aborted.
 */
export type LoadBackend = (base: ResolvedBase, signal: AbortSignal) => Promise<Backend>;

/** How to keep models. */
export interface BackendCacheOptions {
  /** How many bases may be in memory, loading and closing ones included. 2 when left out. */
  readonly maxLoaded?: number;
  /** How many bytes of this machine's memory they may take together; no limit when left out. */
  readonly maxRamBytes?: number;
  /** How many bytes on the GPU; no limit when left out. */
  readonly maxGpuBytes?: number;
  /** How many adapters of one base stay in memory. 16 when left out. */
  readonly maxAdapters?: number;
  /** For how long a base stays that nobody uses, where a request does not say; until its room is needed when left out. */
  readonly keepAlive?: KeepAlive;
  /**
   * A base stays for as long as its load took, but not longer than this, so that no more than about half of the time
   * goes into loading. 10 seconds when left out.
   */
  readonly minimumStay?: Milliseconds;
  /** How many requests may wait for models, in all. No limit when left out. */
  readonly maxQueue?: number;
  /**
   * How many may wait for one base: for room, for its load, and for its Worker to be done with others. No limit when left
   * out.
   */
  readonly maxQueuePerModel?: number;
  readonly clock: Clock;
  readonly identify: IdentifyModel;
  readonly load: LoadBackend;
  /** What a base will take, before it was ever loaded. When left out: as many bytes of memory as its files have. */
  readonly predict?: (base: ResolvedBase) => ModelMemory;
  /** Numbers from 0 to 1; `Math.random` when left out. */
  readonly random?: () => number;
  readonly cooldown?: CooldownOptions;
}

/** Which adapter to resolve with. */
export interface IdentifyOptions {
  /** An adapter in place of the one the spec names; `null` for none. */
  readonly adapter?: string | null;
}

/** How to load. */
export interface PreloadOptions {
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
  /** For how long it stays when nobody uses it, until a request says otherwise. */
  readonly keepAlive?: KeepAlive;
}

/** How to lease. A lease that was granted stays, whatever happens to the signal. */
export interface LeaseOptions extends IdentifyOptions, PreloadOptions {
  /** Fail with `not_warm` rather than wait for a load or for room. */
  readonly onlyIfWarm?: boolean;
}

/** How to unload. */
export interface UnloadOptions {
  /** Do not wait for its leases: requests that use it, or wait for it, fail. */
  readonly force?: boolean;
}

/** How to end. */
export interface EvictAllOptions {
  /** How long leases may last; for ever when left out. What they use is ended then. */
  readonly timeout?: Milliseconds;
}

/** The names of {@link BackendCacheOptions}. */
export const OPTIONS: Record<keyof BackendCacheOptions, true> = {
  maxLoaded: true,
  maxRamBytes: true,
  maxGpuBytes: true,
  maxAdapters: true,
  keepAlive: true,
  minimumStay: true,
  maxQueue: true,
  maxQueuePerModel: true,
  clock: true,
  identify: true,
  load: true,
  predict: true,
  random: true,
  cooldown: true,
};
