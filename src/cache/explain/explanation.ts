/**
 * What is known of a request: what is stored under it, what failed, and what comes nearest.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { FailureRecord, Found, RequestRecord, Store } from "../../store/store.ts";
import { explainText, type Explanation as Nearest, type NearRequest, rank } from "./explain.ts";
import { excerptOf } from "./excerpt.ts";
import { type FailureMemory, failureText } from "../flow/failures.ts";
import { decodeText } from "../json.ts";
import type { CacheRequest } from "../request/request.ts";

/** Why a request is a hit, or none. */
export interface Explanation {
  /** The request's key in hexadecimal; `null` when it has none. */
  readonly key: string | null;
  /** Of a request with several inputs, the index of the one that this is about. */
  readonly input?: number;
  /** Why the cache would not be asked. */
  readonly bypass?: string;
  /** How many samples are stored and may be served now. */
  readonly samples: number;
  /** Whether there are samples that may not be: expired, written under an older schema version, broken. */
  readonly unusable?: { readonly expired: boolean; readonly stale: boolean; readonly corrupt: boolean };
  /** The calls for it that failed; `null` when none did. */
  readonly failures: { readonly count: number; readonly last: number; readonly message: string } | null;
  /** Other stored requests, the one that differs least first. */
  readonly nearest: readonly NearRequest[];
  /** All of it for people, 600 UTF-16 code units at most. */
  readonly text: string;
}

/** How many stored requests are compared. */
const CANDIDATES = 32;
/** How many are looked through for those that may be told of. */
const MOST_CANDIDATES = 512;
/** A request as near as this is found without looking at other models. */
const NEAR = 0.9;

/**
 * @param sees whether the one who asks may be told of requests in a namespace.
 * @throws CacheError when the store cannot be read.
 */
export async function explainRequest(
  store: Store,
  failures: FailureMemory,
  request: CacheRequest,
  sees: (namespace: string) => boolean = () => true,
): Promise<Explanation> {
  const { model } = request;
  const record = request.record();
  const [found] = await store.lookup(model, [{ key: record.key, samples: Number.MAX_SAFE_INTEGER, peek: true }]);
  const failed = await failures.last(request);
  const asked = { ...record, body: JSON.parse(decodeText(record.body)) };
  const sameModel = await nearestSeen(store, record.sketch, sees, model);
  let ranked: Nearest = rank(asked, sameModel);
  if ((ranked.nearest[0]?.similarity ?? 0) < NEAR) {
    ranked = rank(asked, distinct([...sameModel, ...await nearestSeen(store, record.sketch, sees)]));
  }
  const { entries, expired, stale, corrupt } = found!;
  const isStored = entries.length > 0 || expired || stale || corrupt;
  return {
    key: hexOf(record.key),
    samples: entries.length,
    unusable: { expired, stale, corrupt },
    failures: failed ? { count: failed.count, last: failed.last, message: failureText(failed) } : null,
    nearest: ranked.nearest,
    text: explainText({ stored: isStored, nearest: ranked.nearest }, standingOf(found!, failed)),
  };
}

/**
 * The nearest of the requests that may be told of. However many others there are, they take no place of theirs: whoever
 * sees one of his own missing would know that somebody has asked something nearer.
 */
async function nearestSeen(
  store: Store,
  sketch: Uint8Array,
  sees: (namespace: string) => boolean,
  model?: string,
): Promise<readonly RequestRecord[]> {
  for (let limit = CANDIDATES;; limit *= 4) {
    const found = await store.nearest(sketch, limit, model);
    const seen = found.filter(({ namespace }) => sees(namespace));
    const isEnough = seen.length >= CANDIDATES || found.length < limit || limit >= MOST_CANDIDATES;
    if (isEnough) return seen.slice(0, CANDIDATES);
  }
}

/** What there is of the request itself; empty where it was never stored and never failed. */
function standingOf(
  { entries, expired, stale, corrupt }: Found,
  failed: FailureRecord | undefined,
): string {
  const reasons = Object.entries({ expired, broken: corrupt, "of an older version": stale });
  const unusable = reasons.flatMap(([reason, is]) => is ? [reason] : []).join(", ");
  const answers = entries.length > 0
    ? "The request itself is stored."
    : unusable !== ""
    ? `The request itself is stored, but what was answered is ${unusable}.`
    : "";
  if (failed === undefined) return answers;
  return `${answers} Calls for it failed (${failed.count}), at last so: ${excerptOf(failureText(failed))}.`.trimStart();
}

function distinct(records: readonly RequestRecord[]): RequestRecord[] {
  return [...new Map(records.map((record) => [hexOf(record.key), record])).values()];
}
