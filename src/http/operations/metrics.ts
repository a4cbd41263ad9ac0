/**
 * `/metrics` in Prometheus's text format: everything that is counted, joined. Each server counts for itself, and a scrape
 * waits for nothing.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 * @see https://prometheus.io/docs/practices/naming/
 * @module
 */

import type { Hono } from "hono";
import { Registry } from "prom-client";
import { authorize } from "../auth.ts";
import type { ServerParts } from "../parts.ts";
import { cacheMetrics } from "./metrics_cache.ts";
import { modelMetrics } from "./metrics_models.ts";
import { processMetrics } from "./metrics_process.ts";
import { requestMetrics } from "./metrics_requests.ts";
import { routerMetrics } from "./metrics_router.ts";

/** Counts from now on, and adds the route. */
export function metricsRoutes(app: Hono, parts: ServerParts): void {
  const registry = new Registry();
  for (const add of [requestMetrics, cacheMetrics, modelMetrics, routerMetrics, processMetrics]) add(registry, parts);

  app.get("/metrics", authorize(parts, "status"), async () => {
    const headers = { "Content-Type": registry.contentType, "Cache-Control": "no-store" };
    return new Response(await registry.metrics(), { headers });
  });
}
