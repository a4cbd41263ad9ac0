/**
 * What is to happen once, however often it is asked for: a client that does not know whether a put arrived sends it again.
 * A server that has been started anew since remembers nothing, but the answers themselves tell.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { hexOf } from "../../runtime/hex.ts";
import { placeOf } from "../place.ts";
import type { EntryFields, NewEntry, Placement, PutOptions, RequestRecord, Store, StoredEntry } from "../store.ts";
import { Lateness } from "./calls.ts";

/** A client repeats what it sent last. */
const REMEMBERED = 65_536;

/** A put, as it came. */
export interface SentPut {
  readonly id: Uint8Array;
  readonly lateness: number;
  readonly model: string;
  readonly request: RequestRecord;
  readonly entries: readonly NewEntry[];
  readonly placement: Placement;
  readonly options: PutOptions;
}

/** Does things once by their ids. */
export class Once {
  readonly #done = new LRUCache<string, Promise<void>>({ max: REMEMBERED });
  /** The last put of each request that has one under way. */
  readonly #last = new Map<string, Promise<void>>();

  /** Whether `id` is known to have been done, or is being done. */
  has(id: Uint8Array): boolean {
    return this.#done.has(hexOf(id));
  }

  /** Does what was not done yet, and waits for what is being done. What fails may be tried again. */
  do(id: Uint8Array, work: () => Promise<void>): Promise<void> {
    const name = hexOf(id);
    const known = this.#done.get(name);
    if (known !== undefined) return known;
    const working = work();
    this.#done.set(name, working);
    working.catch(() => this.#done.delete(name));
    return working;
  }

  /**
   * Puts what was not put yet. What waited for the server replaces nothing that has been stored since: there it is added.
   */
  put(store: Store, put: SentPut): Promise<void> {
    return this.do(put.id, () =>
      this.#inTurn(placeOf(put.model, put.request.key), async () => {
        const { model, request, entries, options } = put;
        if (put.lateness === Lateness.NONE) return await store.put(model, request, entries, put.placement, options);
        const want = { key: request.key, samples: Number.MAX_SAFE_INTEGER, grace: Infinity };
        const [found] = await store.lookup(model, [want]);
        const there = found!.entries;
        if (put.lateness === Lateness.AGAIN && areAllThere(entries, there)) return;
        const since = Math.min(...entries.map(({ created }) => created));
        const placement = there.some(({ created }) => created > since) ? "append" : put.placement;
        await store.put(model, request, entries, placement, options);
      }));
  }

  /** Has the puts of a request wait for each other: what one of them finds there is to be so until it has put. */
  #inTurn(place: string, work: () => Promise<void>): Promise<void> {
    const before = this.#last.get(place);
    const working = before === undefined ? work() : before.then(work, work);
    this.#last.set(place, working);
    const forget = (): void => {
      if (this.#last.get(place) === working) this.#last.delete(place);
    };
    working.then(forget, forget);
    return working;
  }
}

/** Whether some answers are among those stored, each by itself. */
function areAllThere(entries: readonly NewEntry[], there: readonly StoredEntry[]): boolean {
  const left = [...there];
  return entries.every((entry) => {
    const at = left.findIndex((stored) => isSame(entry, stored));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

/** Whether it is the very answer: its provider took as long, and it came in the same millisecond. */
function isSame(entry: NewEntry, stored: StoredEntry): boolean {
  const fields: readonly (keyof EntryFields)[] = ["created", "latency", "expires", "outcome", "mediaType"];
  return fields.every((field) => entry[field] === stored[field]) && stored.read((bytes) => isEqual(bytes, entry.body));
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && one.every((byte, index) => byte === other[index]);
}
