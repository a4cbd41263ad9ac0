/**
 * `/health` and `/stats`: what is warm, and what both caches have done. Neither waits for a model.
 *
 * @module
 */

import type { Hono } from "hono";
import type { LoadedModel } from "../warm/backend_cache.ts";
import { mayKnow } from "./auth.ts";
import type { ServerParts } from "./parts.ts";
import { statisticsFor } from "./statistics.ts";
import { ownerOf } from "./tenancy.ts";

/** What `/health` answers to whoever may know; where there are keys, others have `status` and `version` alone. */
export interface Health {
  /** It answers, so it is. */
  readonly status: "ok";
  /** The server's own. */
  readonly version: string;
  /** Since it was started. */
  readonly uptime_seconds: number;
  /** How many bases may be in memory. */
  readonly max_loaded_models: number;
  /** How many bytes of this machine's memory they may take together; `null`: any. */
  readonly max_bytes: number | null;
  /** How many bytes on the GPU; `null`: any. */
  readonly max_gpu_bytes: number | null;
  /** How many bytes of this machine's memory they hold together. */
  readonly bytes: number;
  /** How many bytes on the GPU. */
  readonly gpu_bytes: number;
  /** Requests that wait for room; those that wait for a load, or are served, are leases. */
  readonly waiting_requests: number;
  /** What the device `auto` is on this machine; `null` before anybody has asked for a model on it. */
  readonly auto_device: AutoDevice | null;
  /** What is loading, warm or closing, most recently used last, after what could not be loaded and rests. */
  readonly loaded_models: readonly LoadedModelHealth[];
}

/** A base, and why it is where it is. */
export interface LoadedModelHealth extends LoadedModel {
  /** Why it runs on the CPU: why this machine has no GPU for it. `null` where it has one. */
  readonly device_reason: string | null;
}

/** What the device `auto` is on a machine. */
export interface AutoDevice {
  /** `webgpu` where there is a real GPU, else `wasm`. */
  readonly device: string;
  /** Whether it computes in float16. */
  readonly float16: boolean;
  /** Why it is not a GPU; `null` where it is. */
  readonly reason: string | null;
}

/** Adds the routes. */
export function healthRoutes(app: Hono, parts: ServerParts): void {
  const { activity, backends, cache, version } = parts;

  app.get("/health", (context) => {
    if (!mayKnow(context.req.raw.headers, parts, "status")) return context.json({ status: "ok", version });
    const loaded = backends.loaded();
    const auto = parts.autoDevice();
    const health: Health = {
      status: "ok",
      version,
      uptime_seconds: activity.snapshot().uptimeSeconds,
      max_loaded_models: backends.maxLoaded,
      max_bytes: limitOf(backends.maxRamBytes),
      max_gpu_bytes: limitOf(backends.maxGpuBytes),
      bytes: loaded.reduce((sum, { bytes }) => sum + bytes, 0),
      gpu_bytes: loaded.reduce((sum, { gpu_bytes }) => sum + gpu_bytes, 0),
      waiting_requests: backends.waiting,
      auto_device: auto === undefined ? null : { ...auto, reason: auto.reason ?? null },
      loaded_models: loaded.map((model) => {
        return { ...model, device_reason: model.device === "wasm" ? auto?.reason ?? null : null };
      }),
    };
    return context.json(health);
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
      cache: await statisticsFor(cache, ownerOf(context, parts)),
    });
  });
}

/** JSON has no infinity. */
function limitOf(bytes: number): number | null {
  return bytes === Infinity ? null : bytes;
}
