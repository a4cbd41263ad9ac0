/**
 * What is in memory, as `/health` shows it: the daemon's own words, hence the underscores.
 *
 * @module
 */

import type { ModelKind, ResolvedBase } from "../model/backend.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Failure } from "./cooldown.ts";
import { memoryOf, type Slot } from "./slot.ts";

/** One line of `/health`. */
export interface LoadedModel {
  /** What runs it. */
  readonly kind: ModelKind;
  /** What it is called. */
  readonly base: string;
  /** The adapter used last, or `null` when the base alone was. */
  readonly adapter: string | null;
  /** In which numbers its weights are. */
  readonly dtype: string;
  /** What computes it. */
  readonly device: string;
  /** Base identity. */
  readonly identity: string;
  /** Names of the adapters that it was used with and that are in memory. */
  readonly adapters: readonly string[];
  /** Where it is on its way. */
  readonly state: "loading" | "warm" | "draining" | "cooldown";
  /** It is not evicted to make room, nor for being idle. */
  readonly pinned: boolean;
  /** Requests that use it, or wait for its load. */
  readonly leases: number;
  /** How long the load took; `null` before it is done. */
  readonly load_seconds: number | null;
  /** ISO 8601. */
  readonly last_used: string;
  /** Bytes of this machine's memory that its Worker holds. */
  readonly bytes: number;
  /** Bytes that it holds on the GPU. */
  readonly gpu_bytes: number;
  /** Bytes of both together that it was thought to take. */
  readonly predicted_bytes: number;
  /** When it goes if nobody uses it until then, in ISO 8601; `null` when only its room being needed makes it go. */
  readonly keep_alive_until: string | null;
  /** In cooldown, when it may be tried again, in ISO 8601; `null` when only other files will do. */
  readonly cooldown_until: string | null;
  /** In cooldown, why its load failed. */
  readonly last_error: string | null;
}

/** A base that holds memory. */
export function describeSlot(slot: Slot, isPinned: boolean): LoadedModel {
  const { base, state, leases, backend, predicted, loadTime, lastUsed, lastAdapter, adapters, keepAlive } = slot;
  const { wasm, gpu } = backend === undefined ? { wasm: 0, gpu: 0 } : memoryOf(backend);
  return {
    ...describeBase(base),
    adapter: lastAdapter,
    adapters: adapters.names(backend?.adapters ?? []),
    state: state === "loading" || state === "warm" ? state : "draining",
    pinned: isPinned,
    leases,
    load_seconds: backend === undefined ? null : loadTime / 1000,
    last_used: new Date(lastUsed).toISOString(),
    bytes: wasm,
    gpu_bytes: gpu,
    predicted_bytes: predicted.wasm + predicted.gpu,
    keep_alive_until: isPinned || leases > 0 ? null : isoOf(lastUsed + keepAlive),
    cooldown_until: null,
    last_error: null,
  };
}

/** A base that could not be loaded and rests. */
export function describeFailure({ base, at, retryAt, error }: Failure): LoadedModel {
  return {
    ...describeBase(base),
    adapter: null,
    adapters: [],
    state: "cooldown",
    pinned: false,
    leases: 0,
    load_seconds: null,
    last_used: new Date(at).toISOString(),
    bytes: 0,
    gpu_bytes: 0,
    predicted_bytes: 0,
    keep_alive_until: null,
    cooldown_until: isoOf(retryAt),
    last_error: error.message,
  };
}

/** `null` for what is never. */
function isoOf(time: Milliseconds): string | null {
  // A date reaches 275,000 years far, which is never, too.
  return time <= 8.64e15 ? new Date(time).toISOString() : null;
}

function describeBase({ kind, name, dtype, device, identity }: ResolvedBase): Pick<
  LoadedModel,
  "kind" | "base" | "dtype" | "device" | "identity"
> {
  return { kind, base: name, dtype, device, identity };
}
