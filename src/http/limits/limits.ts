/**
 * How much the server takes on. Beyond it a request is refused at once and told when to come again: what is held for
 * those who wait, read slowly or send for ever would else grow until there is no memory for anybody.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { QueueLimits } from "../../warm/queue.ts";
import { RateLimits } from "./rate_limits.ts";
import { StreamLimit } from "./stream_limit.ts";

/** How much a server takes on. */
export interface LimitOptions extends Partial<QueueLimits> {
  /** Longest body of a request that the server reads, in bytes; a longer one is refused with 413. Default: 64 MiB. */
  readonly maxBodyBytes?: number;
  /** Answers that are sent as streams of events at the same time; one more is refused with 503. Default: 4096. */
  readonly maxStreams?: number;
  /**
   * Requests a minute by the callers with one API key, to models and upstreams; without keys, by all callers together.
   * One more is refused with 429. A key may have a limit of its own. Default: any.
   */
  readonly requestsPerMinute?: number;
}

/** The names of {@link LimitOptions}, and what holds where nothing is said. */
export const DEFAULT_LIMITS: Required<LimitOptions> = {
  maxBodyBytes: 64 * 1024 * 1024,
  maxQueue: 2048,
  maxQueuePerModel: 512,
  maxStreams: 4096,
  requestsPerMinute: Infinity,
};

/** What the routes ask before they take something on. */
export interface Limits {
  /** Longest body that is read, in bytes. */
  readonly maxBodyBytes: number;
  readonly streams: StreamLimit;
  readonly rates: RateLimits;
}

/**
 * Checks what was said, and says the rest.
 *
 * @throws TypeError for an unknown name; RangeError for a limit that is no whole number from 1, or no rate above 0.
 */
export function checkLimits(options: LimitOptions): Required<LimitOptions> {
  refuseUnknownOptions("limit a server", options, Object.keys(DEFAULT_LIMITS));
  const checked = { ...DEFAULT_LIMITS, ...options };
  for (const [name, limit] of Object.entries(checked)) {
    const isRate = name === "requestsPerMinute";
    if (isRate ? limit > 0 : limit === Infinity || (Number.isSafeInteger(limit) && limit >= 1)) continue;
    const needed = isRate ? "a number above 0" : "a whole number from 1, or Infinity";
    throw new RangeError(`Cannot limit a server (${needed} is needed): ${name} is ${limit}`);
  }
  return checked;
}

/** What limits the routes. How many wait for models is the backend cache's to know. */
export function limitsOf(
  { maxBodyBytes, maxStreams, requestsPerMinute }: Required<LimitOptions>,
  clock: Clock,
): Limits {
  return {
    maxBodyBytes,
    streams: new StreamLimit(maxStreams),
    rates: new RateLimits(requestsPerMinute, clock),
  };
}
