/**
 * One place in memory: a base from before its load starts until its Worker is gone. Only the backend cache changes it.
 *
 * @module
 */

import type { Backend, ModelMemory, ResolvedBase } from "../model/backend.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import { AdapterUse } from "./adapter_use.ts";
import type { EvictionReason } from "./events.ts";
import { NO_ROOM, type Room } from "./eviction.ts";
import type { ResolvedModel } from "./identity.ts";
import { Pace } from "./queue.ts";

/** A base on its way through the states. */
export interface Slot {
  readonly base: ResolvedBase;
  /** `draining` takes no more leases; `closing` has none left and its Worker is being ended. */
  state: "loading" | "warm" | "draining" | "closing" | "closed";
  /** What it was thought to take when its load began. */
  readonly predicted: ModelMemory;
  /** Ends the load. */
  readonly abort: AbortController;
  /** Requests that wait for the load; they count as leases. */
  readonly waiting: Set<Waiter>;
  /** Resolves when its Worker is gone. */
  readonly gone: PromiseWithResolvers<void>;
  leases: number;
  /** There once it is loaded. */
  backend: Backend | undefined;
  /** How long its load took; 0 before it is done. */
  loadTime: Milliseconds;
  /** When it was loaded, on the monotonic clock. */
  loadedAt: Milliseconds;
  /** For how long it stays when nobody uses it, as the last request said. */
  keepAlive: Milliseconds;
  /** It was unloaded while requests waited for its load. */
  goesOnceLoaded: boolean;
  evictedFor: EvictionReason;
  /** Number of its last use among the uses of all bases. */
  lastUse: number;
  /** Time of its last use, since 1970, and on the monotonic clock. */
  lastUsed: Milliseconds;
  usedAt: Milliseconds;
  /** Name of the adapter of its last use. */
  lastAdapter: string | null;
  readonly adapters: AdapterUse;
  /** How fast it works off its requests. */
  readonly pace: Pace;
}

/** A request that waits, for room or for a load. */
export interface Waiter {
  readonly model: ResolvedModel;
  readonly keepAlive: Milliseconds;
  /** When it came, on the monotonic clock. */
  readonly since: Milliseconds;
  readonly admit: (slot: Slot) => void;
  readonly refuse: (reason: unknown) => void;
}

/** A place for a base whose load is about to start. */
export function coldSlot(base: ResolvedBase, predicted: ModelMemory): Slot {
  return {
    base,
    state: "loading",
    predicted,
    abort: new AbortController(),
    waiting: new Set(),
    gone: Promise.withResolvers(),
    leases: 0,
    backend: undefined,
    loadTime: 0,
    loadedAt: 0,
    keepAlive: Infinity,
    goesOnceLoaded: false,
    evictedFor: "shutdown",
    lastUse: 0,
    lastUsed: 0,
    usedAt: 0,
    lastAdapter: null,
    adapters: new AdapterUse(),
    pace: new Pace(),
  };
}

/** What a base takes of the limits: as predicted until it is loaded, then as its Worker says. */
export function takenBy({ base, state, backend, predicted }: Slot): Room {
  const memory = backend === undefined || state === "loading" ? predicted : memoryOf(backend);
  return roomFor(base, memory);
}

/** What a loaded base holds: its Worker's WASM memory, its adapters, its GPU buffers. */
export function memoryOf({ memory, adapters }: Backend): ModelMemory {
  return { wasm: adapters.reduce((sum, { bytes }) => sum + bytes, memory.wasm), gpu: memory.gpu };
}

/** One place, and this much memory. What is behind an endpoint is in another machine's memory, and takes none of it. */
export function roomFor({ kind }: ResolvedBase, { wasm, gpu }: ModelMemory): Room {
  return kind === "api" ? NO_ROOM : { places: 1, ram: wasm, gpu };
}
