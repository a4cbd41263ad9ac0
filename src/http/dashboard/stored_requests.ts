/**
 * The stored requests as a page needs them: some of a list that may be long, without keeping the server from anything
 * else while it is gone through.
 *
 * @module
 */

import { nextTurn } from "../../cache/flow/turns.ts";
import type { StoredRequest } from "../../cache/request/stored_request.ts";
import type { ResponseCache } from "../../cache/response_cache.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** How many are on one page. */
export const PAGE_SIZE = 25;

/** How many are looked through for one page at most; what lies behind is found with narrower words. */
export const MOST_READ = 20_000;

/** Work between two turns of the event loop. */
const SLICE: Milliseconds = 4;

/** Which requests. */
export interface Wanted {
  readonly model: string | undefined;
  readonly namespace: string | undefined;
  /** In the JSON of the body, in whatever case. */
  readonly text: string;
  /** How many of those that fit are passed over. */
  readonly from: number;
}

/** Some of them. */
export interface RequestPage {
  readonly requests: readonly StoredRequest[];
  /** Whether more fit. */
  readonly hasMore: boolean;
  /** Whether the search was given up, with this many looked through. */
  readonly isCut: boolean;
}

/** What it takes to look. */
export interface Looking {
  readonly cache: Pick<ResponseCache, "list">;
  readonly clock: Clock;
  /** Aborted when nobody waits for it any more. */
  readonly signal: AbortSignal;
}

/**
 * A page of the stored requests.
 *
 * @throws CacheError when the store cannot be read; the signal's reason.
 */
export async function readPage(looking: Looking, { model, namespace, text, from }: Wanted): Promise<RequestPage> {
  const wanted = text.toLowerCase();
  const requests: StoredRequest[] = [];
  let [read, fitting] = [0, 0];
  for await (const each of walk(looking, { model, namespace })) {
    if (++read > MOST_READ) return { requests, hasMore: false, isCut: true };
    if (wanted !== "" && !JSON.stringify(each.body).toLowerCase().includes(wanted)) continue;
    if (fitting++ < from) continue;
    if (requests.length === PAGE_SIZE) return { requests, hasMore: true, isCut: false };
    requests.push(each);
  }
  return { requests, hasMore: false, isCut: false };
}

/**
 * The stored request with a key, in hexadecimal; `undefined` when there is none.
 *
 * @throws as {@link readPage} does.
 */
export async function findRequest(
  looking: Looking,
  key: string,
  place: Pick<Wanted, "model" | "namespace">,
): Promise<StoredRequest | undefined> {
  for await (const each of walk(looking, place)) if (each.key === key) return each;
  return undefined;
}

async function* walk(
  { cache, clock, signal }: Looking,
  { model, namespace }: Pick<Wanted, "model" | "namespace">,
): AsyncGenerator<StoredRequest> {
  let began = clock.monotonic();
  for await (
    const each of cache.list({ ...model !== undefined && { model }, ...namespace !== undefined && { namespace } })
  ) {
    yield each;
    if (clock.monotonic() - began < SLICE) continue;
    await nextTurn(clock);
    signal.throwIfAborted();
    began = clock.monotonic();
  }
}
