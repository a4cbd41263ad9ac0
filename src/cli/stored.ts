/**
 * Walks through what is stored, some requests at a time, each with what is known of its answers: a cache of any size is
 * gone through without ever being held, and a signal ends the walk.
 *
 * @module
 */

import { nextTurn } from "../cache/flow/turns.ts";
import { type StoredRequest, storedRequest } from "../cache/request/stored_request.ts";
import { bytesOfHex, hexOf } from "../runtime/hex.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import type { Found, ListedRequest, Selection, Store, StoredEntry, Want } from "../store/store.ts";

/** What it takes to walk. */
export interface Walking {
  readonly store: Store;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Which requests. */
export type Place = Pick<Selection, "model" | "namespace">;

/** A stored request with its answers. */
export interface Stored {
  readonly request: StoredRequest;
  readonly found: Found;
}

/** Requests that are looked up at once. */
const BATCH = 64;
/** Work between two turns of the event loop. */
const SLICE: Milliseconds = 4;

/** Parts of a key that are said for the whole. */
const PREFIX = /^[0-9a-f]{1,64}$/;

/**
 * The stored requests.
 *
 * @throws CacheError when the store cannot be read; the signal's reason.
 */
export async function* requests({ store, clock, signal }: Walking, place: Place): AsyncGenerator<ListedRequest> {
  let began = clock.monotonic();
  for await (const each of store.list(place)) {
    yield each;
    signal.throwIfAborted();
    if (clock.monotonic() - began < SLICE) continue;
    await nextTurn(clock);
    began = clock.monotonic();
  }
}

/** The stored requests that `fits` says, with their answers. @throws as {@link requests} does. */
export async function* storedRequests(
  walking: Walking,
  place: Place,
  fits: (request: ListedRequest) => boolean = () => true,
): AsyncGenerator<Stored> {
  let batch: ListedRequest[] = [];
  for await (const each of requests(walking, place)) {
    if (!fits(each)) continue;
    if (batch.length === BATCH || (batch.length > 0 && batch[0]!.model !== each.model)) {
      yield* await lookedUp(walking.store, batch);
      batch = [];
    }
    batch.push(each);
  }
  if (batch.length > 0) yield* await lookedUp(walking.store, batch);
}

async function lookedUp(store: Store, batch: readonly ListedRequest[]): Promise<Stored[]> {
  const wants = batch.map(({ request }): Want => ({ key: request.key, samples: Number.MAX_SAFE_INTEGER, peek: true }));
  const found = await store.lookup(batch[0]!.model, wants);
  return batch.map((each, index) => ({ request: storedRequest(each), found: found[index]! }));
}

/**
 * The one stored request whose key begins so.
 *
 * @throws Error when there is none, or several; TypeError when that is no part of a key; as {@link requests} does.
 */
export async function requestBegun(walking: Walking, text: string, place: Place): Promise<StoredRequest> {
  const prefix = text.trim().toLowerCase();
  if (!PREFIX.test(prefix)) throw new TypeError(`Cannot find a key (expected 1 to 64 hexadecimal digits): ${text}`);
  const matching: ListedRequest[] = [];
  for await (const each of requests(walking, place)) {
    if (!hexOf(each.request.key).startsWith(prefix)) continue;
    matching.push(each);
    // A whole key is one request's.
    if (prefix.length === 64 || matching.length > MOST_NAMED) break;
  }
  const [only, ...others] = matching;
  if (only === undefined) throw new Error(`Cannot find a stored request whose key begins so: ${prefix}`);
  if (others.length === 0) return storedRequest(only);
  const named = matching.slice(0, MOST_NAMED).map(({ request }) => hexOf(request.key).slice(0, prefix.length + 6));
  const more = matching.length > MOST_NAMED ? ", …" : "";
  throw new Error(`Cannot tell which stored request is meant, say more of its key: ${named.join(", ")}${more}`);
}

/** Keys that are named where several begin alike. */
const MOST_NAMED = 5;

/** All samples of a request that may be served now. @throws CacheError */
export async function answersTo(store: Store, { key, model }: StoredRequest): Promise<readonly StoredEntry[]> {
  const [found] = await store.lookup(model, [{ key: bytesOfHex(key), samples: Number.MAX_SAFE_INTEGER, peek: true }]);
  return found!.entries;
}
