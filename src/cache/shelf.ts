/**
 * The store as the cache uses it: what cannot be read is a miss, what cannot be written is counted, and neither costs
 * the caller an answer. Only a store that belongs to somebody else stops a call, before anything is bought.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import { CacheError, type CacheErrorCode } from "../store/error.ts";
import type { Found, NewEntry, Placement, Store, Want } from "../store/store.ts";
import type { Answer } from "./answer.ts";
import type { Plan } from "./call_options.ts";
import { entryOf, type Sample } from "./entry.ts";
import { decodeText, isJsonObject } from "./json.ts";
import { type Journal, messageOf } from "./journal.ts";
import { worstOutcome } from "./outcome.ts";
import type { CacheRequest } from "./request.ts";
import { asJson } from "./recorded_sample.ts";
import { lateness } from "./settled.ts";
import type { LookupOutcome } from "./statistics.ts";

/** What the store had to say about a request. */
export interface Lookup {
  readonly outcome: LookupOutcome;
  /** The samples that may be served, as many as asked for at most. */
  readonly samples: readonly Sample[];
  /** All that was asked for, where some of it has expired, but may do for want of anything newer. */
  readonly late?: Late;
  /** What is there must give way, though the store takes it for sound. */
  readonly inDoubt?: boolean;
  /** Why the store was not used, or could not be. */
  readonly why?: string;
}

/** Samples of which some have expired. */
export interface Late {
  readonly samples: readonly Sample[];
  /** For how long the first of them has. */
  readonly by: Milliseconds;
}

/** What became of writing an answer. */
export interface Written {
  readonly stored: boolean;
  /** Why not. */
  readonly why?: string;
  /** What the store threw. */
  readonly error?: unknown;
}

/** How to look. */
export type Look = Pick<Plan, "maxAge" | "staleWhileRevalidate" | "staleIfError" | "isValid" | "gate">;

/** What to do about a store that is somebody else's: `throw`, or `bypass` the cache. */
export type RefusedStore = "throw" | "bypass";

const REFUSALS: ReadonlySet<CacheErrorCode> = new Set(["locked", "newer_schema", "foreign_file"]);

/** A store, with its failures made harmless. */
export class Shelf {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #refusedStore: RefusedStore;

  constructor(store: Store, clock: Clock, journal: Journal, refusedStore: RefusedStore) {
    this.#store = store;
    this.#clock = clock;
    this.#journal = journal;
    this.#refusedStore = refusedStore;
  }

  /**
   * Looks up requests to one model in one pass.
   *
   * @throws CacheError `closed`, or a refusal where these are to be thrown; what `isValid` throws.
   */
  async lookup(model: string, requests: readonly CacheRequest[], look: Look): Promise<Lookup[]> {
    const wants = new Map<string, Want>();
    for (const { id, record, shape } of requests) {
      const samples = passesSomeOver(look) ? Number.MAX_SAFE_INTEGER : shape.samples;
      wants.set(id, { key: record.key, samples: Math.max(samples, wants.get(id)?.samples ?? 1), grace: graceOf(look) });
    }
    let found: readonly Found[];
    try {
      found = await this.#store.lookup(model, [...wants.values()]);
    } catch (error) {
      for (const _ of requests) this.#journal.tallies.count(model, "failedLookups");
      this.#journal.remember(error);
      this.#journal.tell({ type: "lookup_failed", model, error });
      const lookup = this.#unreadable(error);
      return requests.map(() => lookup);
    }
    const now = this.#clock.now();
    const byId = new Map([...wants.keys()].map((id, index) => [id, found[index]!]));
    return requests.map((request) => judge(request, byId.get(request.id)!, look, now));
  }

  /**
   * Looks up one request and reads what it finds, so that a hit is one for certain.
   *
   * @throws as {@link lookup} does.
   */
  async read(request: CacheRequest, look: Look): Promise<Lookup & { readonly body?: Uint8Array }> {
    const [lookup] = await this.lookup(request.model, [request], look) as [Lookup];
    return readable(lookup);
  }

  /** Stores the samples that may be stored. Never throws. */
  async write(request: CacheRequest, answer: Answer, placement: Placement, plan: Plan): Promise<Written> {
    const { model, record } = request;
    const storable = answer.samples.filter(({ outcome }) => plan.gate.admits(outcome));
    if (storable.length === 0 || answer.fault !== undefined) {
      const why = answer.fault ?? `the outcome is ${worstOutcome(answer.samples.map(({ outcome }) => outcome))}`;
      this.#journal.tell({ type: "not_stored", model, why });
      return { stored: false, why };
    }
    const entries = storable.map(({ bytes: _, recording, ...entry }): NewEntry =>
      recording === undefined ? entry : { ...entry, ...recording }
    );
    try {
      await this.#store.put(model, record, entries, placement, { tags: plan.tags });
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

/** A lookup of which all that may be served was read; what cannot be read is not there. */
export function readable(lookup: Lookup): Lookup & { readonly body?: Uint8Array } {
  const { outcome, samples, late } = lookup;
  try {
    if (outcome === "hit") return { ...lookup, body: entryOf(samples).bytes() };
    for (const sample of [...samples, ...late?.samples ?? []]) sample.bytes();
    return lookup;
  } catch (error) {
    return { outcome: "corrupt", samples: [], inDoubt: true, why: messageOf(error) };
  }
}

function judge({ shape, protocol }: CacheRequest, found: Found, look: Look, now: number): Lookup {
  const asked = shape.samples;
  const outcome = found.stale ? "stale" : found.expired ? "expired" : found.corrupt ? "corrupt" : "miss";
  const there = found.entries.map((entry) => asJson(entry, protocol, shape));
  const young = there.filter(({ created }) => now - created <= look.maxAge);
  const valid = passesSomeOver(look) ? young.filter((sample) => isValid(sample, look)) : young;
  const fresh = valid.filter(({ expires }) => expires === null || expires > now);
  if (fresh.length >= asked) return { outcome: "hit", samples: fresh.slice(0, asked) };
  // What is too old for this caller has to give way as a whole, or the answer would be of two ages.
  if (young.length < there.length) return { outcome: "expired", samples: [], inDoubt: true };
  const lookup = { outcome: fresh.length < valid.length ? "expired" : outcome, samples: fresh } as const;
  if (valid.length < asked) return lookup;
  const samples = valid.slice(0, asked);
  return { ...lookup, late: { samples, by: lateness(samples, now) } };
}

/** Whether what is stored may not do, so that more has to be looked at than was asked for. */
function passesSomeOver({ isValid, gate }: Look): boolean {
  return isValid !== undefined || gate.admits("invalid");
}

function isValid(sample: Sample, look: Look): boolean {
  if (look.isValid === undefined) return sample.outcome !== "invalid";
  let answer: unknown;
  try {
    answer = JSON.parse(decodeText(sample.bytes()));
  } catch {
    return false;
  }
  return isJsonObject(answer) && look.isValid(answer);
}

function graceOf({ staleWhileRevalidate, staleIfError }: Look): Milliseconds {
  return Math.max(staleWhileRevalidate, staleIfError);
}
