/**
 * Requests that wait for a model to load. Whoever waits is told how far it is: in the comments of a stream, or, where an
 * answer is to come whole, in a refusal once he has waited for long enough, for clients and what lies between give up on
 * a connection that says nothing.
 *
 * @module
 */

import type { CacheDirectives } from "./cache_directives.ts";
import { reads } from "../cache/mode.ts";
import type { ResolvedBase } from "../model/backend.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import type { BackendCache } from "../warm/backend_cache.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { notWarm } from "../warm/refusals.ts";
import { CacheError } from "../store/error.ts";
import { ApiError, LONGEST_RETRY_AFTER_SECONDS } from "./api_error.ts";
import type { LocalRequest } from "./local_request.ts";

/** How far a model is that is not warm. */
export interface Loading {
  /** It is `waiting` for room, or `loading`. */
  readonly state: "waiting" | "loading";
  /** In how many seconds it should be warm; `null` where that is not known. */
  readonly eta_seconds: number | null;
}

/** Watches loads, and learns from each how long the next may take. */
export class LoadWatch {
  readonly #backends: Pick<BackendCache, "loaded">;
  readonly #clock: Clock;
  readonly #underWay = new Map<string, { readonly since: Milliseconds; readonly bytes: number }>();
  readonly #took = new Map<string, Milliseconds>();
  /** How long the last load took for each byte that it was thought to need. */
  #perByte: Milliseconds | undefined;

  /** Watches from now on. */
  constructor(backends: Pick<BackendCache, "loaded" | "on">, clock: Clock) {
    this.#backends = backends;
    this.#clock = clock;
    backends.on((event) => {
      const { type, identity } = event;
      if (type === "loading") this.#underWay.set(identity, { since: clock.monotonic(), bytes: event.bytes });
      else if (type === "loaded") this.#learn(identity, event.seconds * 1000);
      else if (type === "load_failed" || type === "load_aborted") this.#underWay.delete(identity);
    });
  }

  /** How far a base is; `undefined` when it is warm. */
  of({ identity }: Pick<ResolvedBase, "identity">): Loading | undefined {
    if (this.#backends.loaded().some((each) => each.identity === identity && each.state === "warm")) return undefined;
    const load = this.#underWay.get(identity);
    if (load === undefined) return { state: "waiting", eta_seconds: null };
    const whole = this.#took.get(identity) ?? load.bytes * (this.#perByte ?? NaN);
    const left = (load.since + whole - this.#clock.monotonic()) / 1000;
    return { state: "loading", eta_seconds: left > 0 ? Math.ceil(left) : null };
  }

  /** For how long the load has been under way that began first; 0 where none is. */
  get oldest(): Milliseconds {
    const now = this.#clock.monotonic();
    return [...this.#underWay.values()].reduce((longest, { since }) => Math.max(longest, now - since), 0);
  }

  #learn(identity: string, took: Milliseconds): void {
    const { bytes } = this.#underWay.get(identity) ?? { bytes: 0 };
    this.#underWay.delete(identity);
    this.#took.set(identity, took);
    if (bytes > 0) this.#perByte = took / bytes;
  }
}

/** What {@link unlessLoading} needs of the server. */
export interface LoadPatience {
  readonly loads: Pick<LoadWatch, "of">;
  readonly clock: Clock;
  /** For how long a request waits for its model to load. */
  readonly loadTimeout: Milliseconds;
}

/** When to ask again for what nobody can say when it will be there. */
const UNKNOWN_ETA_SECONDS = 10;

/**
 * Does what needs a model, which is given a signal that ends it. Once the model is warm it may take as long as it does.
 *
 * @throws ApiError 503 `model_loading` when the model is not warm in time; the load goes on, for whoever asks again.
 */
export async function unlessLoading<T>(
  { loads, clock, loadTimeout }: LoadPatience,
  { base }: ResolvedModel,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const leave = (): void => controller.abort(signal.reason);
  const over = new AbortController();
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave);
  const tooLate = (): void => {
    const loading = loads.of(base);
    if (loading !== undefined) controller.abort(stillLoading(base, loadTimeout, loading));
  };
  clock.sleep(loadTimeout, { signal: over.signal, background: true }).then(tooLate, () => {});
  try {
    return await work(controller.signal);
  } finally {
    over.abort();
    signal.removeEventListener("abort", leave);
  }
}

/**
 * Does what needs a model for a request that may want it only if it is warm. Where it is not, the cache may still have the
 * answer.
 *
 * @throws ModelError `not_warm`
 */
export async function unlessCold<T>(
  { loads }: Pick<LoadPatience, "loads">,
  { base }: ResolvedModel,
  { residency, directives }: Pick<LocalRequest, "residency" | "directives">,
  work: (directives: CacheDirectives) => Promise<T>,
): Promise<T> {
  if (!residency.onlyIfWarm || loads.of(base) === undefined) return await work(directives);
  const { mode = "read-write" } = directives;
  if (!reads(mode)) throw notWarm(base);
  try {
    return await work({ ...directives, mode: "replay" });
  } catch (error) {
    const isMissing = error instanceof CacheError && error.code === "replay_miss";
    throw isMissing && mode !== "replay" ? notWarm(base) : error;
  }
}

function stillLoading({ name }: ResolvedBase, timeout: Milliseconds, loading: Loading): ApiError {
  const where = loading.state === "loading" ? "is still loading" : "still waits for room";
  const seconds = Math.min(loading.eta_seconds ?? UNKNOWN_ETA_SECONDS, LONGEST_RETRY_AFTER_SECONDS);
  return new ApiError(503, "server_error", `The model ${name} ${where} after ${timeout / 1000} s: ask again`, {
    code: "model_loading",
    headers: { "Retry-After": String(seconds) },
    beside: { loading },
  });
}

/** The same for people, for the comments of a stream. */
export function inWords(name: string, loading: Loading | undefined): string {
  if (loading === undefined) return "working";
  if (loading.state === "waiting") return `${name} waits for room`;
  return `loading ${name}${loading.eta_seconds === null ? "" : `, about ${loading.eta_seconds} s left`}`;
}
