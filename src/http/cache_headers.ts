/**
 * What the cache tells of an answer in its headers: `Cache-Status` (RFC 9211), and of what was stored before, `Age`
 * (RFC 9111 section 5.1) and, as `Date` (RFC 9110 section 6.6.1), when it was made.
 *
 * @module
 */

import type { CacheStatus } from "../cache/call_options.ts";
import { type Mode, reads } from "../cache/mode.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import { cacheStatus, type StatusFacts } from "./cache_status.ts";

/** The headers. `mode` is the request's own wish, if it has one. */
export function cacheHeaders(
  status: CacheStatus,
  { mode, now, ...facts }: { readonly mode: Mode | undefined; readonly now: Milliseconds } & StatusFacts,
): Record<string, string> {
  const { outcome, expiredServed, created } = status;
  const isStored = (outcome === "hit" || expiredServed) && created !== undefined;
  return {
    "Cache-Status": cacheStatus(status, { ...facts, isWish: mode !== undefined && !reads(mode), now }),
    ...(isStored && {
      Age: String(Math.max(0, Math.floor((now - created) / 1000))),
      Date: new Date(created).toUTCString(),
    }),
  };
}

/** How a request for a stream fared that has just begun, if that is not known yet: it is a miss, or another's. */
export function begunStatus(status: CacheStatus, isShared: boolean, mode: Mode | undefined): CacheStatus {
  if (status.outcome !== undefined) return status;
  return { outcome: mode === undefined || reads(mode) ? "miss" : "bypass", shared: isShared };
}
