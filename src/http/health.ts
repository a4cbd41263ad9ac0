/**
 * `/health` and `/stats`: what is warm, and what both caches have done. Neither waits for a model.
 *
 * @module
 */

import type { Hono } from "hono";
import type { CacheStatistics } from "../cache/statistics.ts";
import type { ServerParts } from "./parts.ts";

/** Adds the routes. */
export function healthRoutes(app: Hono, parts: ServerParts): void {
  const { activity, backends, cache, version } = parts;

  app.get("/health", (context) => {
    return context.json({
      status: "ok",
      version,
      uptime_seconds: activity.snapshot().uptimeSeconds,
      max_loaded_models: backends.maxLoaded,
      loaded_models: backends.loaded(),
    });
  });

  app.get("/stats", async (context) => {
    const { uptimeSeconds, requests, runs, runSeconds } = activity.snapshot();
    return context.json({
      uptime_seconds: uptimeSeconds,
      request_count: requests,
      run_count: runs,
      total_run_seconds: runSeconds,
      mean_run_seconds: runs === 0 ? null : runSeconds / runs,
      cached_backends: backends.loaded().filter(({ state }) => state === "warm").length,
      max_loaded_models: backends.maxLoaded,
      cache: statisticsBody(await cache.stats()),
    });
  });
}

/** The cache's statistics with the names HTTP clients expect; the models in them keep theirs. */
function statisticsBody({ perModel, ...statistics }: CacheStatistics): object {
  const models = Object.entries(perModel).map(([model, counts]) => [model, snakeCased(counts)]);
  return { ...snakeCased(statistics) as object, per_model: Object.fromEntries(models) };
}

function snakeCased(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).map(([name, field]) => {
    return [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), snakeCased(field)];
  });
  return Object.fromEntries(fields);
}
