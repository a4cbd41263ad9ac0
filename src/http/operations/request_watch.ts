/**
 * What becomes of every request, told once it is over: the log, the metrics and the dashboard all live on it. Who asked,
 * what for, how it ended and what it cost; never what was said.
 *
 * @module
 */

import type { LookupOutcome } from "../../cache/ledger/statistics.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** What a route knows of a request, noted as it becomes known. */
export interface RequestFacts {
  /** The pattern of the route that answers it, such as `/v1/models/:name`: never a path with somebody's words in it. */
  route?: string;
  /** The id of the caller's API key. */
  keyId?: string;
  /** The model that was asked for, in the caller's words. */
  model?: string;
  /** `local`, or the upstream's name. */
  provider?: string;
  /** How it fared in the response cache; `shared`: another request's call answered it. */
  cache?: LookupOutcome | "shared";
  /** What the answer cost, or, on a hit, would have cost, in millionths of a US dollar. */
  costMicrodollars?: number;
  /** On a hit, how long the provider took when the answer was bought. */
  savedLatency?: Milliseconds;
  /** The `code` of the error that it was refused with. */
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
  /** Until the last byte was handed over, or the client had left. */
  readonly duration: Milliseconds;
  /** Whether its answer was a stream of events. */
  readonly isStream: boolean;
  /** Whether the client left before the end. */
  readonly isAborted: boolean;
}

/** A request under way. */
export interface WatchedRequest {
  readonly facts: RequestFacts;
  /** The headers are there. */
  answered(status: number, options?: { readonly isStream?: boolean }): void;
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

  /** Has `listener` hear of every request that is over, until the function that is returned is called. */
  on(listener: (record: RequestRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins to watch one. */
  begin(id: string, method: string): WatchedRequest {
    const time = this.#clock.now();
    const began = this.#clock.monotonic();
    const facts: RequestFacts = {};
    let status = 499;
    let isStream = false;
    let firstByteTime: Milliseconds | undefined;
    let isOver = false;
    this.#running++;
    return {
      facts,
      answered: (as, { isStream: streams = false } = {}) => {
        status = as;
        firstByteTime = this.#clock.monotonic() - began;
        if (streams && !isStream && !isOver) this.#streams++;
        isStream = streams;
      },
      ended: ({ isAborted = false } = {}) => {
        if (isOver) return;
        isOver = true;
        this.#running--;
        if (isStream) this.#streams--;
        if (this.#listeners.size === 0) return;
        const duration = this.#clock.monotonic() - began;
        const record = { ...facts, id, time, method, status, isStream, isAborted, duration };
        for (const listener of this.#listeners) listener({ ...record, firstByteTime: firstByteTime ?? duration });
      },
    };
  }
}
