/**
 * `/health` and `/stats`: what is warm, and what both caches have done. Neither waits for a model.
 *
 * @module
 */

import type { Hono } from "hono";
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
