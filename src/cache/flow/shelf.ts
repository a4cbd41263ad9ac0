/**
 * The store as the cache uses it: what cannot be read is a miss, what cannot be written is counted, and neither costs
 * the caller an answer. Only a store that belongs to somebody else stops a call, before anything is bought.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError, type CacheErrorCode } from "../../store/error.ts";
import type { Found, MaybePromise, NewEntry, Placement, Store, Want } from "../../store/store.ts";
import type { Answer } from "../answer/answer.ts";
import type { Plan } from "../call_options.ts";
import { entryOf, type Sample } from "../answer/entry.ts";
import { decodeText, isJsonObject } from "../json.ts";
import type { Journal } from "../ledger/journal.ts";
import { worstOutcome } from "../answer/outcome.ts";
import { type BypassedRequest, type CacheRequest, isKeyed } from "../request/request.ts";
import { asJson } from "../answer/recorded_sample.ts";
import { inTurns, nextTurn, WHOLE_STEPS } from "./turns.ts";
import { lateness } from "./settled.ts";
import type { LookupOutcome } from "../ledger/statistics.ts";

/** What the store had to say about a request. */
export interface Lookup {
  readonly outcome: LookupOutcome;
  /** The samples that may be served, as many as asked for at most. */
  readonly samples: readonly Sample[];
  /** All that was asked for, where some of it has expired, but may do for want of anything newer. */
  readonly late?: Late;
  /** What is there must give way, though the store takes it for sound. */
  readonly inDoubt?: boolean;
  /** The store is somebody else's: nothing is to be written either. */
  readonly isShut?: boolean;
  /** Why the store was not used, or could not be. */
  readonly why?: string;
}

/** A lookup of which all that may be served was read. */
export interface ReadLookup extends Lookup {
  /** All that was asked for, if it is a hit. */
  readonly body?: Uint8Array | string;
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
export type Look = Pick<
  Plan,
  "maxAge" | "staleWhileRevalidate" | "staleIfError" | "isValid" | "objects" | "form" | "gate"
>;

/** What to do about a store that is somebody else's: `throw`, or `bypass` the cache. */
export type RefusedStore = "throw" | "bypass";

/** So many requests are looked up in one turn of the event loop at most. */
const MOST_WANTS = 256;

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
    store.onFault?.(({ type, model, error }) => {
      journal.tallies.count(model, type === "write_failed" ? "failedWrites" : "failedLookups");
      journal.remember(error);
      journal.tell({ type, model, error });
    });
  }

  /**
   * Looks up requests to one model in one pass.
   *
   * @throws CacheError `closed`, or a refusal where these are to be thrown; what `isValid` throws.
   */
  async lookup(model: string, requests: readonly CacheRequest[], look: Look): Promise<Lookup[]> {
    const places = new Map<string, number>();
    const wants: Want[] = [];
    const grace = graceOf(look);
    for (const request of requests) {
      const { id, key, shape } = request;
      const samples = passesSomeOver(look) ? Number.MAX_SAFE_INTEGER : shape.samples;
      const want = { key, samples, grace, record: () => request.record() };
      const place = places.get(id);
      if (place === undefined) places.set(id, wants.push(want) - 1);
      else if (wants[place]!.samples < samples) wants[place] = want;
    }
    const lookups: Lookup[] = [];
    let found: readonly Found[];
    try {
      found = await this.#find(model, wants);
    } catch (error) {
      for (const _ of requests) lookups.push(this.#unreadable(model, error));
      return lookups;
    }
    const now = this.#clock.now();
    await inTurns(this.#clock, requests, (request) => {
      lookups.push(judge(request, found[places.get(request.id)!]!, look, now));
    }, WHOLE_STEPS);
    return lookups;
  }

  /**
   * Looks up all requests that have a key, each model's in one pass.
   *
   * @throws as {@link lookup} does.
   */
  async lookupAll(
    requests: readonly (CacheRequest | BypassedRequest)[],
    look: Look,
  ): Promise<Map<CacheRequest, Lookup>> {
    const lookups = new Map<CacheRequest, Lookup>();
    const byModel = Map.groupBy(requests.filter(isKeyed), ({ model }) => model);
    await Promise.all([...byModel].map(async ([model, group]) => {
      const found = await this.lookup(model, group, look);
      group.forEach((request, index) => lookups.set(request, found[index]!));
    }));
    return lookups;
  }

  /**
   * {@link lookup} of one request, as quick as can be: at once where the store answers at once.
   *
   * @throws as {@link lookup} does.
   */
  lookupOne(request: CacheRequest, look: Look): MaybePromise<Lookup> {
    const { model, key, shape } = request;
    const samples = passesSomeOver(look) ? Number.MAX_SAFE_INTEGER : shape.samples;
    let found: MaybePromise<readonly Found[]>;
    try {
      found = this.#store.lookup(model, [{ key, samples, grace: graceOf(look), record: () => request.record() }]);
    } catch (error) {
      return this.#unreadable(model, error);
    }
    if (found instanceof Promise) return this.#lookupLater(request, look, found);
    return judge(request, found[0]!, look, this.#clock.now());
  }

  async #lookupLater(request: CacheRequest, look: Look, coming: Promise<readonly Found[]>): Promise<Lookup> {
    let found: readonly Found[];
    try {
      found = await coming;
    } catch (error) {
      return this.#unreadable(request.model, error);
    }
    return judge(request, found[0]!, look, this.#clock.now());
  }

  /**
   * Whether the store is somebody else's, which is to be known before anything is bought for it.
   *
   * @throws as {@link lookup} does.
   */
  async isShut({ model, key }: CacheRequest): Promise<boolean> {
    try {
      await this.#store.lookup(model, [{ key, samples: 1 }]);
      return false;
    } catch (error) {
      return this.#unreadable(model, error).isShut ?? false;
    }
  }

  async #find(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    if (wants.length <= MOST_WANTS) return await this.#store.lookup(model, wants);
    const found: Found[] = [];
    for (let first = 0; first < wants.length; first += MOST_WANTS) {
      if (first > 0) await nextTurn(this.#clock);
      found.push(...await this.#store.lookup(model, wants.slice(first, first + MOST_WANTS)));
    }
    return found;
  }

  /**
   * Looks up one request and reads what it finds, so that a hit is one for certain. At once where the store answers at
   * once and what it finds takes no time to read.
   *
   * @throws as {@link lookup} does.
   */
  read(request: CacheRequest, look: Look): MaybePromise<ReadLookup> {
    const lookup = this.lookupOne(request, look);
    return lookup instanceof Promise ? lookup.then((found) => this.readable(found, look)) : this.readable(lookup, look);
  }

  /**
   * Reads all of a lookup that may be served; what cannot be read is not there. A recorded stream that is to be served as
   * one is not put together: it was judged before it was stored, and its row's checksum vouches for it.
   */
  readable(lookup: Lookup, { form }: Pick<Look, "form">): MaybePromise<ReadLookup> {
    const { outcome, samples, late } = lookup;
    const isHit = outcome === "hit";
    const served = late === undefined || isHit ? samples : [...samples, ...late.samples];
    try {
      if (form === "stream" && isHit && samples.length === 1 && samples[0]!.recording !== undefined) return lookup;
      if (served.some(({ prepare }) => prepare !== undefined)) return this.#readPrepared(lookup, served, form);
      return readNow(lookup, served, form);
    } catch (error) {
      return unread(error);
    }
  }

  async #readPrepared(lookup: Lookup, served: readonly Sample[], form: Look["form"]): Promise<ReadLookup> {
    try {
      for (const sample of served) await sample.prepare?.(this.#clock);
      return readNow(lookup, served, form);
    } catch (error) {
      return unread(error);
    }
  }

  /** Stores the samples that may be stored. Never throws. */
  async write(request: CacheRequest, answer: Answer, placement: Placement, plan: Plan): Promise<Written> {
    const { model } = request;
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
      await this.#store.put(model, request.record(), entries, placement, { tags: plan.tags });
    } catch (error) {
      this.#journal.tallies.count(model, "failedWrites");
      this.#journal.remember(error);
      this.#journal.tell({ type: "write_failed", model, error });
      return { stored: false, why: messageOf(error), error };
    }
    this.#journal.tallies.count(model, "writes");
    return { stored: true };
  }

  #unreadable(model: string, error: unknown): Lookup {
    this.#journal.tallies.count(model, "failedLookups");
    this.#journal.remember(error);
    this.#journal.tell({ type: "lookup_failed", model, error });
    const why = messageOf(error);
    const code = error instanceof CacheError ? error.code : undefined;
    if (code === "closed") throw error;
    if (code === undefined || !REFUSALS.has(code)) return { outcome: "miss", samples: [], why };
    if (this.#refusedStore === "throw") throw error;
    return { outcome: "bypass", samples: [], isShut: true, why };
  }
}

/** @throws CacheError `corrupt` */
function readNow(lookup: Lookup, served: readonly Sample[], form: Look["form"]): ReadLookup {
  if (lookup.outcome === "hit") {
    const entry = entryOf(served);
    // Bytes that nobody asks for would be one more copy of the answer.
    return { ...lookup, body: form === "value" ? entry.text() : entry.bytes() };
  }
  for (const sample of served) sample.bytes();
  return lookup;
}

/** What cannot be read is not there. */
function unread(error: unknown): ReadLookup {
  return { outcome: "corrupt", samples: [], inDoubt: true, why: messageOf(error) };
}

function judge({ shape, protocol }: CacheRequest, found: Found, look: Look, now: number): Lookup {
  const asked = shape.samples;
  const outcome = found.stale ? "stale" : found.expired ? "expired" : found.corrupt ? "corrupt" : "miss";
  const there = found.entries.map((entry) => asJson(entry, protocol, shape));
  const young = there.filter(({ created }) => now - created <= look.maxAge);
  const valid = passesSomeOver(look) ? young.filter((sample) => isValid(sample, look)) : young;
  const fresh = valid.filter(({ expires }) => expires === null || expires > now);
  if (fresh.length >= asked) {
    const samples = fresh.slice(0, asked);
    const why = look.objects?.(samples);
    return why === undefined ? { outcome: "hit", samples } : { outcome: "miss", samples: [], inDoubt: true, why };
  }
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
