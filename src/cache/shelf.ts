/**
 * The store as the cache uses it: what cannot be read is a miss, what cannot be written is counted, and neither costs
 * the caller an answer. Only a store that belongs to somebody else stops a call, before anything is bought.
 *
 * @module
 */

import { CacheError, type CacheErrorCode } from "../store/error.ts";
import type { Found, NewEntry, Placement, Store, Want } from "../store/store.ts";
import type { Answer } from "./answer.ts";
import { entryOf, type Sample } from "./entry.ts";
import { type Journal, messageOf } from "./journal.ts";
import { mayBeStored, worstOutcome } from "./outcome.ts";
import type { CacheRequest } from "./request.ts";
import type { LookupOutcome } from "./statistics.ts";

/** What the store had to say about a request. */
export interface Lookup {
  readonly outcome: LookupOutcome;
  /** The samples that are there, as many as asked for at most. */
  readonly samples: readonly Sample[];
  /** Why the store was not used, or could not be. */
  readonly why?: string;
}

/** What became of writing an answer. */
export interface Written {
  readonly stored: boolean;
  /** Why not. */
  readonly why?: string;
  /** What the store threw. */
  readonly error?: unknown;
}

/** What to do about a store that is somebody else's: `throw`, or `bypass` the cache. */
export type RefusedStore = "throw" | "bypass";

const REFUSALS: ReadonlySet<CacheErrorCode> = new Set(["locked", "newer_schema", "foreign_file"]);

/** A store, with its failures made harmless. */
export class Shelf {
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #refusedStore: RefusedStore;

  constructor(store: Store, journal: Journal, refusedStore: RefusedStore) {
    this.#store = store;
    this.#journal = journal;
    this.#refusedStore = refusedStore;
  }

  /**
   * Looks up requests to one model in one pass.
   *
   * @throws CacheError `closed`, or a refusal where these are to be thrown.
   */
  async lookup(model: string, requests: readonly CacheRequest[]): Promise<Lookup[]> {
    const wants = new Map<string, Want>();
    for (const { id, record, shape } of requests) {
      wants.set(id, { key: record.key, samples: Math.max(shape.samples, wants.get(id)?.samples ?? 1) });
    }
    try {
      const found = await this.#store.lookup(model, [...wants.values()]);
      const byId = new Map([...wants.keys()].map((id, index) => [id, found[index]!]));
      return requests.map(({ id, shape }) => judge(byId.get(id)!, shape.samples));
    } catch (error) {
      for (const _ of requests) this.#journal.tallies.count(model, "failedLookups");
      this.#journal.remember(error);
      this.#journal.tell({ type: "lookup_failed", model, error });
      const lookup = this.#unreadable(error);
      return requests.map(() => lookup);
    }
  }

  /**
   * Looks up one request and reads what it finds, so that a hit is one for certain; `isTorn` when it could not be read.
   *
   * @throws as {@link lookup} does.
   */
  async read(request: CacheRequest): Promise<Lookup & { readonly body?: Uint8Array; readonly isTorn?: boolean }> {
    const [lookup] = await this.lookup(request.model, [request]) as [Lookup];
    if (lookup.outcome !== "hit") return lookup;
    try {
      return { ...lookup, body: entryOf(lookup.samples).bytes() };
    } catch (error) {
      return { outcome: "corrupt", samples: [], isTorn: true, why: messageOf(error) };
    }
  }

  /** Stores the samples that may be stored. Never throws. */
  async write({ model, record }: CacheRequest, answer: Answer, placement: Placement): Promise<Written> {
    const storable = answer.samples.filter(({ outcome }) => mayBeStored(outcome));
    if (storable.length === 0) {
      const why = answer.fault ?? `the outcome is ${worstOutcome(answer.samples.map(({ outcome }) => outcome))}`;
      this.#journal.tell({ type: "not_stored", model, why });
      return { stored: false, why };
    }
    const entries = storable.map(({ bytes: _, ...entry }): NewEntry => entry);
    try {
      await this.#store.put(model, record, entries, placement);
    } catch (error) {
      this.#journal.tallies.count(model, "failedWrites");
      this.#journal.remember(error);
      this.#journal.tell({ type: "write_failed", model, error });
      return { stored: false, why: messageOf(error), error };
    }
    this.#journal.tallies.count(model, "writes");
    return { stored: true };
  }

  #unreadable(error: unknown): Lookup {
    const why = messageOf(error);
    const code = error instanceof CacheError ? error.code : undefined;
    if (code === "closed") throw error;
    if (code === undefined || !REFUSALS.has(code)) return { outcome: "miss", samples: [], why };
    if (this.#refusedStore === "throw") throw error;
    return { outcome: "bypass", samples: [], why };
  }
}

function judge({ entries, stale, expired, corrupt }: Found, asked: number): Lookup {
  const samples = entries.slice(0, asked);
  if (samples.length === asked) return { outcome: "hit", samples };
  return { outcome: stale ? "stale" : expired ? "expired" : corrupt ? "corrupt" : "miss", samples };
}
