/**
 * The `Cache-Status` header (RFC 9211): what the response cache did with a request.
 *
 * @module
 */

/** What a lookup came to, as far as the header tells it apart. */
export interface LookupStatus {
  readonly outcome?: "hit" | "miss" | "stale" | "expired" | "corrupt" | "bypass";
  readonly stored?: boolean;
  /** The request waited for another one with the same key and got its answer. */
  readonly shared?: boolean;
}

/** The header's value, for the cache named `warmcache`. */
export function cacheStatus({ outcome = "miss", stored = false, shared = false }: LookupStatus): string {
  if (outcome === "hit") return "warmcache; hit";
  const parameters = [`fwd=${FORWARD_REASON[outcome]}`];
  if (stored) parameters.push("stored");
  if (shared) parameters.push("collapsed");
  return ["warmcache", ...parameters].join("; ");
}

/** RFC 9211 section 2.2: why the request went past the cache. A broken row is as good as none. */
const FORWARD_REASON = {
  miss: "miss",
  stale: "stale",
  expired: "stale",
  corrupt: "miss",
  bypass: "bypass",
} as const;
