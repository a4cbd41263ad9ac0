/**
 * `/livez` and `/readyz`, for whoever starts servers again or sends them requests. They answer anybody and ask nothing: a
 * server whose loop turns is alive, and it is ready unless it ends or is stuck. What is cold or loading is no reason: a
 * server that is not ready is sent nothing, and would never load.
 *
 * @see https://kubernetes.io/docs/concepts/workloads/pods/probes/
 * @module
 */

import type { Hono } from "hono";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { ServerParts } from "../parts.ts";

/**
 * How many times as long as a request waits for its model a load, or a wait for room, may take before it is taken for
 * stuck. Loads of minutes are in order, and so is a wait behind them.
 */
export const PATIENCE_FACTOR = 5;

/** Adds the routes; before all others, so that they depend on nothing. */
export function probeRoutes(
  app: Hono,
  parts: Pick<ServerParts, "backends" | "lifecycle" | "loads" | "loadTimeout">,
): void {
  app.get("/livez", () => answer(200, { status: "ok" }));
  app.get("/readyz", () => {
    const reasons = whyNotReady(parts);
    return reasons.length === 0 ? answer(200, { status: "ok" }) : answer(503, { status: "not ready", reasons });
  });
}

/** Why a server is to be sent no requests; empty when it is ready. */
export function whyNotReady(
  { backends, lifecycle, loads, loadTimeout }: Pick<ServerParts, "backends" | "lifecycle" | "loads" | "loadTimeout">,
): string[] {
  const deadline = PATIENCE_FACTOR * loadTimeout;
  const reasons: string[] = [];
  if (lifecycle.state !== "running") reasons.push("draining");
  if (loads.oldest > deadline) reasons.push(`a model has been loading for ${seconds(loads.oldest)}`);
  if (backends.longestWait > deadline) {
    reasons.push(`a request has waited for room for ${seconds(backends.longestWait)}`);
  }
  return reasons;
}

function seconds(time: Milliseconds): string {
  return `${Math.round(time / 1000)} s`;
}

function answer(status: 200 | 503, body: object): Response {
  return Response.json(body, { status, headers: { "Cache-Control": "no-store" } });
}
