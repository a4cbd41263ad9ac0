/**
 * What the cache did, by model: every request counts once, under one word.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Amounts, DailyAmounts } from "../../store/store.ts";
import type { Entry } from "../answer/entry.ts";

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
  /** Requests answered with an answer whose time had come, by `staleWhileRevalidate` or `staleIfError`. */
  readonly expiredServed: number;
  /** Calls to providers that failed (those given up do not count), or whose answer was not one to be kept. */
  readonly failedCalls: number;
  /** Calls made without knowing whether another process makes the same, because the store could not say. */
  readonly unclaimed: number;
  /** `hits / lookups`; 0 when there were none. */
  readonly hitRate: number;
  /** What hits and shared calls saved. */
  readonly saved: Saved;
  /** What was paid for answers, in millionths of a US dollar, as far as it is known. */
  readonly spentMicrodollars: number;
}

/** The counts of one day. */
export interface DayCounts extends Counts {
  /** The day in UTC: `2026-11-22`. */
  readonly day: string;
}

/** Counts over all processes that used the store, since it was made. */
export interface AllTime extends Counts {
  /** The same counts by the model that was asked. */
  readonly perModel: Readonly<Record<string, Counts>>;
  /** From the first day on; days on which nothing happened are left out. */
  readonly perDay: readonly DayCounts[];
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
  /** Bytes that all of it takes where it lives, requests, indexes and logs included. */
  readonly totalBytes: number | null;
  /** `bodyBytes / storedBytes`: how many times shorter the answers are as stored. */
  readonly ratio: number | null;
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
  /** The same counts over all processes and all time; `null` where the store does not keep them, or cannot say now. */
  readonly allTime: AllTime | null;
  /** One line for people. */
  summary(): string;
}

type Counter = Exclude<keyof Counts, "lookups" | "hitRate" | "saved" | "spentMicrodollars">;
/** What is counted besides how lookups fared. */
type OtherCounter = Exclude<Counter, "hits" | "misses" | "stale" | "expired" | "corrupt" | "bypassed">;
type Tally = Record<Counter | keyof Saved | "spentMicrodollars", number>;

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
  /** What was told of already, by {@link takeNew}. */
  readonly #told = new Map<string, Tally>();
  readonly #onCount: () => void;

  /** `onCount` is called whenever something is counted. */
  constructor(onCount: () => void = () => {}) {
    this.#onCount = onCount;
  }

  /** Counts one request's outcome. */
  lookup(model: string, outcome: LookupOutcome): void {
    this.#of(model)[COUNTER[outcome]]++;
  }

  /** Counts something else that happened. */
  count(model: string, counter: OtherCounter): void {
    this.#of(model)[counter]++;
  }

  /** Counts what was paid for an answer, in millionths of a US dollar. */
  spend(model: string, microdollars: number): void {
    this.#of(model).spentMicrodollars += microdollars;
  }

  /** Counts what an answer saved that did not have to be bought. */
  save(model: string, entry: Entry): void {
    const tally = this.#of(model);
    const { promptTokens, completionTokens } = entry.usage;
    tally.promptTokens += promptTokens ?? 0;
    tally.completionTokens += completionTokens ?? 0;
    tally.costMicrodollars += entry.costMicrodollars ?? 0;
    tally.latency += entry.latency ?? 0;
  }

  /** All counts, together and by model. */
  snapshot(): Counts & Pick<CacheStatistics, "perModel"> {
    return addUp([...this.#byModel]);
  }

  /** What was counted since this was last called, by model; what is 0 is left out. */
  takeNew(): [model: string, amounts: Amounts][] {
    return [...this.#byModel].map(([model, tally]) => {
      const told = this.#told.get(model) ?? emptyTally();
      this.#told.set(model, { ...tally });
      const amounts = Object.entries(tally).map(([name, value]) => [name, value - told[name as keyof Tally]] as const);
      return [model, Object.fromEntries(amounts.filter(([, amount]) => amount !== 0))];
    });
  }

  #of(model: string): Tally {
    this.#onCount();
    let tally = this.#byModel.get(model);
    if (tally === undefined) this.#byModel.set(model, tally = emptyTally());
    return tally;
  }
}

/** What a ledger holds, added up. Names it does not know, of a newer version, are left out. */
export function allTimeOf(days: readonly DailyAmounts[]): AllTime {
  const byDay = Map.groupBy(days, ({ day }) => day);
  const perDay = [...byDay].sort(([a], [b]) => (a < b ? -1 : 1)).map(([day, amounts]) => {
    const { perModel: _, ...total } = addUp(amounts.map(({ model, amounts }) => [model, amounts]));
    return { day, ...total };
  });
  return { ...addUp(days.map(({ model, amounts }) => [model, amounts])), perDay };
}

/** The line for people: what was asked, what it would have cost, what it did cost. */
export function summaryOf({ lookups, hits, shared, hitRate, writes, saved, spentMicrodollars }: Counts): string {
  const percent = (hitRate * 100).toFixed(1);
  const dollars = (microdollars: number): string => `$${(microdollars / 1e6).toFixed(4)}`;
  const tokens = saved.promptTokens + saved.completionTokens;
  const seconds = (saved.latency / 1000).toFixed(1);
  const joined = shared === 0 ? "" : `, ${shared} shared`;
  return `${counted(hits, "hit")} of ${counted(lookups, "lookup")} (${percent} %)${joined}, ` +
    `${counted(writes, "write")}; saved ${dollars(saved.costMicrodollars)}, ${
      counted(tokens, "token")
    }, ${seconds} s; ` +
    `spent ${dollars(spentMicrodollars)}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function addUp(parts: readonly (readonly [model: string, amounts: Amounts])[]): Counts & Pick<AllTime, "perModel"> {
  const total = emptyTally();
  const byModel = new Map<string, Tally>();
  for (const [model, amounts] of parts) {
    let tally = byModel.get(model);
    if (tally === undefined) byModel.set(model, tally = emptyTally());
    for (const name of Object.keys(total) as (keyof Tally)[]) {
      tally[name] += amounts[name] ?? 0;
      total[name] += amounts[name] ?? 0;
    }
  }
  const perModel = [...byModel].map(([model, tally]) => [model, counts(tally)] as const);
  return { ...counts(total), perModel: Object.fromEntries(perModel) };
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
    expiredServed: 0,
    failedCalls: 0,
    unclaimed: 0,
    promptTokens: 0,
    completionTokens: 0,
    costMicrodollars: 0,
    latency: 0,
    spentMicrodollars: 0,
  };
}

function counts(tally: Tally): Counts {
  const { promptTokens, completionTokens, costMicrodollars, latency, spentMicrodollars, ...counters } = tally;
  const { hits, misses, stale, expired, corrupt, shared } = counters;
  const lookups = hits + misses + stale + expired + corrupt + shared;
  return {
    lookups,
    ...counters,
    hitRate: lookups === 0 ? 0 : hits / lookups,
    saved: { promptTokens, completionTokens, costMicrodollars, latency },
    spentMicrodollars,
  };
}

/** The counts of what nothing has happened to. */
export const NO_COUNTS: Counts = counts(emptyTally());
