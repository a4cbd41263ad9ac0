/**
 * What the cache tells of itself.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { count } from "./common.ts";

const amount = z.number().min(0);
const microdollars = amount.describe("Millionths of a US dollar.");

const counts = {
  lookups: count.describe("Requests, but for those that bypassed the cache."),
  hits: count,
  misses: count,
  stale: count,
  expired: count,
  corrupt: count,
  bypassed: count,
  shared: count.describe("Answered by the call that another made at the same time."),
  writes: count,
  failed_writes: count,
  failed_lookups: count,
  expired_served: count,
  failed_calls: count,
  unclaimed: count,
  hit_rate: z.number().min(0).max(1),
  saved: z.object({
    prompt_tokens: count,
    completion_tokens: count,
    cost_microdollars: microdollars,
    latency: amount.describe("Milliseconds."),
  }),
  spent_microdollars: microdollars,
};

const perModel = z.record(z.string(), z.object(counts)).describe("The same by model.");

const size = count.nullable();

/** The cache's statistics. */
export const cacheStatistics: z.ZodType = z.object({
  ...counts,
  per_model: perModel,
  store: z.object({
    name: z.string(),
    location: z.string(),
    entries: size,
    body_bytes: size,
    stored_bytes: size,
    total_bytes: size,
    ratio: z.number().nullable(),
  }),
  last_error: z.object({ message: z.string(), time: z.number() }).nullable(),
  all_time: z.object({
    ...counts,
    per_model: perModel,
    per_day: z.array(z.object({ ...counts, day: z.string().openapi({ format: "date" }) })),
  }).nullable().describe("Over all processes that used the store; `null` where it cannot say."),
}).openapi("CacheStatistics");

/** Why a request is a hit, or none. */
export const explanation: z.ZodType = z.object({
  key: z.string().nullable().describe("In hexadecimal; `null` when it has none."),
  input: count.optional().describe("Of several inputs, which one this is about."),
  bypass: z.string().optional().describe("Why the cache would not be asked."),
  samples: count.describe("How many answers are stored and may be served now."),
  unusable: z.object({ expired: z.boolean(), stale: z.boolean(), corrupt: z.boolean() }).optional(),
  failures: z.object({ count, last: z.number(), message: z.string() }).nullable(),
  nearest: z.array(z.object({
    key: z.string(),
    namespace: z.string(),
    provider: z.string(),
    endpoint: z.string(),
    identity: z.string().nullable(),
    differences: z.array(z.object({
      path: z.string().describe("Where, such as `$.messages[1].content`."),
      kind: z.enum(["changed", "missing", "added"]),
      stored: z.string().optional(),
      asked: z.string().optional(),
      offset: count.optional(),
    })),
    difference_count: count,
    similarity: z.number().min(0).max(1),
  })).describe("Stored requests that resemble it, the one that differs least first."),
  text: z.string().describe("All of it for people."),
}).openapi("Explanation");

/** What was removed. */
export const invalidated: z.ZodType<{ entries: number; stored_bytes: number }> = z.object({
  entries: count.describe("How many are gone, each sample counted as one."),
  stored_bytes: count,
}).openapi("Invalidated");
