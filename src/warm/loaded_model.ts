/**
 * What is in memory, as `/health` shows it: the daemon's own words, hence the underscores.
 *
 * @module
 */

import type { ModelKind, ResolvedBase } from "../model/backend.ts";
import type { Failure } from "./cooldown.ts";
import type { Slot } from "./slot.ts";

/** One line of `/health`. */
export interface LoadedModel {
  readonly kind: ModelKind;
  readonly base: string;
  /** The adapter used last, or `null` when the base alone was. */
  readonly adapter: string | null;
  readonly dtype: string;
  readonly device: string;
  /** Base identity. */
  readonly identity: string;
  /** Names of the adapters that were used since it was loaded. */
  readonly adapters: readonly string[];
  readonly state: "loading" | "warm" | "draining" | "cooldown";
  readonly pinned: false;
  /** Requests that use it, or wait for its load. */
  readonly leases: number;
  /** How long the load took; `null` before it is done. */
  readonly load_seconds: number | null;
  /** ISO 8601. */
  readonly last_used: string;
  /** Bytes its Worker holds. */
  readonly bytes: number;
}

/** A base that holds memory. */
export function describeSlot(slot: Slot): LoadedModel {
  const { base, state, leases, backend, loadSeconds, lastUsed, lastAdapter, adapters } = slot;
  return {
    ...describeBase(base),
    adapter: lastAdapter,
    adapters: [...adapters],
    state: state === "loading" || state === "warm" ? state : "draining",
    leases,
    load_seconds: loadSeconds,
    last_used: new Date(lastUsed).toISOString(),
    bytes: backend === undefined ? 0 : backend.memory.wasm + backend.memory.gpu,
  };
}

/** A base that could not be loaded and rests. */
export function describeFailure({ base, at }: Failure): LoadedModel {
  return {
    ...describeBase(base),
    adapter: null,
    adapters: [],
    state: "cooldown",
    leases: 0,
    load_seconds: null,
    last_used: new Date(at).toISOString(),
    bytes: 0,
  };
}

function describeBase({ kind, name, dtype, device, identity }: ResolvedBase): Pick<
  LoadedModel,
  "kind" | "base" | "dtype" | "device" | "identity" | "pinned"
> {
  return { kind, base: name, dtype, device, identity, pinned: false };
}
