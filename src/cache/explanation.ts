/**
 * What is known of a request: what is stored under it, what failed, and what comes nearest.
 *
 * @module
 */

import type { RequestRecord, Store } from "../store/store.ts";
import { explainText, type Explanation as Nearest, type NearRequest, rank } from "./explain.ts";
import { type FailureMemory, failureText } from "./failures.ts";
import { decodeText } from "./json.ts";
import type { CacheRequest } from "./request.ts";

/** Why a request is a hit, or none. */
export interface Explanation {
  /** The request's key in hexadecimal; `null` when it has none. */
  readonly key: string | null;
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
/** A request as near as this is found without looking at other models. */
const NEAR = 0.9;

/** @throws CacheError when the store cannot be read. */
export async function explainRequest(
  store: Store,
  failures: FailureMemory,
  request: CacheRequest,
): Promise<Explanation> {
  const { model, record } = request;
  const [found] = await store.lookup(model, [{ key: record.key, samples: Number.MAX_SAFE_INTEGER }]);
  const failed = await failures.last(request);
  const asked = { ...record, body: JSON.parse(decodeText(record.body)) };
  const sameModel = await store.nearest(record.sketch, CANDIDATES, model);
  let ranked: Nearest = rank(asked, sameModel);
  if ((ranked.nearest[0]?.similarity ?? 0) < NEAR) {
    ranked = rank(asked, distinct([...sameModel, ...await store.nearest(record.sketch, CANDIDATES)]));
  }
  const { entries, expired, stale, corrupt } = found!;
  return {
    key: hexOf(record.key),
    samples: entries.length,
    unusable: { expired, stale, corrupt },
    failures: failed ? { count: failed.count, last: failed.last, message: failureText(failed) } : null,
    nearest: ranked.nearest,
    text: explainText({ stored: entries.length > 0, nearest: ranked.nearest }),
  };
}

function distinct(records: readonly RequestRecord[]): RequestRecord[] {
  return [...new Map(records.map((record) => [hexOf(record.key), record])).values()];
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
