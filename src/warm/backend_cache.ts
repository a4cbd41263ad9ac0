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

import type { Backend, ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import { abortable } from "./abortable.ts";
import { Alarm } from "./alarm.ts";
import { Budget, predictFromFiles } from "./budget.ts";
import { Cooldowns } from "./cooldown.ts";
import type { EvictionReason, WarmEvent } from "./events.ts";
import { chooseVictims, fits, NO_ROOM, type Resident, type Room } from "./eviction.ts";
import type { ResolvedModel } from "./identity.ts";
import { parseKeepAlive } from "./keep_alive.ts";
import { createLease, type Lease } from "./lease.ts";
import { describeFailure, describeSlot, type LoadedModel } from "./loaded_model.ts";
import {
  type BackendCacheOptions,
  type EvictAllOptions,
  type IdentifyModel,
  type IdentifyOptions,
  type LeaseOptions,
  type LoadBackend,
  OPTIONS,
  type PreloadOptions,
  type UnloadOptions,
} from "./options.ts";
import { Pins } from "./pins.ts";
import { queuedOn, queueFull, type QueueLimits } from "./queue.ts";
import { noRoom, notWarm, shuttingDown, unloaded } from "./refusals.ts";
import { coldSlot, memoryOf, type Slot, takenBy, type Waiter } from "./slot.ts";
import { type ModelSpec, withAdapter } from "./spec.ts";

export type { EvictionReason, WarmEvent } from "./events.ts";
export type { KeepAlive } from "./keep_alive.ts";
export type { Lease } from "./lease.ts";
export type { LoadedModel } from "./loaded_model.ts";
export type {
  BackendCacheOptions,
  EvictAllOptions,
  IdentifyModel,
  IdentifyOptions,
  LeaseOptions,
  LoadBackend,
  PreloadOptions,
  UnloadOptions,
} from "./options.ts";

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
  /** How many bytes of this machine's memory they may take together; `Infinity` without a limit. */
  readonly maxRamBytes: number;
  /** How many bytes on the GPU; `Infinity` without a limit. */
  readonly maxGpuBytes: number;
  /** How many adapters of one base stay in memory. */
  readonly maxAdapters: number;
  readonly #budget: Budget;
  readonly #keepAlive: Milliseconds;
  readonly #minimumStay: Milliseconds;
  readonly #queueLimits: QueueLimits;
  readonly #clock: Clock;
  readonly #identify: IdentifyModel;
  readonly #load: LoadBackend;
  readonly #cooldowns: Cooldowns;
  readonly #listeners = new Set<(event: WarmEvent) => void>();
  /** The bases that take leases, by identity: loading or warm. */
  readonly #slots = new Map<string, Slot>();
  /** Those that take no more leases but still hold memory. */
  readonly #leaving = new Set<Slot>();
  readonly #pins = new Pins();
  /** Requests that wait for room, first come first served; whoever heads it cannot be served at the moment. */
  readonly #queue: Waiter[] = [];
  /** Rings when time alone lets something go on. */
  readonly #alarm: Alarm;
  #uses = 0;
  #emptied: PromiseWithResolvers<void> | undefined;

  /**
   * @throws RangeError when a limit is not a whole number from 1, or a duration is none.
   * @throws TypeError for an unknown option.
   */
  constructor(options: BackendCacheOptions) {
    refuseUnknownOptions("make a backend cache", options, Object.keys(OPTIONS));
    const { maxLoaded = 2, maxRamBytes = Infinity, maxGpuBytes = Infinity, maxAdapters = 16 } = options;
    const { maxQueue = Infinity, maxQueuePerModel = Infinity } = options;
    const limitsByName = { maxLoaded, maxRamBytes, maxGpuBytes, maxAdapters, maxQueue, maxQueuePerModel };
    for (const [name, limit] of Object.entries(limitsByName)) {
      const isLimit = Number.isSafeInteger(limit) || (limit === Infinity && /Bytes$|^maxQueue/.test(name));
      if (isLimit && limit >= 1) continue;
      throw new RangeError(`Cannot make a backend cache: ${name} is not a whole number from 1: ${limit}`);
    }
    const { keepAlive = -1, minimumStay = PATIENCE, clock, identify, load, cooldown = {} } = options;
    if (!(minimumStay >= 0)) {
      throw new RangeError(`Cannot make a backend cache: minimumStay is not 0 ms or more: ${minimumStay}`);
    }
    this.maxLoaded = maxLoaded;
    this.maxRamBytes = maxRamBytes;
    this.maxGpuBytes = maxGpuBytes;
    const limits = { places: maxLoaded, ram: maxRamBytes, gpu: maxGpuBytes };
    this.#budget = new Budget(limits, options.predict ?? predictFromFiles);
    this.maxAdapters = maxAdapters;
    this.#keepAlive = parseKeepAlive(keepAlive);
    this.#minimumStay = minimumStay;
    this.#queueLimits = { maxQueue, maxQueuePerModel };
    this.#clock = clock;
    this.#identify = identify;
    this.#load = load;
    this.#cooldowns = new Cooldowns(clock, options.random ?? Math.random, cooldown);
    this.#alarm = new Alarm(clock, () => this.#schedule());
  }

  /** How many requests wait for room. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** For how long the request has waited that has waited for room the longest; 0 where none does. */
  get longestWait(): Milliseconds {
    const first = this.#queue[0];
    return first === undefined ? 0 : this.#clock.monotonic() - first.since;
  }

  /** How many requests wait: for room, for a load, or for a Worker to be done with others. */
  get queued(): number {
    const slots = [...this.#leaving, ...this.#slots.values()];
    return slots.reduce((sum, slot) => sum + queuedOn(slot), this.#queue.length);
  }

  /** Has `listener` hear of every transition, until the function that is returned is called. What it throws is ignored. */
  on(listener: (event: WarmEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
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
   * @throws ModelError `model_not_found`, `model_load_failed` (with `retryAfter`, unless it is `permanent`),
   * `out_of_memory`, `not_warm`, `no_room`, `queue_full` (with `retryAfter`), `closed`; `identity_changed` when the files
   * change on every try.
   * @throws RangeError when `keepAlive` means nothing.
   * @throws the signal's reason when it is aborted before the lease is granted.
   */
  async lease(spec: ModelSpec, options: LeaseOptions = {}): Promise<Lease> {
    refuseUnknownOptions("lease a model", options, ["signal", "adapter", "onlyIfWarm", "keepAlive"]);
    return await this.#lease(spec, options, { isQueued: true });
  }

  async #lease(spec: ModelSpec, options: LeaseOptions, { isQueued }: { readonly isQueued: boolean }): Promise<Lease> {
    const { signal, onlyIfWarm = false } = options;
    const keepAlive = options.keepAlive === undefined ? this.#keepAlive : parseKeepAlive(options.keepAlive);
    const wanted = specFor(spec, options);
    for (let attempt = 1;; attempt++) {
      this.#refuseWhenClosed();
      const model = await abortable(() => this.#identify(wanted, { fresh: attempt > 1 }), signal);
      try {
        const slot = await this.#hold(model, { keepAlive, onlyIfWarm, isQueued, signal });
        const began = this.#clock.monotonic();
        return createLease(slot.backend!, model, () => {
          if (isQueued) slot.pace.ended(began, this.#clock.monotonic());
          this.#release(slot, model);
        });
      } catch (error) {
        const changed = error instanceof ModelError && error.code === "identity_changed";
        if (!changed || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /**
   * Loads a model before anybody asks for it, and waits for that.
   *
   * @throws as {@link lease} does.
   */
  async preload(spec: ModelSpec, options: PreloadOptions = {}): Promise<void> {
    refuseUnknownOptions("preload a model", options, ["signal", "keepAlive"]);
    const lease = await this.#lease(spec, options, { isQueued: false });
    await lease[Symbol.asyncDispose]();
  }

  /**
   * Loads a base and keeps it until it is unpinned or unloaded, however long nobody uses it and whatever else is asked
   * for. When its files change, the pin is on the new ones once they are asked for.
   *
   * @throws as {@link lease} does; `no_room` too when more is pinned than there are places.
   */
  async pin(spec: ModelSpec, options: Pick<PreloadOptions, "signal"> = {}): Promise<void> {
    refuseUnknownOptions("pin a model", options, ["signal"]);
    // Held meanwhile, so that it cannot be evicted before it is pinned.
    const lease = await this.#lease(withAdapter(spec, null), options, { isQueued: false });
    try {
      const { base } = lease;
      if (!this.#pins.has(base.identity) && this.#pins.count === this.maxLoaded) {
        throw noRoom(base, `no more than ${this.maxLoaded} bases may be in memory, and as many are pinned`);
      }
      this.#pins.add(spec, base.identity);
      this.#tell({ type: "pinned", base: base.name, identity: base.identity });
    } finally {
      await lease[Symbol.asyncDispose]();
    }
  }

  /** Lets a pinned base be evicted again; returns whether it was pinned. */
  unpin(spec: ModelSpec): boolean {
    const identity = this.#pins.remove(spec);
    if (identity === undefined) return false;
    this.#tell({ type: "unpinned", base: spec.base, identity });
    this.#schedule();
    return true;
  }

  /**
   * Takes a base out of memory, and waits until it is gone; one that is pinned is unpinned. Requests that use it, or wait
   * for its load, are served before that, later ones load it anew. Returns whether it was there.
   */
  async unload(spec: ModelSpec, options: UnloadOptions = {}): Promise<boolean> {
    refuseUnknownOptions("unload a model", options, ["force"]);
    const { force = false } = options;
    // Where its files are gone or broken, what was loaded under its name goes all the same.
    const identity = await this.#identify(withAdapter(spec, null), {}).then(
      ({ base }) => base.identity,
      () => undefined,
    );
    this.unpin(spec);
    const isMeant = ({ name, dtype }: ResolvedBase): boolean =>
      name === spec.base && (spec.dtype === "auto" || dtype === spec.dtype);
    const slots = [...this.#slots.values()].filter(({ base }) => isMeant(base) || base.identity === identity);
    for (const slot of slots) {
      if (slot.state === "loading" && slot.waiting.size > 0 && !force) slot.goesOnceLoaded = true;
      else this.#retire(slot, "unload");
      if (force && slot.state === "draining") this.#end(slot);
    }
    this.#schedule();
    await Promise.all(slots.map(({ gone }) => gone.promise));
    return slots.length > 0;
  }

  /** What is loaded, loading, closing or in cooldown now, most recently used last. */
  loaded(): LoadedModel[] {
    const slots = [...this.#leaving, ...this.#slots.values()].sort((one, other) => one.lastUse - other.lastUse);
    return [
      ...this.#cooldowns.resting().map(describeFailure),
      ...slots.map((slot) => describeSlot(slot, this.#isPinned(slot))),
    ];
  }

  /**
   * Takes no more leases, refuses waiting requests with `closed`, aborts loads, and resolves when every lease is
   * disposed, or its time is up, and every Worker gone. For the end of the program; there is no way back.
   */
  evictAll({ timeout = Infinity }: EvictAllOptions = {}): Promise<void> {
    if (this.#emptied !== undefined) return this.#emptied.promise;
    this.#emptied = Promise.withResolvers();
    for (const waiter of this.#queue.splice(0)) waiter.refuse(shuttingDown());
    for (const slot of [...this.#slots.values()]) this.#retire(slot, "shutdown");
    this.#schedule();
    const deadline = new Alarm(this.#clock, () => {
      for (const slot of [...this.#leaving]) this.#end(slot);
    });
    deadline.set(this.#clock.monotonic() + timeout);
    void this.#emptied.promise.then(() => deadline.set(Infinity));
    return this.#emptied.promise;
  }

  /** Resolves with a warm slot on which this request is counted. */
  #hold(
    model: ResolvedModel,
    { keepAlive, onlyIfWarm, isQueued, signal }: {
      keepAlive: Milliseconds;
      onlyIfWarm: boolean;
      /** It counts in the queue: one that only loads does not, and gives the model back at once. */
      isQueued: boolean;
      signal: AbortSignal | undefined;
    },
  ): Promise<Slot> {
    signal?.throwIfAborted();
    this.#refuseWhenClosed();
    const { base } = model;
    this.#pins.follow(model.spec, base.identity);
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const waiter: Waiter = { model, keepAlive, since: this.#clock.monotonic(), admit: resolve, refuse: reject };
    const slot = this.#slots.get(base.identity);
    const mayJoin = slot !== undefined && (this.#isPinned(slot) || !this.#someoneWaitedLong());
    if (onlyIfWarm && !(mayJoin && slot.state === "warm")) throw notWarm(base);
    if (isQueued && !(mayJoin && this.#isFree(slot))) this.#refuseWhenFull(base, slot);
    if (mayJoin) this.#admit(waiter, slot);
    else {
      const failure = slot === undefined ? this.#whyNot(base) : undefined;
      if (failure !== undefined) throw failure;
      this.#queue.push(waiter);
      this.#schedule();
    }
    const abandon = (): void => this.#abandon(waiter, signal!.reason);
    signal?.addEventListener("abort", abandon, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", abandon));
  }

  /** Whether a request that is admitted goes on at once. */
  #isFree({ base, state, leases }: Slot): boolean {
    return state === "warm" && (leases === 0 || base.kind === "api");
  }

  #refuseWhenFull(base: ResolvedBase, slot: Slot | undefined): void {
    const { maxQueue, maxQueuePerModel } = this.#queueLimits;
    if (maxQueue === Infinity && maxQueuePerModel === Infinity) return;
    const forRoom = this.#queue.filter(({ model }) => model.base.identity === base.identity).length;
    const here = forRoom + (slot === undefined ? 0 : queuedOn(slot));
    const pace = slot?.pace;
    if (here >= maxQueuePerModel) {
      throw queueFull(base, { queued: here, most: maxQueuePerModel, everywhere: false, pace });
    }
    const { queued } = this;
    if (queued >= maxQueue) throw queueFull(base, { queued, most: maxQueue, everywhere: true, pace });
  }

  #someoneWaitedLong(): boolean {
    const first = this.#queue[0];
    return first !== undefined && this.#clock.monotonic() - first.since >= PATIENCE;
  }

  #admit(waiter: Waiter, slot: Slot): void {
    const { adapter } = waiter.model;
    slot.leases++;
    slot.keepAlive = waiter.keepAlive;
    slot.lastAdapter = adapter?.name ?? null;
    if (adapter !== undefined) slot.adapters.begin(adapter);
    this.#touch(slot);
    if (slot.state === "loading") slot.waiting.add(waiter);
    else waiter.admit(slot);
  }

  #touch(slot: Slot): void {
    slot.lastUse = ++this.#uses;
    slot.lastUsed = this.#clock.now();
    slot.usedAt = this.#clock.monotonic();
  }

  #release(slot: Slot, { adapter }: ResolvedModel): void {
    slot.leases--;
    if (adapter !== undefined) slot.adapters.end(adapter);
    this.#touch(slot);
    this.#dropAdapters(slot);
    if (slot.leases === 0 && slot.state === "draining") this.#end(slot);
    this.#schedule();
  }

  /** Lets go of adapters, where there are more than may be. */
  #dropAdapters(slot: Slot): void {
    const { backend, state } = slot;
    if (backend === undefined || state !== "warm") return;
    for (const { name, identity } of slot.adapters.takeLeastUsed(backend.adapters, this.maxAdapters)) {
      // A Worker that died meanwhile says so itself.
      backend.dropAdapter(identity).catch(() => {});
      this.#tell({ type: "adapter_dropped", ...about(slot), adapter: name });
    }
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
    if (slot !== undefined) {
      slot.leases--;
      if (waiter.model.adapter !== undefined) slot.adapters.end(waiter.model.adapter);
    }
    this.#schedule();
  }

  /**
   * Lets go of what was kept long enough, serves the queue as far as there is room, then makes room for the rest. Called
   * after every change that may let somebody go on.
   */
  #schedule(): void {
    const now = this.#clock.monotonic();
    for (const slot of [...this.#slots.values()]) {
      if (this.#isIdle(slot) && now >= slot.usedAt + slot.keepAlive) this.#retire(slot, "idle");
    }
    for (let first; (first = this.#queue[0]) !== undefined;) {
      const { base } = first.model;
      const resident = this.#slots.get(base.identity);
      const failure = resident === undefined ? this.#whyNot(base) : undefined;
      if (resident === undefined && failure === undefined && !this.#hasRoom(base)) break;
      const company = this.#takeFromQueue(base.identity);
      if (failure !== undefined) {
        for (const waiter of company) waiter.refuse(failure);
        continue;
      }
      const slot = resident ?? coldSlot(base, this.#budget.expected(base));
      this.#slots.set(base.identity, slot);
      for (const waiter of company) this.#admit(waiter, slot);
      if (resident === undefined) void this.#fill(slot, now - first.since);
    }
    this.#makeRoom(now);
    this.#alarm.set(this.#nextChange(now));
    if (this.#slots.size + this.#leaving.size === 0) this.#emptied?.resolve();
  }

  #makeRoom(now: Milliseconds): void {
    const wanted = new Map(this.#queue.map(({ model }) => [model.base.identity, model.base]));
    const needs = [...wanted].filter(([identity]) => !this.#slots.has(identity)).map(([, base]) =>
      this.#budget.need(base)
    );
    for (const slot of [...this.#slots.values()].sort((one, other) => one.lastUse - other.lastUse)) {
      const isGivenUp = slot.state === "loading" && slot.waiting.size === 0 && !this.#isPinned(slot);
      if (isGivenUp && !fits(needs[0] ?? NO_ROOM, this.#free())) this.#retire(slot, "room");
    }
    // Those that are leaving were chosen before; what they hold goes free in any case.
    const free = this.#free();
    const residents = [...this.#slots.values()].map((slot) => this.#resident(slot, now));
    for (const { slot } of chooseVictims(residents, free, [NO_ROOM, ...needs])) this.#retire(slot, "room");
  }

  /** When time alone will change something, on the monotonic clock. */
  #nextChange(now: Milliseconds): Milliseconds {
    const isPressed = this.#queue.length > 0 || !fits(NO_ROOM, this.#free());
    const times = [...this.#slots.values()].filter((slot) => this.#isIdle(slot)).flatMap((slot) => {
      const grown = isPressed ? [this.#grownAt(slot)] : [];
      return [slot.usedAt + slot.keepAlive, ...grown];
    });
    return Math.min(Infinity, ...times.filter((time) => time > now));
  }

  #resident(slot: Slot, now: Milliseconds): Resident & { readonly slot: Slot } {
    return {
      slot,
      takes: takenBy(slot),
      leases: slot.leases,
      isLoading: slot.state === "loading",
      isPinned: this.#isPinned(slot),
      isYoung: now < this.#grownAt(slot),
      idle: now - slot.usedAt,
      loadTime: slot.loadTime,
      lastUse: slot.lastUse,
    };
  }

  /** Until when a base stays whatever others need. */
  #grownAt({ loadedAt, loadTime }: Slot): Milliseconds {
    return loadedAt + Math.min(loadTime, this.#minimumStay);
  }

  #isIdle(slot: Slot): boolean {
    return slot.state === "warm" && slot.leases === 0 && !this.#isPinned(slot);
  }

  #isPinned({ base }: Slot): boolean {
    return this.#pins.has(base.identity);
  }

  /** What is left beside all that take leases. */
  #free(): Room {
    return this.#budget.beside(this.#slots.values());
  }

  /** Whether a base can be loaded now. */
  #hasRoom(base: ResolvedBase): boolean {
    return fits(this.#budget.need(base), this.#budget.beside([...this.#slots.values(), ...this.#leaving]));
  }

  /** Why a base need not be waited for; `undefined` when it can be. */
  #whyNot(base: ResolvedBase): ModelError | undefined {
    const pinned = [...this.#slots.values()].filter((slot) => this.#isPinned(slot));
    return this.#cooldowns.check(base) ?? this.#budget.whyNot(base, pinned);
  }

  #takeFromQueue(identity: string): Waiter[] {
    const taken = this.#queue.filter(({ model }) => model.base.identity === identity);
    const left = this.#queue.filter(({ model }) => model.base.identity !== identity);
    this.#queue.splice(0, this.#queue.length, ...left);
    return taken;
  }

  async #fill(slot: Slot, waited: Milliseconds): Promise<void> {
    const started = this.#clock.monotonic();
    const bytes = slot.predicted.wasm + slot.predicted.gpu;
    this.#tell({ type: "loading", ...about(slot), bytes, waitedSeconds: waited / 1000 });
    let backend: Backend;
    try {
      backend = await this.#load(slot.base, slot.abort.signal);
    } catch (error) {
      return this.#loadFailed(slot, error);
    }
    slot.backend = backend;
    slot.loadedAt = this.#clock.monotonic();
    slot.loadTime = slot.loadedAt - started;
    this.#budget.measured(slot.base, memoryOf(backend));
    this.#cooldowns.succeed(slot.base);
    void backend.closed.then((reason) => this.#workerGone(slot, reason));
    this.#tell({ type: "loaded", ...about(slot), seconds: slot.loadTime / 1000, bytes: bytesOf(slot) });
    if (slot.state !== "loading") return this.#end(slot);
    slot.state = "warm";
    for (const waiter of slot.waiting) waiter.admit(slot);
    slot.waiting.clear();
    if (slot.goesOnceLoaded) this.#retire(slot, "unload");
    this.#schedule();
  }

  #loadFailed(slot: Slot, cause: unknown): void {
    if (slot.state === "loading") {
      const changed = cause instanceof ModelError && cause.code === "identity_changed";
      const { error, retryAt } = changed ? { error: cause, retryAt: null } : this.#cooldowns.fail(slot.base, cause);
      this.#tell({ type: "load_failed", ...about(slot), error, retryAt });
      for (const waiter of slot.waiting) waiter.refuse(error);
    } else this.#tell({ type: "load_aborted", ...about(slot) });
    this.#gone(slot);
  }

  /** Takes a base out of use. Its place stays taken until its load has come to its end, or its Worker is gone. */
  #retire(slot: Slot, reason: EvictionReason): void {
    const { state } = slot;
    slot.evictedFor = reason;
    slot.state = "draining";
    this.#slots.delete(slot.base.identity);
    this.#leaving.add(slot);
    this.#tell({ type: "draining", ...about(slot), reason, leases: slot.leases });
    if (state === "loading") {
      const error = reason === "shutdown" ? shuttingDown() : unloaded(slot.base);
      for (const waiter of slot.waiting) waiter.refuse(error);
      slot.waiting.clear();
      slot.leases = 0;
      slot.abort.abort(error);
    } else if (slot.leases === 0) this.#end(slot);
  }

  /** Ends its Worker, if it has one, leased or not. */
  #end(slot: Slot): void {
    if (slot.backend !== undefined && slot.state === "draining") void this.#close(slot, slot.backend);
  }

  async #close(slot: Slot, backend: Backend): Promise<void> {
    slot.state = "closing";
    const bytes = bytesOf(slot);
    const now = this.#clock.monotonic();
    const seconds = {
      idleSeconds: (now - slot.usedAt) / 1000,
      loadSeconds: slot.loadTime / 1000,
      ageSeconds: (now - slot.loadedAt) / 1000,
    };
    this.#budget.measured(slot.base, memoryOf(backend));
    try {
      await backend.close();
    } catch (error) {
      this.#tell({ type: "close_failed", ...about(slot), error });
    }
    const closeSeconds = (this.#clock.monotonic() - now) / 1000;
    this.#tell({ type: "evicted", ...about(slot), reason: slot.evictedFor, bytes, ...seconds, closeSeconds });
    this.#gone(slot);
  }

  #workerGone(slot: Slot, error: Error | undefined): void {
    if (slot.state === "closing" || slot.state === "closed") return;
    this.#tell({ type: "worker_lost", ...about(slot), error });
    this.#gone(slot);
  }

  #gone(slot: Slot): void {
    slot.state = "closed";
    slot.gone.resolve();
    // A slot that was leaving may have a successor in the table by now.
    if (!this.#leaving.delete(slot)) this.#slots.delete(slot.base.identity);
    this.#schedule();
  }

  #tell(event: WarmEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch {
        // Not ours to handle, and no state may depend on who listens.
      }
    }
  }

  #refuseWhenClosed(): void {
    if (this.#emptied !== undefined) throw shuttingDown();
  }
}

function specFor(spec: ModelSpec, { adapter }: IdentifyOptions): ModelSpec {
  return adapter === undefined ? spec : withAdapter(spec, adapter);
}

function bytesOf({ backend }: Slot): number {
  const { wasm, gpu } = memoryOf(backend!);
  return wasm + gpu;
}

function about({ base }: Slot): { base: string; identity: string } {
  return { base: base.name, identity: base.identity };
}
