/**
 * A {@link Store} in memory: for tests, for programs that want one run's answers only, and as the plainest example of
 * the contract. It forgets the least recently used requests once their bytes pass a limit.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type {
  EntryFields,
  Found,
  Key,
  NewEntry,
  Placement,
  RequestRecord,
  Store,
  StoredEntry,
  StoreSize,
  Want,
} from "../store.ts";

/** What a memory store needs. */
export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Bytes of answers and requests to hold at most. */
  readonly maxBytes: number;
}

/**
 * Opens an empty store.
 *
 * @throws RangeError when `maxBytes` is no positive integer.
 */
export function openMemoryStore({ clock, maxBytes }: MemoryStoreOptions): Store {
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0) {
    throw new RangeError(`Cannot open a memory store (maxBytes has to be a positive integer): ${maxBytes}`);
  }
  return new MemoryStore(clock, maxBytes);
}

/** One answer. The bytes are the store's own. */
interface Row {
  readonly fields: EntryFields;
  readonly body: Uint8Array;
}

/** All that is known of one key. */
interface Shelved {
  readonly request: RequestRecord;
  readonly rows: readonly Row[];
}

class MemoryStore implements Store {
  readonly name = "memory";
  readonly location = "memory";
  readonly #clock: Clock;
  readonly #shelved: LRUCache<string, Shelved>;
  #closed = false;

  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#shelved = new LRUCache({ maxSize: maxBytes, sizeCalculation: sizeOf });
  }

  lookup(model: string, wants: readonly Want[]): readonly Found[] {
    this.#assertOpen("look up");
    return wants.map(({ key, samples }) => this.#find(this.#shelved.get(placeOf(model, key))?.rows ?? [], samples));
  }

  put(model: string, request: RequestRecord, entries: readonly NewEntry[], placement: Placement): void {
    this.#assertOpen("store");
    const place = placeOf(model, request.key);
    const old = this.#shelved.peek(place)?.rows ?? [];
    const added = entries.map(({ body, ...fields }) => ({ fields, body: body.slice() }));
    // An expired row is not there any more: what is appended closes the gap it left.
    const rows = placement === "append"
      ? [...old.filter((row) => !this.#isExpired(row)), ...added]
      : [...added, ...old.slice(added.length)];
    const shelved = { request: { ...request, key: request.key.slice(), body: request.body.slice() }, rows };
    if (sizeOf(shelved) > this.#shelved.maxSize) {
      throw new CacheError(
        "unavailable",
        `Cannot store the answers to one request in ${this.#shelved.maxSize} bytes of memory: ${sizeOf(shelved)} bytes`,
      );
    }
    this.#shelved.set(place, shelved);
  }

  size(): StoreSize {
    this.#assertOpen("measure");
    const rows = [...this.#shelved.values()].flatMap((shelved) => shelved.rows);
    const bytes = rows.reduce((sum, { body }) => sum + body.length, 0);
    return { entries: rows.length, bodyBytes: bytes, storedBytes: bytes };
  }

  close(): void {
    this.#closed = true;
    this.#shelved.clear();
  }

  #find(rows: readonly Row[], samples: number): Found {
    const wanted = rows.slice(0, samples);
    const firstExpired = wanted.findIndex((row) => this.#isExpired(row));
    const valid = firstExpired === -1 ? wanted : wanted.slice(0, firstExpired);
    return { entries: valid.map(storedEntry), stale: false, expired: firstExpired !== -1, corrupt: false };
  }

  #isExpired({ fields: { expires } }: Row): boolean {
    return expires !== null && expires <= this.#clock.now();
  }

  #assertOpen(tried: string): void {
    if (this.#closed) throw new CacheError("closed", `Cannot ${tried} in the memory store: it was closed`);
  }
}

function storedEntry({ fields, body }: Row, sample: number): StoredEntry {
  // A copy: the caller may change what it gets, and the store must not change with it.
  const bytes = (): Uint8Array => body.slice();
  return { ...fields, sample, storedBytes: body.length, bytes, read: (use) => use(body) };
}

function sizeOf({ request, rows }: Shelved): number {
  return rows.reduce((sum, { body }) => sum + body.length, request.key.length + request.body.length);
}

/** Keys have one length, so nothing but the same key and model makes the same place. */
function placeOf(model: string, key: Key): string {
  return String.fromCharCode(...key) + model;
}
