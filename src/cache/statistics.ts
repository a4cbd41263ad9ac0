/**
 * What the cache did in this process, by model: every request counts once, under one word.
 *
 * @module
 */

import type { Milliseconds } from "../runtime/runtime.ts";
import type { Entry } from "./entry.ts";

/**
 * How a request fared.
 *
 * - `hit`: answered from the store.
 * - `miss`: not there, or fewer samples than asked for, or the store could not be read.
 * - `stale`: there, but written under an older schema version; it counts as nothing else.
 * - `expired`: there, but its time had come.
 * - `corrupt`: there, but its checksum was wrong.
 * - `bypass`: the cache was not asked.
 */
export type LookupOutcome = "hit" | "miss" | "stale" | "expired" | "corrupt" | "bypass";

/** What answers from the cache would have cost. Unknown amounts count as 0. */
export interface Saved {
  /** Tokens of prompts, each counted once however many samples the answer had. */
  readonly promptTokens: number;
  /** Tokens of completions, all samples together. */
  readonly completionTokens: number;
  /** Millionths of a US dollar. */
  readonly costMicrodollars: number;
  /** What the providers took when these answers were bought, in milliseconds. */
  readonly latency: Milliseconds;
}

/** Counts of requests and what came of them. */
export interface Counts {
  /** `hits + misses + stale + expired + corrupt + shared`: every request but those that bypassed the cache. */
  readonly lookups: number;
  /** Requests answered from the store. */
  readonly hits: number;
  /** Requests whose answer was not there, or not for all samples, or could not be looked for. */
  readonly misses: number;
  /** Requests whose answer was written under an older schema version. */
  readonly stale: number;
  /** Requests whose answer was too old to be served. */
  readonly expired: number;
  /** Requests whose answer was there, but broken. */
  readonly corrupt: number;
  /** Requests that did not ask the cache. */
  readonly bypassed: number;
  /** Requests answered by the provider call that another caller made for the same key at the same time. */
  readonly shared: number;
  /** Answers stored; one with several samples counts once. */
  readonly writes: number;
  /** Answers the store could not write; the callers got them all the same. */
  readonly failedWrites: number;
  /** Requests the store could not be asked about; each is also a miss or bypassed, unless the error was thrown. */
  readonly failedLookups: number;
  /** `hits / lookups`; 0 when there were none. */
  readonly hitRate: number;
  /** What hits and shared calls saved. */
  readonly saved: Saved;
}

/** How much the store holds; `null` where it cannot say now. */
export interface StoreStatistics {
  /** Which backend it is: `sqlite`, `memory`, … */
  readonly name: string;
  /** Where it lives, for people: a directory, a URL. */
  readonly location: string;
  /** Stored answers, each sample counted as one. */
  readonly entries: number | null;
  /** Bytes of the answers as they are returned. */
  readonly bodyBytes: number | null;
  /** Bytes of the answers as stored, compressed. */
  readonly storedBytes: number | null;
}

/** The store's last failure. */
export interface LastError {
  /** What the store said. */
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** What the cache did in this process, and what its store holds. */
export interface CacheStatistics extends Counts {
  /** The same counts by the model that was asked. */
  readonly perModel: Readonly<Record<string, Counts>>;
  /** What the store holds now. */
  readonly store: StoreStatistics;
  /** The last time the store failed; `null` if it never did. */
  readonly lastError: LastError | null;
}

type Counter = Exclude<keyof Counts, "lookups" | "hitRate" | "saved">;
type Tally = Record<Counter | keyof Saved, number>;

const COUNTER: Readonly<Record<LookupOutcome, Counter>> = {
  hit: "hits",
  miss: "misses",
  stale: "stale",
  expired: "expired",
  corrupt: "corrupt",
  bypass: "bypassed",
};

/** Counts, model by model. */
export class Tallies {
  readonly #byModel = new Map<string, Tally>();

  /** Counts one request's outcome. */
  lookup(model: string, outcome: LookupOutcome): void {
    this.#of(model)[COUNTER[outcome]]++;
  }

  /** Counts something else that happened. */
  count(model: string, counter: "shared" | "writes" | "failedWrites" | "failedLookups"): void {
    this.#of(model)[counter]++;
  }

  /** Counts what an answer saved that did not have to be bought. */
  save(model: string, entry: Entry): void {
    const tally = this.#of(model);
    tally.promptTokens += entry.usage.promptTokens ?? 0;
    tally.completionTokens += entry.usage.completionTokens ?? 0;
    tally.costMicrodollars += entry.costMicrodollars ?? 0;
    tally.latency += entry.latency ?? 0;
  }

  /** All counts, together and by model. */
  snapshot(): Counts & Pick<CacheStatistics, "perModel"> {
    const total = emptyTally();
    for (const tally of this.#byModel.values()) {
      for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += tally[name];
    }
    const perModel = [...this.#byModel].map(([model, tally]) => [model, counts(tally)] as const);
    return { ...counts(total), perModel: Object.fromEntries(perModel) };
  }

  #of(model: string): Tally {
    let tally = this.#byModel.get(model);
    if (tally === undefined) this.#byModel.set(model, tally = emptyTally());
    return tally;
  }
}

function emptyTally(): Tally {
  return {
    hits: 0,
    misses: 0,
    stale: 0,
    expired: 0,
    corrupt: 0,
    bypassed: 0,
    shared: 0,
    writes: 0,
    failedWrites: 0,
    failedLookups: 0,
    promptTokens: 0,
    completionTokens: 0,
    costMicrodollars: 0,
    latency: 0,
  };
}

function counts({ promptTokens, completionTokens, costMicrodollars, latency, ...counters }: Tally): Counts {
  const { hits, misses, stale, expired, corrupt, shared } = counters;
  const lookups = hits + misses + stale + expired + corrupt + shared;
  return {
    lookups,
    ...counters,
    hitRate: lookups === 0 ? 0 : hits / lookups,
    saved: { promptTokens, completionTokens, costMicrodollars, latency },
  };
}
