/**
 * What `/admin` answers with.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { AdminError, AdminEvent } from "../../admin/admin_event.ts";
import type { ModelStatus } from "../../admin/model_status.ts";
import { count, date } from "./common.ts";
import { loadedModel } from "./server_answers.ts";

const failure = { code: z.string().nullable(), message: z.string() };
const error: z.ZodType<AdminError> = z.object(failure);
const action = z.enum(["load", "unload", "pin"]);

/** Where a model stands. */
export const modelStatus: z.ZodType<ModelStatus> = z.object({
  id: z.string(),
  kind: z.string(),
  parent: z.string().nullable(),
  dtypes: z.array(z.string()),
  created: count.nullable().describe("Seconds since 1970; `null` for what is not on this disk."),
  problem: z.string().nullable().describe("Why it cannot be used."),
  state: z.enum(["cold", "waiting", "loading", "warm", "draining", "cooldown"]).describe("Of an adapter, its base's."),
  eta_seconds: z.number().nullable(),
  adapter_loaded: z.boolean().nullable(),
  loaded: z.array(loadedModel),
  pending: z.array(z.object({ action, since: date })).describe("Orders under way."),
  last_failure: z.object({ action, time: date, ...failure }).nullable().describe(
    "The last order, if it came to nothing.",
  ),
}).openapi("ModelStatus");

/** All of them. */
export const modelStatusList: z.ZodType = z.object({ object: z.literal("list"), data: z.array(modelStatus) })
  .openapi("ModelStatusList");

/** What an order is answered with. */
export const orderAnswer: z.ZodType = z.object({
  action: z.enum(["load", "unload", "pin", "unpin"]),
  done: z.boolean().describe("Whether it is carried out; else it is under way."),
  changed: z.boolean().nullable().describe("Whether it changed anything; `null` while it is under way."),
  model: z.union([modelStatus, z.null()]),
}).openapi("OrderAnswer");

const told = { id: z.string().describe("For `Last-Event-ID`."), time: date };
const about = { ...told, base: z.string(), identity: z.string() };
const reason = z.enum(["room", "idle", "unload", "shutdown"]);
const seconds = z.number().min(0);

/** What an event has for its data. */
export const adminEvent: z.ZodType<AdminEvent> = z.discriminatedUnion("type", [
  z.object({
    ...about,
    type: z.literal("loading"),
    bytes: count.describe("What it is thought to need."),
    waited_seconds: seconds,
  }),
  z.object({ ...about, type: z.literal("loaded"), seconds, bytes: count }),
  z.object({
    ...about,
    type: z.literal("load_failed"),
    error,
    retry_at: date.nullable(),
    permanent: z.boolean().describe("Whether only other files will do."),
  }),
  z.object({ ...about, type: z.literal("load_aborted") }),
  z.object({ ...about, type: z.literal("draining"), reason, leases: count }),
  z.object({
    ...about,
    type: z.literal("evicted"),
    reason,
    bytes: count.describe("What it held."),
    idle_seconds: seconds,
    load_seconds: seconds,
    age_seconds: seconds,
    close_seconds: seconds,
  }),
  z.object({ ...about, type: z.literal("close_failed"), error }),
  z.object({ ...about, type: z.literal("worker_lost"), error: error.nullable() }),
  z.object({ ...about, type: z.enum(["pinned", "unpinned"]) }),
  z.object({ ...about, type: z.literal("adapter_dropped"), adapter: z.string() }),
  z.object({ ...told, type: z.literal("connected") }),
  z.object({
    ...told,
    type: z.literal("gap"),
    missed: count.nullable().describe("How many events can no longer be told; `null`: nobody knows."),
  }),
]).openapi("AdminEvent");
