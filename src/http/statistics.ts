/**
 * A cache's statistics as HTTP clients get them. Models have their names in them, and those of what is stored through
 * somebody's API key are his alone to read.
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";

/**
 * What the cache has done, without the models of others.
 *
 * @param owner the id of the caller's API key; `undefined` where all share their entries.
 */
export async function statisticsFor(cache: ResponseCache, owner: string | undefined): Promise<object> {
  const { perModel, allTime, ...counts } = await cache.stats();
  const own = <T>(models: Readonly<Record<string, T>>): Record<string, T> => visibleModels(models, owner);
  return statisticsBody({
    ...counts,
    perModel: own(perModel),
    allTime: allTime && { ...allTime, perModel: own(allTime.perModel) },
  }) as object;
}

/**
 * What a caller may know who is not to know what others do: what was stored through his key. Counts of all would tell
 * when others ask, names of models what for, and the last error where it is kept.
 */
export async function ownStatistics(cache: ResponseCache, owner: string): Promise<object> {
  const { perModel, allTime } = await cache.stats();
  const own = <T>(models: Readonly<Record<string, T>>): Record<string, T> => {
    return Object.fromEntries(Object.entries(models).filter(([model]) => model.startsWith(`key:${owner}/`)));
  };
  return statisticsBody({
    perModel: own(perModel),
    allTime: allTime && { perModel: own(allTime.perModel) },
  }) as object;
}

/** Models that are not somebody else's: what a key stores through `/cache` lies under models of its own. */
export function visibleModels<T>(models: Readonly<Record<string, T>>, owner: string | undefined): Record<string, T> {
  const isVisible = (model: string): boolean => {
    return !model.startsWith("key:") || (owner !== undefined && model.startsWith(`key:${owner}/`));
  };
  return Object.fromEntries(Object.entries(models).filter(([model]) => isVisible(model)));
}

/** The cache's statistics with the names HTTP clients expect; the models in them keep theirs. */
function statisticsBody(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(statisticsBody);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).filter(([, field]) => typeof field !== "function").map(([name, field]) => {
    return name === "perModel" ? ["per_model", byModel(field)] : [snakeCased(name), statisticsBody(field)];
  });
  return Object.fromEntries(fields);
}

function byModel(counts: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(counts).map(([model, each]) => [model, statisticsBody(each)]));
}

function snakeCased(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
