/**
 * A {@link Store} in memory: for tests, for programs that want one run's answers only, and as the plainest example of
 * the contract. It forgets the least recently used requests once their bytes pass a limit.
 *
 * @module
 */

import { placeOf } from "../place.ts";
import { LRUCache } from "lru-cache";
import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { FailuresInMemory } from "../failures_in_memory.ts";
import { refuseOddSketch } from "../limits.ts";
import { NearestSketches } from "../nearest.ts";
import type {
  EntryFields,
  Failures,
  Found,
  Key,
  ListedRequest,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoredEntry,
  StoreSize,
  Want,
} from "../store.ts";

/** What a memory store needs. */
export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Bytes of answers and requests to hold at most. Failures take a sixteenth of that besides. */
  readonly maxBytes: number;
  /** Where it is, for people, where there is more to be said than that. Default: `memory`. */
  readonly location?: string;
}

/**
 * Opens an empty store.
 *
 * @throws RangeError when `maxBytes` is no positive integer.
 */
export function openMemoryStore({ clock, maxBytes, location = "memory" }: MemoryStoreOptions): Store {
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0) {
    throw new RangeError(`Cannot open a memory store (maxBytes has to be a positive integer): ${maxBytes}`);
  }
  return new MemoryStore(clock, maxBytes, location);
}

/** One answer. The bytes are the store's own. */
interface Row {
  readonly fields: EntryFields;
  readonly body: Uint8Array;
}

/** A request of one model with its answers. */
interface Shelved {
  readonly model: string;
  readonly request: RequestRecord;
  readonly tags: ReadonlySet<string>;
  readonly rows: readonly Row[];
}

class MemoryStore implements Store {
  readonly name = "memory";
  readonly location: string;
  readonly failures: Failures = {
    record: (model, key, failure) => {
      this.#assertOpen("record a failure");
      this.#failures.record(model, key, failure);
    },
    last: (model, key) => {
      this.#assertOpen("look for a failure");
      return this.#failures.last(model, key);
    },
  };
  readonly #clock: Clock;
  readonly #shelved: LRUCache<string, Shelved>;
  readonly #failures: FailuresInMemory;
  #closed = false;

  constructor(clock: Clock, maxBytes: number, location: string) {
    this.location = location;
    this.#clock = clock;
    this.#shelved = new LRUCache({ maxSize: maxBytes, sizeCalculation: sizeOf });
    this.#failures = new FailuresInMemory(Math.ceil(maxBytes / 16));
  }

  lookup(model: string, wants: readonly Want[]): readonly Found[] {
    this.#assertOpen("look up");
    return wants.map(({ key, samples, grace = 0, peek = false }) => {
      const place = placeOf(model, key);
      const shelved = peek ? this.#shelved.peek(place) : this.#shelved.get(place);
      return this.#find(shelved?.rows ?? [], samples, grace);
    });
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): void {
    this.#assertOpen("store");
    refuseOddSketch(request);
    const place = placeOf(model, request.key);
    const old = this.#shelved.peek(place);
    const added = entries.map(({ body, ...fields }) => ({ fields, body: body.slice() }));
    const shelved: Shelved = {
      model,
      request: copyOf(request),
      tags: new Set([...old?.tags ?? [], ...tags]),
      rows: this.#placed(old?.rows ?? [], added, placement),
    };
    if (sizeOf(shelved) > this.#shelved.maxSize) {
      throw new CacheError(
        "unavailable",
        `Cannot store the answers to one request in ${this.#shelved.maxSize} bytes of memory: ${sizeOf(shelved)} bytes`,
      );
    }
    this.#shelved.set(place, shelved);
  }

  remove(selection: Selection): Removed {
    this.#assertOpen("remove entries");
    const keys = selection.keys && new Set(selection.keys.map(nameOf));
    let [entries, storedBytes] = [0, 0];
    for (const [place, shelved] of [...this.#shelved.entries()]) {
      if (keys?.has(nameOf(shelved.request.key)) === false || !fitsRequest(shelved, selection)) continue;
      const rows = shelved.rows.filter((row) => !fitsRow(row, selection));
      if (rows.length === shelved.rows.length) continue;
      entries += shelved.rows.length - rows.length;
      storedBytes += bytesOf(shelved.rows) - bytesOf(rows);
      if (rows.length > 0) {
        this.#shelved.set(place, { ...shelved, rows });
      } else {
        this.#shelved.delete(place);
        this.#failures.forget(shelved.model, hexOf(shelved.request.key));
      }
    }
    this.#forgetFailures(selection);
    return { entries, storedBytes };
  }

  nearest(sketch: Uint8Array, limit: number, model?: string): readonly RequestRecord[] {
    this.#assertOpen("look for requests");
    const near = new NearestSketches(sketch, limit);
    const requests = [...this.#shelved.values()]
      .filter((shelved) => model === undefined || shelved.model === model)
      .map((shelved) => shelved.request);
    for (const [index, request] of requests.entries()) near.offer(index, request.sketch);
    return near.best().map(({ id }) => copyOf(requests[id]!));
  }

  async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    this.#assertOpen("list requests");
    for (const shelved of [...this.#shelved.values()]) {
      const { model, request, tags } = shelved;
      if (fitsRequest(shelved, selection)) yield { model, request: copyOf(request), tags: [...tags] };
    }
  }

  size(): StoreSize {
    this.#assertOpen("measure");
    const rows = [...this.#shelved.values()].flatMap((shelved) => shelved.rows);
    const bytes = bytesOf(rows);
    const totalBytes = this.#shelved.calculatedSize + this.#failures.bytes;
    return { entries: rows.length, bodyBytes: bytes, storedBytes: bytes, totalBytes };
  }

  modelSizes(): ReadonlyMap<string, StoreSize> {
    this.#assertOpen("measure");
    const byModel = Map.groupBy(this.#shelved.values(), ({ model }) => model);
    return new Map([...byModel].map(([model, shelved]) => {
      const rows = shelved.flatMap(({ rows }) => rows);
      const bytes = bytesOf(rows);
      const totalBytes = shelved.reduce((sum, each) => sum + sizeOf(each), 0);
      return [model, { entries: rows.length, bodyBytes: bytes, storedBytes: bytes, totalBytes }];
    }));
  }

  close(): void {
    this.#closed = true;
    this.#shelved.clear();
    this.#failures.clear();
  }

  #find(rows: readonly Row[], samples: number, grace: Milliseconds): Found {
    const now = this.#clock.now();
    const fresh: Row[] = [];
    const late: Row[] = [];
    let expired = false;
    for (const row of rows) {
      if (!isExpired(row, now)) fresh.push(row);
      else if (!isExpired(row, now - grace)) late.push(row);
      else expired = true;
      if (fresh.length >= samples) break;
    }
    const entries = [...fresh, ...late].slice(0, samples).map(storedEntry);
    return { entries, stale: false, expired, corrupt: false };
  }

  #placed(old: readonly Row[], added: readonly Row[], placement: Placement): readonly Row[] {
    if (placement === "replace_all") return added;
    // An expired row is not there any more.
    const now = this.#clock.now();
    const there = old.filter((row) => !isExpired(row, now));
    return placement === "replace" ? [...added, ...there.slice(added.length)] : [...there, ...added];
  }

  /** Of requests that never had an answer, nothing is known but their key and model. */
  #forgetFailures({ model, keys, namespace, tag, outcome, createdBefore }: Selection): void {
    if ([namespace, tag, outcome, createdBefore].some((value) => value !== undefined)) return;
    this.#failures.forgetAll(model, keys && new Set(keys.map(hexOf)));
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

function isExpired({ fields: { expires } }: Row, now: Milliseconds): boolean {
  return expires !== null && expires <= now;
}

function fitsRequest({ model, request, tags }: Shelved, selection: Selection): boolean {
  const { namespace, tag } = selection;
  return (selection.model === undefined || selection.model === model) &&
    (namespace === undefined || namespace === request.namespace) &&
    (tag === undefined || tags.has(tag));
}

function fitsRow({ fields }: Row, { outcome, createdBefore }: Selection): boolean {
  return (outcome === undefined || outcome === fields.outcome) &&
    (createdBefore === undefined || fields.created < createdBefore);
}

/** A request that is the caller's to change. */
function copyOf(request: RequestRecord): RequestRecord {
  const { key, body, sketch } = request;
  return { ...request, key: key.slice(), body: body.slice(), sketch: sketch.slice() };
}

function bytesOf(rows: readonly Row[]): number {
  return rows.reduce((sum, { body }) => sum + body.length, 0);
}

function sizeOf({ request, rows }: Shelved): number {
  return request.key.length + request.body.length + bytesOf(rows);
}

function nameOf(key: Key): string {
  return String.fromCharCode(...key);
}
