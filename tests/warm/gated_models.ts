/**
 * Models in memory whose loading and closing wait for the test's word, so that every moment in between can be looked
 * at. They watch their own rules: how many hold memory, and that none is closed under a lease.
 */

import { setImmediate } from "node:timers/promises";
import type {
  Ability,
  Backend,
  ModelMemory,
  OnnxBase,
  ResidentAdapter,
  ResolvedAdapter,
  ResolvedBase,
  View,
} from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { BackendCache, type BackendCacheOptions, type WarmEvent } from "../../src/warm/backend_cache.ts";
import type { ResolvedModel } from "../../src/warm/identity.ts";
import type { ModelSpec } from "../../src/warm/spec.ts";

/** A load that has started and waits. */
export interface GatedLoad {
  readonly base: ResolvedBase;
  readonly signal: AbortSignal;
  finish(): GatedBackend;
  fail(error: unknown): void;
}

/** A base in memory whose `close` waits. */
export class GatedBackend implements Backend {
  readonly base: ResolvedBase;
  memory: ModelMemory = { wasm: 1000, gpu: 0 };
  adapters: readonly ResidentAdapter[] = [];
  readonly contextLength = 256;
  readonly abilities: ReadonlySet<Ability> = new Set(["generate", "score"]);
  readonly closed: Promise<Error | undefined>;
  readonly #models: GatedModels;
  readonly #end = Promise.withResolvers<Error | undefined>();
  readonly #closing = Promise.withResolvers<void>();
  /** Whether `close` was called. */
  closeCalled = false;
  /** Whether its memory is given back. */
  ended = false;

  constructor(base: ResolvedBase, models: GatedModels) {
    this.base = base;
    this.#models = models;
    this.closed = this.#end.promise;
  }
  baseView(): View {
    return { view: "base" } as unknown as View;
  }
  adapterView(adapter: ResolvedAdapter): View {
    if (adapter.name === "broken") throw new ModelError("model_load_failed", "Cannot read adapter: broken");
    const { name, identity } = adapter;
    if (!this.adapters.some((resident) => resident.identity === identity)) {
      this.adapters = [...this.adapters, { name, identity, bytes: 10 }];
    }
    return { view: adapter.name } as unknown as View;
  }
  nullView(adapter: ResolvedAdapter): View {
    return { view: `noise like ${adapter.name}` } as unknown as View;
  }
  dropAdapter(identity: string): Promise<void> {
    this.adapters = this.adapters.filter((resident) => resident.identity !== identity);
    return Promise.resolve();
  }
  close(): Promise<void> {
    this.closeCalled = true;
    this.#models.closing.push(this);
    if (!this.#models.holdCloses) this.finishClose();
    return this.#closing.promise;
  }
  /** Lets `close` come to its end. */
  finishClose(error?: Error): void {
    this.#gone(undefined);
    if (error === undefined) this.#closing.resolve();
    else this.#closing.reject(error);
  }
  /** The Worker dies by itself. */
  die(): void {
    this.#gone(new Error("out of memory"));
    this.#closing.resolve();
  }
  #gone(reason: Error | undefined): void {
    if (this.ended) return;
    this.ended = true;
    this.#models.inMemory--;
    this.#models.backends.delete(this);
    this.#end.resolve(reason);
  }
}

/** A world of models, told by name what is in them. */
export class GatedModels {
  readonly clock: ManualClock = new ManualClock();
  readonly events: WarmEvent[] = [];
  /** Loads that wait, oldest first. */
  readonly loading: GatedLoad[] = [];
  /** Everything that was ever asked to load, by content. */
  readonly loaded: string[] = [];
  /** Backends whose `close` was called, in order. */
  readonly closing: GatedBackend[] = [];
  /** Backends that are alive. */
  readonly backends: Set<GatedBackend> = new Set();
  /** Contents by model name; the name itself where nothing is said. */
  readonly contents: Map<string, string> = new Map();
  /** Bytes of each file of a content, of which there are three; 1000 where nothing is said. */
  readonly fileSizes: Map<string, number> = new Map();
  /** `fresh` of every identification. */
  readonly identifications: boolean[] = [];
  /** Bytes that a content turns out to take once it is loaded; 1000 where nothing is said. */
  readonly sizes: Map<string, number> = new Map();
  /** Whether a started load waits for the test. */
  holdLoads = false;
  /** Whether a started close waits for the test. */
  holdCloses = false;
  /** Bases that hold memory now: loading, loaded or closing. */
  inMemory = 0;
  /** The most there ever were. */
  mostInMemory = 0;

  cache(options: Partial<BackendCacheOptions> = {}): BackendCache {
    const cache = new BackendCache({
      clock: this.clock,
      identify: (spec, { fresh = false }) => {
        this.identifications.push(fresh);
        return Promise.resolve(this.resolve(spec));
      },
      load: (base, signal) => this.#load(base, signal),
      random: () => 0.5,
      ...options,
    });
    cache.on((event) => this.events.push(event));
    return cache;
  }

  /** What the names mean now. */
  resolve(spec: ModelSpec): ResolvedModel {
    const dtype = spec.dtype === "auto" ? "fp32" : spec.dtype;
    const name = dtype === "fp32" ? spec.base : `${spec.base}:${dtype}`;
    const content = this.contents.get(name) ?? name;
    const file = { path: `/models/${spec.base}`, sha256: content, size: this.fileSizes.get(content) ?? 1000 };
    const base: OnnxBase = {
      kind: "onnx",
      name: spec.base,
      identity: `base:${content}`,
      dtype,
      device: "wasm",
      files: { graph: file, config: file, tokenizer: file },
    };
    if (spec.adapter === undefined) return { spec, base, scale: 0, identity: `view:${content}` };
    const trained = this.contents.get(`${spec.base}+${spec.adapter}`) ?? spec.adapter;
    const adapter = { name: spec.adapter, identity: trained, files: { config: file, weights: file } };
    return { spec, base, adapter, scale: 1, identity: `view:${content}+${trained}` };
  }

  /** The states of everything that `/health` would show, as `name state leases`. */
  static states(cache: BackendCache): string[] {
    return cache.loaded().map(({ base, state, leases }) => `${base} ${state} ${leases}`);
  }

  #load(base: ResolvedBase, signal: AbortSignal): Promise<Backend> {
    this.loaded.push(base.identity.slice("base:".length));
    this.mostInMemory = Math.max(this.mostInMemory, ++this.inMemory);
    const { promise, resolve, reject } = Promise.withResolvers<Backend>();
    const load: GatedLoad = {
      base,
      signal,
      finish: () => {
        this.#forget(load);
        const backend = new GatedBackend(base, this);
        backend.memory = { wasm: this.sizes.get(base.identity.slice("base:".length)) ?? 1000, gpu: 0 };
        this.backends.add(backend);
        resolve(backend);
        return backend;
      },
      fail: (error) => {
        this.#forget(load);
        this.inMemory--;
        reject(error);
      },
    };
    this.loading.push(load);
    if (!this.holdLoads) load.finish();
    return promise;
  }

  #forget(load: GatedLoad): void {
    this.loading.splice(this.loading.indexOf(load), 1);
  }
}

/** Lets everything that can go on go on. */
export async function settle(): Promise<void> {
  await setImmediate();
}

/** What became of a promise so far. */
export function watch<T>(promise: Promise<T>): { state: "waiting" | "served" | "refused"; value?: T; error?: unknown } {
  const watched: ReturnType<typeof watch<T>> = { state: "waiting" };
  promise.then(
    (value) => Object.assign(watched, { state: "served", value }),
    (error) => Object.assign(watched, { state: "refused", error }),
  );
  return watched;
}
