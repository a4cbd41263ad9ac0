/**
 * Copies of answers in memory, by bytes: what the front ({@link ./fronted_store.ts}) has read, and how long it may be
 * believed. A copy holds an answer compressed until somebody reads it, then as it is returned.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { Found, StoredEntry, Want } from "../store.ts";
import { fieldsOf } from "./entry_fields.ts";

/** What the store below says of a request; see `Store.stamp`. */
export type Stamp = string | number | undefined;

/** The answers to one request, as they were found. */
interface Copy {
  /** What the store below said before they were read. */
  readonly stamp: Stamp;
  /** When they were, by the monotonic clock. */
  readonly readAt: Milliseconds;
  /** There were no others. */
  readonly isWhole: boolean;
  /** When the first of them expires, in milliseconds since 1970. */
  readonly expires: number;
  readonly found: Found;
  bytes: number;
}

/** What a copy takes beside its answers, and beside the bytes of each, as measured. */
const COPY_BYTES = 512;
const ENTRY_BYTES = 1024;

/**
 * The store below is asked again after so long, whatever its stamp says: it removes what is used least when it needs
 * room, and does not see what is used here.
 */
const LONGEST_UNSEEN: Milliseconds = 60_000;

/** The copies. */
export class Copies {
  readonly #clock: Clock;
  readonly #freshFor: Milliseconds;
  readonly #copies: LRUCache<string, Copy>;

  /** `freshFor` is how long a copy is believed whose request has no stamp. */
  constructor(clock: Clock, maxBytes: number, freshFor: Milliseconds) {
    this.#clock = clock;
    this.#freshFor = freshFor;
    this.#copies = new LRUCache({ maxSize: maxBytes, sizeCalculation: ({ bytes }) => bytes });
  }

  /** What the store below would find, if a copy says so for certain. */
  find(place: string, { samples }: Want, stamp: Stamp): Found | undefined {
    const copy = this.#copies.get(place);
    if (copy === undefined || this.#clock.now() >= copy.expires) return undefined;
    const { found } = copy;
    const enough = samples <= found.entries.length;
    const age = this.#clock.monotonic() - copy.readAt;
    // Somebody waits for what is not there yet, and nothing else would tell that it has come.
    if (stamp === undefined) return enough && age < this.#freshFor ? first(found, samples) : undefined;
    if (copy.stamp !== stamp || age >= LONGEST_UNSEEN) return undefined;
    return enough || copy.isWhole ? first(found, samples) : undefined;
  }

  /**
   * Keeps what was found, where it can be told when it will be found again, and returns it as it was kept. `stamp` is what
   * the store below said before it was asked, if what it found depends on nothing else.
   */
  keep(place: string, { samples }: Want, stamp: Stamp, found: Found): Found {
    const { entries, stale, expired, corrupt } = found;
    if (entries.length === 0 || stale || expired || corrupt) return found;
    if (stamp === undefined && this.#freshFor === 0) return found;
    const expires = Math.min(...entries.map((entry) => entry.expires ?? Infinity));
    if (expires <= this.#clock.now()) return found;
    const copy: Copy = {
      stamp,
      readAt: this.#clock.monotonic(),
      isWhole: entries.length < samples,
      expires,
      found: {
        entries: entries.map((entry) => copied(entry, (more) => this.#grow(place, copy, more))),
        stale,
        expired,
        corrupt,
      },
      bytes: entries.reduce((sum, { storedBytes }) => sum + storedBytes + ENTRY_BYTES, COPY_BYTES),
    };
    this.#copies.set(place, copy);
    return copy.found;
  }

  /** Forgets the copy of one request. */
  drop(place: string): void {
    this.#copies.delete(place);
  }

  /** Forgets all of them. */
  clear(): void {
    this.#copies.clear();
  }

  #grow(place: string, copy: Copy, more: number): void {
    copy.bytes += more;
    if (this.#copies.peek(place) !== copy) return;
    // The same value set again would keep its old size.
    this.#copies.delete(place);
    this.#copies.set(place, copy);
  }
}

function first(found: Found, samples: number): Found {
  return samples >= found.entries.length ? found : { ...found, entries: found.entries.slice(0, samples) };
}

/** An entry that is decompressed once. `grown` hears by how many bytes it then takes more. */
function copied(entry: StoredEntry, grown: (more: number) => void): StoredEntry {
  const { sample, storedBytes } = entry;
  let source: StoredEntry | undefined = entry;
  let own: Uint8Array | undefined;
  const bytes = (): Uint8Array => {
    if (own === undefined) {
      own = source!.bytes();
      source = undefined;
      grown(own.byteLength - storedBytes);
    }
    return own;
  };
  // A copy of the copy: the caller may change what it gets.
  return { ...fieldsOf(entry), sample, storedBytes, bytes: () => bytes().slice(), read: (use) => use(bytes()) };
}
