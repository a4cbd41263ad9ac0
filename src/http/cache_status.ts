/**
 * The `Cache-Status` header (RFC 9211): what the response cache did with a request.
 *
 * @module
 */

import type { CacheStatus } from "../cache/call_options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";

/** A lookup, as far as the header tells it. */
export type LookupStatus = Pick<
  CacheStatus,
  "outcome" | "stored" | "shared" | "expiredServed" | "expires" | "why"
>;

/** What else is known of a request. */
export interface StatusFacts {
  /** The status of the provider's answer. */
  readonly forwardStatus?: number | undefined;
  /** It is the request's own wish that the cache was not asked. */
  readonly isWish?: boolean;
  /** The time, by which it is known for how long the answer will do. */
  readonly now?: Milliseconds;
}

/** The header's value, for the cache named `warmcache`. */
export function cacheStatus(status: LookupStatus, { forwardStatus, isWish = false, now }: StatusFacts = {}): string {
  const { outcome = "miss", stored = false, shared = false, expiredServed = false, expires = null, why } = status;
  const isHit = outcome === "hit" || expiredServed;
  const forwarded = outcome === "bypass" && isWish ? "request" : FORWARD_REASON[outcome];
  return [
    "warmcache",
    isHit ? "hit" : `fwd=${forwarded}`,
    ...(forwardStatus === undefined || isHit ? [] : [`fwd-status=${forwardStatus}`]),
    ...(now === undefined || expires === null ? [] : [`ttl=${Math.floor((expires - now) / 1000)}`]),
    ...(stored && !isHit ? ["stored"] : []),
    ...(shared ? ["collapsed"] : []),
    ...(why === undefined ? [] : [`detail=${quoted(why)}`]),
  ].join("; ");
}

/** RFC 9211 section 2.2: why the request went past the cache. A broken row is as good as none. */
const FORWARD_REASON = {
  hit: "miss",
  miss: "miss",
  stale: "stale",
  expired: "stale",
  corrupt: "miss",
  bypass: "bypass",
} as const;

const LONGEST_DETAIL = 160;

/** A string of RFC 8941. What an error says of the inside, where files lie for one, is for the log. */
export function quoted(why: string): string {
  const text = why.startsWith("Cannot ") ? "the store failed" : why.slice(0, LONGEST_DETAIL);
  return `"${text.replaceAll(/[^\x20-\x7e]/g, "?").replaceAll(/["\\]/g, "\\$&")}"`;
}
