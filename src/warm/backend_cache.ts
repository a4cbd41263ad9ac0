/**
 * What stays loaded. Weights take seconds to load and gigabytes to hold, so a few bases are kept warm between requests
 * and the least recently used one makes room for the next. An adapter is only a view of its base: residency, loading
 * and failures are counted by base identity.
 *
 * ```text
 * cold ──▶ loading ──▶ warm (leases) ──▶ draining ──▶ closed
 *   ▲         │ fails
 *   └─────── cooldown
 * ```
 *
 * All state changes in methods of one object that run to their end without waiting, so no decision is made on state
 * that somebody else is changing. A base counts against the limit from before its load starts until its Worker is gone.
 *
 * A request must not lease while it holds a lease: two such requests could wait for each other's place.
 *
 * @module
 */

import type { Backend, ModelMemory, ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import { type CooldownOptions, Cooldowns } from "./cooldown.ts";
import type { EvictionReason, WarmEvent } from "./events.ts";
import { chooseVictims } from "./eviction.ts";
import type { DigestOptions } from "./file_digests.ts";
import type { ResolvedModel } from "./identity.ts";
import { createLease, type Lease } from "./lease.ts";
import { describeFailure, describeSlot, type LoadedModel } from "./loaded_model.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { coldSlot, type Slot, type Waiter } from "./slot.ts";
import { type ModelSpec, withAdapter } from "./spec.ts";

export type { EvictionReason, WarmEvent } from "./events.ts";
export type { Lease } from "./lease.ts";
export type { LoadedModel } from "./loaded_model.ts";

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
  readonly clock: Clock;
  readonly identify: IdentifyModel;
  readonly load: LoadBackend;
  /** Hears what happens. Must not throw. */
  readonly log?: (event: WarmEvent) => void;
  readonly cooldown?: CooldownOptions;
}

/** Which adapter to resolve with. */
export interface IdentifyOptions {
  /** An adapter in place of the one the spec names; `null` for none. */
  readonly adapter?: string | null;
}

/** How to lease. */
export interface LeaseOptions extends IdentifyOptions {
  /** Gives up waiting. A lease that was granted stays. */
  readonly signal?: AbortSignal;
  /** Fail with `not_warm` rather than wait for a load or for room. */
  readonly onlyIfWarm?: boolean;
}

/**
 * How long new requests may go on using what is warm while another waits for room. Without an end a busy model would
 * keep the others out for ever; without a beginning, two models in one place would be swapped for every request.
 */
const PATIENCE: Milliseconds = 10_000;

/** How often a request identifies its model while the files keep changing under it. */
const MAX_ATTEMPTS = 3;

/** Keeps models warm between requests, so many and no more. */
export class BackendCache {
  /** How many bases may be in memory at once. */
  readonly maxLoaded: number;
  readonly #clock: Clock;
  readonly #identify: IdentifyModel;
  readonly #load: LoadBackend;
  readonly #log: (event: WarmEvent) => void;
  readonly #cooldowns: Cooldowns;
  /** The bases that take leases, by identity: loading or warm. */
  readonly #slots = new Map<string, Slot>();
  /** Those that take no more leases but still hold memory. */
  readonly #leaving = new Set<Slot>();
  /** Requests that wait for room, first come first served; whoever heads it cannot be served at the moment. */
  readonly #queue: Waiter[] = [];
  #uses = 0;
  #emptied: PromiseWithResolvers<void> | undefined;

  /**
   * @throws RangeError when `maxLoaded` is not a whole number from 1, or the cooldown is not sound.
   * @throws TypeError for an unknown option.
   */
  constructor(options: BackendCacheOptions) {
    const { maxLoaded = 2, clock, identify, load, log = () => {}, cooldown = {} } = options;
    const known = ["maxLoaded", "clock", "identify", "load", "log", "cooldown"];
    refuseUnknownOptions("make a backend cache", options, known);
    if (!Number.isInteger(maxLoaded) || maxLoaded < 1) {
      throw new RangeError(`Cannot make a backend cache: maxLoaded is not a whole number from 1: ${maxLoaded}`);
    }
    this.maxLoaded = maxLoaded;
    this.#clock = clock;
    this.#identify = identify;
    this.#load = load;
    this.#log = log;
    this.#cooldowns = new Cooldowns(clock, cooldown);
  }

  /**
   * Which model a spec means now, without loading it or counting as a use.
   *
   * @throws ModelError `model_not_found`; `model_load_failed` when a file cannot be read.
   */
  async identify(spec: ModelSpec, options: IdentifyOptions = {}): Promise<ResolvedModel> {
    refuseUnknownOptions("identify a model", options, ["adapter"]);
    return await this.#identify(specFor(spec, options), {});
  }

  /**
   * Waits until the model is warm and keeps it so until the lease is disposed.
   *
   * @throws ModelError `model_not_found`, `model_load_failed` (with `retryAfter`), `not_warm`, `closed`;
   * `identity_changed` when the files change on every try.
   * @throws the signal's reason when it is aborted before the lease is granted.
   */
  async lease(spec: ModelSpec, options: LeaseOptions = {}): Promise<Lease> {
    const { signal, onlyIfWarm = false } = options;
    refuseUnknownOptions("lease a model", options, ["signal", "adapter", "onlyIfWarm"]);
    const wanted = specFor(spec, options);
    for (let attempt = 1;; attempt++) {
      this.#refuseWhenClosed();
      const model = await abortable(() => this.#identify(wanted, { fresh: attempt > 1 }), signal);
      try {
        const slot = await this.#hold(model, onlyIfWarm, signal);
        return createLease(slot.backend!, model, () => this.#release(slot));
      } catch (error) {
        const changed = error instanceof ModelError && error.code === "identity_changed";
        if (!changed || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** What is loaded, loading, closing or in cooldown now, most recently used last. */
  loaded(): LoadedModel[] {
    const slots = [...this.#leaving, ...this.#slots.values()].sort((one, other) => one.lastUse - other.lastUse);
    return [...this.#cooldowns.resting().map(describeFailure), ...slots.map(describeSlot)];
  }

  /**
   * Takes no more leases, refuses waiting requests with `closed`, aborts loads, and resolves when every lease is
   * disposed and every Worker gone. For the end of the program; there is no way back.
   */
  evictAll(): Promise<void> {
    if (this.#emptied !== undefined) return this.#emptied.promise;
    this.#emptied = Promise.withResolvers();
    for (const waiter of this.#queue.splice(0)) waiter.refuse(closed());
    for (const slot of [...this.#slots.values()]) this.#retire(slot, "shutdown");
    this.#schedule();
    return this.#emptied.promise;
  }

  /** Resolves with a warm slot on which this request is counted. */
  #hold(model: ResolvedModel, onlyIfWarm: boolean, signal: AbortSignal | undefined): Promise<Slot> {
    signal?.throwIfAborted();
    this.#refuseWhenClosed();
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const waiter: Waiter = { model, since: this.#clock.monotonic(), admit: resolve, refuse: reject };
    const slot = this.#slots.get(model.base.identity);
    const mayJoin = slot !== undefined && !this.#someoneWaitedLong();
    if (onlyIfWarm && !(mayJoin && slot.state === "warm")) throw notWarm(model.base);
    if (mayJoin) this.#admit(waiter, slot);
    else {
      const failure = slot === undefined ? this.#cooldowns.check(model.base) : undefined;
      if (failure !== undefined) throw failure;
      this.#queue.push(waiter);
      this.#schedule();
    }
    const abandon = (): void => this.#abandon(waiter, signal!.reason);
    signal?.addEventListener("abort", abandon, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", abandon));
  }

  #someoneWaitedLong(): boolean {
    const first = this.#queue[0];
    return first !== undefined && this.#clock.monotonic() - first.since >= PATIENCE;
  }

  #admit(waiter: Waiter, slot: Slot): void {
    const adapter = waiter.model.adapter?.name ?? null;
    slot.leases++;
    slot.lastAdapter = adapter;
    if (adapter !== null) slot.adapters.add(adapter);
    this.#touch(slot);
    if (slot.state === "loading") slot.waiting.add(waiter);
    else waiter.admit(slot);
  }

  #touch(slot: Slot): void {
    slot.lastUse = ++this.#uses;
    slot.lastUsed = this.#clock.now();
  }

  #release(slot: Slot): void {
    slot.leases--;
    this.#touch(slot);
    if (slot.leases > 0) return;
    if (slot.state === "draining") void this.#close(slot);
    else this.#schedule();
  }

  /**
   * A waiting request went away. One that was served or refused meanwhile is found nowhere. A load goes on without it,
   * until its place is needed: a client that gives up too early asks again, and would never see a slow load's end.
   */
  #abandon(waiter: Waiter, reason: unknown): void {
    waiter.refuse(reason);
    const place = this.#queue.indexOf(waiter);
    if (place >= 0) this.#queue.splice(place, 1);
    const slot = [...this.#slots.values()].find(({ waiting }) => waiting.delete(waiter));
    if (slot !== undefined) slot.leases--;
    this.#schedule();
  }

  /**
   * Serves the queue as far as there is room, then makes room for the rest. Called after every change that may let a
   * waiting request go on.
   */
  #schedule(): void {
    for (let first; (first = this.#queue[0]) !== undefined;) {
      const { base } = first.model;
      const resident = this.#slots.get(base.identity);
      const failure = resident === undefined ? this.#cooldowns.check(base) : undefined;
      const full = this.#slots.size + this.#leaving.size >= this.maxLoaded;
      if (resident === undefined && failure === undefined && full) break;
      const company = this.#takeFromQueue(base.identity);
      if (failure !== undefined) {
        for (const waiter of company) waiter.refuse(failure);
        continue;
      }
      const slot = resident ?? coldSlot(base);
      this.#slots.set(base.identity, slot);
      for (const waiter of company) this.#admit(waiter, slot);
      if (resident === undefined) void this.#fill(slot);
    }
    const wanted = new Set(this.#queue.map(({ model }) => model.base.identity)).difference(this.#slots);
    const room = { maxLoaded: this.maxLoaded, wanted: wanted.size };
    for (const victim of chooseVictims(this.#slots.values(), room)) this.#retire(victim, "room");
    if (this.#slots.size + this.#leaving.size === 0) this.#emptied?.resolve();
  }

  #takeFromQueue(identity: string): Waiter[] {
    const taken = this.#queue.filter(({ model }) => model.base.identity === identity);
    const left = this.#queue.filter(({ model }) => model.base.identity !== identity);
    this.#queue.splice(0, this.#queue.length, ...left);
    return taken;
  }

  async #fill(slot: Slot): Promise<void> {
    const started = this.#clock.monotonic();
    this.#log({ type: "loading", ...about(slot) });
    let backend: Backend;
    try {
      backend = await this.#load(slot.base, slot.abort.signal);
    } catch (error) {
      return this.#loadFailed(slot, error);
    }
    slot.backend = backend;
    slot.loadSeconds = (this.#clock.monotonic() - started) / 1000;
    this.#cooldowns.succeed(slot.base);
    void backend.closed.then((reason) => this.#workerGone(slot, reason));
    this.#log({ type: "loaded", ...about(slot), seconds: slot.loadSeconds, bytes: totalOf(backend.memory) });
    if (slot.state !== "loading") return void this.#close(slot);
    slot.state = "warm";
    for (const waiter of slot.waiting) waiter.admit(slot);
    slot.waiting.clear();
  }

  #loadFailed(slot: Slot, cause: unknown): void {
    if (slot.state === "loading") {
      const changed = cause instanceof ModelError && cause.code === "identity_changed";
      const error = changed ? cause : this.#cooldowns.fail(slot.base, cause);
      this.#log({ type: "load_failed", ...about(slot), error });
      for (const waiter of slot.waiting) waiter.refuse(error);
    } else this.#log({ type: "load_aborted", ...about(slot) });
    this.#gone(slot);
  }

  /** Takes a base out of use. Its place stays taken until its load has come to its end, or its Worker is gone. */
  #retire(slot: Slot, reason: EvictionReason): void {
    const { state } = slot;
    slot.evictedFor = reason;
    slot.state = "draining";
    this.#slots.delete(slot.base.identity);
    this.#leaving.add(slot);
    if (state === "loading") {
      for (const waiter of slot.waiting) waiter.refuse(closed());
      slot.waiting.clear();
      slot.leases = 0;
      slot.abort.abort(closed());
    } else if (slot.leases === 0) void this.#close(slot);
  }

  async #close(slot: Slot): Promise<void> {
    slot.state = "closing";
    const bytes = totalOf(slot.backend!.memory);
    try {
      await slot.backend!.close();
    } catch (error) {
      this.#log({ type: "close_failed", ...about(slot), error });
    }
    this.#log({ type: "evicted", ...about(slot), reason: slot.evictedFor, bytes });
    this.#gone(slot);
  }

  #workerGone(slot: Slot, error: Error | undefined): void {
    if (slot.state === "closing" || slot.state === "closed") return;
    this.#log({ type: "worker_lost", ...about(slot), error });
    this.#gone(slot);
  }

  #gone(slot: Slot): void {
    slot.state = "closed";
    // A slot that was leaving may have a successor in the table by now.
    if (!this.#leaving.delete(slot)) this.#slots.delete(slot.base.identity);
    this.#schedule();
  }

  #refuseWhenClosed(): void {
    if (this.#emptied !== undefined) throw closed();
  }
}

function specFor(spec: ModelSpec, { adapter }: IdentifyOptions): ModelSpec {
  return adapter === undefined ? spec : withAdapter(spec, adapter);
}

/** Waits for work that cannot be aborted no longer than the signal allows. */
async function abortable<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  if (signal === undefined) return await work();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function closed(): ModelError {
  return new ModelError("closed", "Cannot lease a model: the server is shutting down");
}

function notWarm({ name }: ResolvedBase): ModelError {
  return new ModelError("not_warm", `Cannot serve at once, the model is not warm or its place is waited for: ${name}`);
}

function totalOf({ wasm, gpu }: ModelMemory): number {
  return wasm + gpu;
}

function about({ base }: Slot): { base: string; identity: string } {
  return { base: base.name, identity: base.identity };
}
