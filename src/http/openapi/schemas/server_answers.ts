/**
 * What the server tells of itself, and of what is in memory.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { AutoDevice, LoadedModelHealth } from "../../health.ts";
import type { LoadedModel } from "../../../warm/backend_cache.ts";
import { cacheStatistics } from "./cache_answers.ts";
import { count, date } from "./common.ts";

const limit = count.nullable().describe("`null`: any.");
const seconds = z.number().min(0);

const loaded = {
  kind: z.string(),
  base: z.string(),
  adapter: z.string().nullable().describe("The one used last."),
  dtype: z.string(),
  device: z.string(),
  identity: z.string().describe("Of its content."),
  adapters: z.array(z.string()).describe("Those in memory."),
  state: z.enum(["loading", "warm", "draining", "cooldown"]),
  pinned: z.boolean(),
  leases: count.describe("Requests that use it, or wait for its load."),
  load_seconds: seconds.nullable(),
  last_used: date,
  bytes: count,
  gpu_bytes: count,
  predicted_bytes: count,
  keep_alive_until: date.nullable(),
  cooldown_until: date.nullable(),
  last_error: z.string().nullable(),
};

/** What is in memory. */
export const loadedModel: z.ZodType<LoadedModel> = z.object(loaded).openapi("LoadedModel");

const loadedModelHealth: z.ZodType<LoadedModelHealth> = z.object({
  ...loaded,
  device_reason: z.string().nullable().describe("Why it is not on a GPU."),
}).openapi("LoadedModelHealth");

const autoDevice: z.ZodType<AutoDevice> = z.object({
  device: z.string(),
  float16: z.boolean(),
  reason: z.string().nullable(),
});

/** All of `/health`. */
export const health: z.ZodType = z.object({
  status: z.literal("ok"),
  version: z.string(),
  uptime_seconds: seconds,
  max_loaded_models: count,
  max_bytes: limit,
  max_gpu_bytes: limit,
  bytes: count,
  gpu_bytes: count,
  waiting_requests: count,
  auto_device: autoDevice.nullable(),
  loaded_models: z.array(loadedModelHealth),
}).openapi("Health");

/** What of it whoever has no key is told, where there are keys. */
export const briefHealth: z.ZodType = z.object({ status: z.literal("ok"), version: z.string() }).openapi("BriefHealth");

/** `/stats`. */
export const serverStatistics: z.ZodType = z.object({
  uptime_seconds: seconds,
  request_count: count,
  run_count: count,
  total_run_seconds: seconds,
  mean_run_seconds: seconds.nullable(),
  cached_backends: count,
  max_loaded_models: count,
  cache: cacheStatistics,
}).openapi("ServerStatistics");
