/**
 * How many requests a minute. Each key has a bucket of as many tokens as it may make requests in a minute, which fills
 * again evenly: a burst passes, and in the long run no more than was allowed. What is left of it is told with every
 * answer, in the headers that OpenAI's clients know.
 *
 * @see https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { ApiError } from "../api_error.ts";
import { retryHeaders } from "../errors.ts";

/** Whose requests are counted, as the keys know them. */
export interface Caller {
  readonly id: string;
  /** `undefined`: what the server allows everybody. */
  readonly requestsPerMinute: number | undefined;
}

/** What an answer tells of it. */
export type RateHeaders = Readonly<Record<string, string>>;

interface Bucket {
  readonly perMinute: number;
  tokens: number;
  /** When it had so many, on the monotonic clock. */
  at: Milliseconds;
}

const MINUTE: Milliseconds = 60_000;

/** What adding fractions of tokens loses; less than anybody waits for. */
const ROUNDING = 1e-9;

/** Counts the requests of each key; without keys, of all together. */
export class RateLimits {
  readonly #perMinute: number;
  readonly #clock: Pick<Clock, "monotonic">;
  /** As many as there are keys with a limit. */
  readonly #buckets = new Map<string | undefined, Bucket>();

  /** @param perMinute what everybody may do of whom nothing else is said; `Infinity` for no limit. */
  constructor(perMinute: number, clock: Pick<Clock, "monotonic">) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /**
   * Counts a request; returns what to tell of it, and nothing where there is no limit.
   *
   * @throws ApiError 429 `rate_limit_exceeded` that says when the next one passes.
   */
  take(caller: Caller | undefined): RateHeaders | undefined {
    const perMinute = caller?.requestsPerMinute ?? this.#perMinute;
    if (perMinute === Infinity) return undefined;
    const bucket = this.#filled(caller?.id, perMinute);
    if (bucket.tokens < 1 - ROUNDING) throw tooMany(bucket, caller);
    bucket.tokens = Math.max(0, bucket.tokens - 1);
    return headersOf(bucket);
  }

  #filled(id: string | undefined, perMinute: number): Bucket {
    const at = this.#clock.monotonic();
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) this.#buckets.set(id, bucket = { perMinute, tokens: sizeOf(perMinute), at });
    bucket.tokens = Math.min(sizeOf(perMinute), bucket.tokens + (at - bucket.at) * perMinute / MINUTE);
    bucket.at = at;
    return bucket;
  }
}

/** A request takes a whole token, however few a minute brings. */
function sizeOf(perMinute: number): number {
  return Math.max(1, perMinute);
}

/** How long until a bucket has so many tokens. */
function until({ tokens, perMinute }: Bucket, wanted: number): Milliseconds {
  return Math.max(0, Math.ceil((wanted - tokens - ROUNDING) / perMinute * MINUTE));
}

function tooMany(bucket: Bucket, caller: Caller | undefined): ApiError {
  const wait = until(bucket, 1);
  const who = caller === undefined ? "for this server" : `for the API key ${caller.id}`;
  const message = `Rate limit reached ${who}, ${bucket.perMinute} requests per minute: ask again in ${inWords(wait)}`;
  return new ApiError(429, "requests", message, {
    code: "rate_limit_exceeded",
    headers: { ...headersOf(bucket), ...retryHeaders(wait) },
  });
}

function headersOf(bucket: Bucket): RateHeaders {
  return {
    "x-ratelimit-limit-requests": String(bucket.perMinute),
    "x-ratelimit-remaining-requests": String(Math.floor(bucket.tokens + ROUNDING)),
    "x-ratelimit-reset-requests": inWords(until(bucket, sizeOf(bucket.perMinute))),
  };
}

/** As OpenAI writes how long something takes: `17ms`, `8.64s`, `6m0s`. */
function inWords(wait: Milliseconds): string {
  if (wait < 1000) return `${wait}ms`;
  const seconds = wait / 1000;
  if (seconds < 60) return `${Number(seconds.toFixed(3))}s`;
  // Rounded up before it is divided: no sixty seconds.
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}m${whole % 60}s`;
}
