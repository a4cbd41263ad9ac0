/**
 * What becomes of every request, told once it is over: the log, the metrics and the dashboard all live on it. Who asked,
 * what for, how it ended and what it cost; never what was said.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { LookupOutcome } from "../../cache/ledger/statistics.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** Names of models that are longer are nobody's. */
const LONGEST_NAME = 512;

/** What a route knows of a request, noted as it becomes known. */
export interface RequestFacts {
  /** The pattern of the route that answers it, such as `/v1/models/:name`: never a path with somebody's words in it. */
  route?: string;
  /** The id of the caller's API key. */
  keyId?: string;
  /** The model that was asked for, in the caller's words. */
  model?: string;
  /** Of a model of this server's, the identity of its base, by which it is known whether it is in memory. */
  baseIdentity?: string;
  /** `local`, or the upstream's name. */
  provider?: string;
  /** How it fared in the response cache; `shared`: another request's call answered it. */
  cache?: LookupOutcome | "shared";
  /** What the answer cost, or, on a hit, would have cost, in millionths of a US dollar. */
  costMicrodollars?: number;
  /** On a hit, how long the provider took when the answer was bought. */
  savedLatency?: Milliseconds;
  /** How long it waited for its model: for room, and for the load. */
  queueTime?: Milliseconds;
  /** The `code` of the error that it was refused with, or its type where it has none. */
  errorCode?: string;
}

/** A request that is over. */
export interface RequestRecord extends Readonly<RequestFacts> {
  /** Its `X-Request-Id`. */
  readonly id: string;
  /** When it came, in milliseconds since 1970. */
  readonly time: Milliseconds;
  readonly method: string;
  /** HTTP status; 499 where the client left before there was one. */
  readonly status: number;
  /** Until the headers of its answer were there. */
  readonly firstByteTime: Milliseconds;
  /** Until the last byte was handed over, or the client had left; of an answer that is no stream, until it was there. */
  readonly duration: Milliseconds;
  /** Whether its answer was a stream of events. */
  readonly isStream: boolean;
  /** Whether the client left before the end. */
  readonly isAborted: boolean;
}

/** A request under way. */
export interface WatchedRequest {
  readonly facts: RequestFacts;
  /**
   * Has it known how the request fared in the cache. `status` is read at the end, since that of a stream is filled in no
   * earlier; `begun` is what is known of it now.
   */
  fared(status: CacheStatus, begun?: CacheStatus): void;
  /** The headers are there. */
  answered(status: number, options?: { readonly isStream?: boolean }): void;
  /** Calls `run` when it is over; at once where it is already. */
  whenOver(run: () => void): void;
  /** It is over; said more than once, the first time counts. */
  ended(options?: { readonly isAborted?: boolean }): void;
}

/** Watches requests. */
export class RequestWatch {
  readonly #clock: Clock;
  readonly #listeners = new Set<(record: RequestRecord) => void>();
  #running = 0;
  #streams = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many requests are under way. */
  get running(): number {
    return this.#running;
  }

  /** How many of them have begun to be answered by a stream of events. */
  get streams(): number {
    return this.#streams;
  }

  /**
   * Has `listener` hear of every request that is over, until the function that is returned is called. What it throws is
   * ignored.
   */
  on(listener: (record: RequestRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins to watch one. */
  begin(id: string, method: string): WatchedRequest {
    const time = this.#clock.now();
    const began = this.#clock.monotonic();
    const facts: RequestFacts = {};
    let lookup: { readonly status: CacheStatus; readonly begun: CacheStatus } | undefined;
    let status = 499;
    let isStream = false;
    let firstByteTime: Milliseconds | undefined;
    let isOver = false;
    let atEnd: (() => void) | undefined;
    this.#running++;
    return {
      facts,
      fared: (status, begun = status) => {
        lookup = { status, begun };
      },
      answered: (as, { isStream: streams = false } = {}) => {
        status = as;
        firstByteTime = this.#clock.monotonic() - began;
        if (streams && !isStream && !isOver) this.#streams++;
        isStream = streams;
      },
      whenOver: (run) => {
        if (isOver) return run();
        const before = atEnd;
        atEnd = before === undefined ? run : () => (before(), run());
      },
      ended: ({ isAborted = false } = {}) => {
        if (isOver) return;
        isOver = true;
        atEnd?.();
        this.#running--;
        if (isStream) this.#streams--;
        if (this.#listeners.size === 0) return;
        const duration = this.#clock.monotonic() - began;
        const record: RequestRecord = {
          ...facts,
          ...(facts.model !== undefined && { model: nameOf(facts.model) }),
          ...(lookup && lookupFacts(lookup.status.outcome === undefined ? lookup.begun : lookup.status)),
          id,
          time,
          method,
          status,
          isStream,
          isAborted,
          duration,
          firstByteTime: firstByteTime ?? duration,
        };
        this.#tell(record);
      },
    };
  }

  #tell(record: RequestRecord): void {
    for (const listener of this.#listeners) {
      try {
        listener(record);
      } catch {
        // No answer may depend on who listens.
      }
    }
  }
}

/**
 * A name that may be kept: some listeners keep records for as long as the server lives, and a name may be as long as a
 * request. Not cut off, for what is cut from a string keeps all of it in memory.
 */
function nameOf(model: string): string {
  return model.length > LONGEST_NAME ? `(a name of ${model.length} characters)` : model;
}

function lookupFacts(
  { outcome, shared, expiredServed, costMicrodollars, latency }: CacheStatus,
): Pick<RequestFacts, "cache" | "costMicrodollars" | "savedLatency"> {
  const facts: Pick<RequestFacts, "cache" | "costMicrodollars" | "savedLatency"> = {};
  const isHit = outcome === "hit" || expiredServed === true;
  if (isHit) facts.cache = "hit";
  else if (shared) facts.cache = "shared";
  else if (outcome !== undefined) facts.cache = outcome;
  if (typeof costMicrodollars === "number") facts.costMicrodollars = costMicrodollars;
  if (isHit && typeof latency === "number") facts.savedLatency = latency;
  return facts;
}
