/**
 * One status for several lookups that were one call of the cache's user.
 *
 * @module
 */

import type { CacheStatus } from "../call_options.ts";
import { sumOf } from "../flow/settled.ts";

/**
 * How all of them fared together: a hit where all are, stored where all is that was bought, shared where nothing was
 * bought and some of it was shared.
 */
export function together(statuses: readonly CacheStatus[]): CacheStatus {
  const known = statuses.filter(({ outcome }) => outcome !== undefined);
  if (known.length === 0) return {};
  const bought = known.filter(({ outcome, shared, expiredServed }) => outcome !== "hit" && !shared && !expiredServed);
  return {
    outcome: known.map(({ outcome }) => outcome!).find((outcome) => outcome !== "hit") ?? "hit",
    stored: bought.length > 0 && bought.every(({ stored }) => stored),
    shared: bought.length === 0 && known.some(({ shared }) => shared),
    expiredServed: known.some(({ expiredServed }) => expiredServed),
    costMicrodollars: sumOf(known.map(({ costMicrodollars = null }) => costMicrodollars)),
    billedMicrodollars: sumOf(known.map(({ billedMicrodollars = null }) => billedMicrodollars)),
    latency: sumOf(known.map(({ latency = null }) => latency)),
    created: least(known.map(({ created }) => created)),
    expires: least(known.map(({ expires }) => expires)) ??
      (known.some(({ expires }) => expires === null) ? null : undefined),
    why: known.map(({ why }) => why).find((why) => why !== undefined),
  };
}

/** The least of those that are known; `undefined` when none is. */
function least(times: readonly (number | null | undefined)[]): number | undefined {
  const known = times.filter((time) => typeof time === "number");
  return known.length === 0 ? undefined : Math.min(...known);
}
