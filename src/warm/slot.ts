/**
 * One place in memory: a base from before its load starts until its Worker is gone. Only the backend cache changes it.
 *
 * @module
 */

import type { Backend, ResolvedBase } from "../model/backend.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { EvictionReason } from "./events.ts";
import type { ResolvedModel } from "./identity.ts";

/** A base on its way through the states. */
export interface Slot {
  readonly base: ResolvedBase;
  /** `draining` takes no more leases; `closing` has none left and its Worker is being ended. */
  state: "loading" | "warm" | "draining" | "closing" | "closed";
  /** Ends the load. */
  readonly abort: AbortController;
  /** Requests that wait for the load; they count as leases. */
  readonly waiting: Set<Waiter>;
  leases: number;
  /** There once it is loaded. */
  backend: Backend | undefined;
  loadSeconds: number | null;
  evictedFor: EvictionReason;
  /** Number of its last use among the uses of all bases. */
  lastUse: number;
  /** Time of its last use, since 1970. */
  lastUsed: Milliseconds;
  /** Name of the adapter of its last use. */
  lastAdapter: string | null;
  /** Names of all adapters it was used with. */
  readonly adapters: Set<string>;
}

/** A request that waits, for room or for a load. */
export interface Waiter {
  readonly model: ResolvedModel;
  /** When it came, on the monotonic clock. */
  readonly since: Milliseconds;
  readonly admit: (slot: Slot) => void;
  readonly refuse: (reason: unknown) => void;
}

/** A place for a base whose load is about to start. */
export function coldSlot(base: ResolvedBase): Slot {
  return {
    base,
    state: "loading",
    abort: new AbortController(),
    waiting: new Set(),
    leases: 0,
    backend: undefined,
    loadSeconds: null,
    evictedFor: "shutdown",
    lastUse: 0,
    lastUsed: 0,
    lastAdapter: null,
    adapters: new Set(),
  };
}
