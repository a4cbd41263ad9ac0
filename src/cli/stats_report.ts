/**
 * What a cache holds and has saved, model by model and day by day, over all processes and all time: what `stats` tells.
 *
 * @module
 */

import type { Counts } from "../cache/ledger/statistics.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { DailyAmounts, Store } from "../store/store.ts";

/** The whole of it, as `--json` prints it. */
export interface StatsReport {
  readonly store: { readonly name: string; readonly location: string; readonly totalBytes: number | null };
  /** All models together. */
  readonly total: ModelReport;
  /** What was asked for most first. */
  readonly models: readonly ModelReport[];
  /** What went wrong in the store last, here. */
  readonly lastError: string | null;
}

/** What is known of a model, or of all. */
export interface ModelReport extends Held {
  readonly model: string | null;
  /** `null` where the store keeps no counts. */
  readonly counts: Counts | null;
  /** Answers that were not bought, on each of the last days, today last. */
  readonly days: readonly DayReport[];
}

/** What is stored; `null` where the store cannot tell. */
export interface Held {
  readonly entries: number | null;
  /** Bytes of the answers as they are returned. */
  readonly bodyBytes: number | null;
  /** Bytes of the answers as stored. */
  readonly storedBytes: number | null;
  /** How many times shorter they are as stored. */
  readonly ratio: number | null;
}

/** A day in UTC. */
export interface DayReport {
  readonly day: string;
  /** Answers from the store, or shared by callers at the same time. */
  readonly answered: number;
}

/** Days that are told of. */
const DAYS = 30;
const DAY: Milliseconds = 86_400_000;

/** Gathers it. @throws CacheError */
export async function statsReport(
  cache: Pick<ResponseCache, "stats">,
  store: Store,
  now: Milliseconds,
): Promise<StatsReport> {
  const { store: held, allTime, lastError } = await cache.stats();
  const sizes = await store.modelSizes?.() ?? new Map<string, undefined>();
  const daily = await store.ledger?.read() ?? [];
  const { entries, bodyBytes, storedBytes, ratio, totalBytes, name, location } = held;
  const models = [...new Set([...Object.keys(allTime?.perModel ?? {}), ...sizes.keys()])].map((model) => ({
    model,
    ...heldIn(sizes.get(model)),
    counts: allTime?.perModel[model] ?? null,
    days: daysOf(daily.filter((each) => each.model === model), now),
  }));
  models.sort((a, b) => (b.counts?.lookups ?? 0) - (a.counts?.lookups ?? 0) || (a.model < b.model ? -1 : 1));
  const { perModel: _perModel, perDay: _perDay, ...counts } = allTime ?? {};
  return {
    store: { name, location, totalBytes },
    total: {
      model: null,
      entries,
      bodyBytes,
      storedBytes,
      ratio,
      counts: allTime === null ? null : counts as Counts,
      days: daysOf(daily, now),
    },
    models,
    lastError: lastError?.message ?? null,
  };
}

function heldIn(
  size: { readonly entries: number; readonly bodyBytes: number; readonly storedBytes: number } | undefined,
): Held {
  if (size === undefined) return { entries: null, bodyBytes: null, storedBytes: null, ratio: null };
  const { entries, bodyBytes, storedBytes } = size;
  return { entries, bodyBytes, storedBytes, ratio: storedBytes === 0 ? null : bodyBytes / storedBytes };
}

function daysOf(daily: readonly DailyAmounts[], now: Milliseconds): DayReport[] {
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date(now - (DAYS - 1 - index) * DAY).toISOString().slice(0, 10);
    const amounts = daily.filter((each) => each.day === day).map(({ amounts }) => amounts);
    return { day, answered: amounts.reduce((sum, { hits = 0, shared = 0 }) => sum + hits + shared, 0) };
  });
}
