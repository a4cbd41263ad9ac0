/**
 * Parts of answers that several routes have. What is checked with these schemas is the description, not the answers; the
 * tests compare both with what a running server sends.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";

/** An ISO 8601 date. */
export const date: z.ZodType<string> = z.string().describe("ISO 8601.").openapi({ format: "date-time" });

/** A count. */
export const count: z.ZodType<number> = z.number().int().min(0);

/** The `code` of errors of this server's own, and what each means. */
export const ERROR_CODES: Readonly<Record<string, string>> = {
  invalid_api_key: "no key, or none of the server's",
  insufficient_scope: "a key that does not open this",
  foreign_origin: "sent by a page of somebody else's",
  unknown_host: "sent to a name that the server does not know as its own",
  unknown_url: "no such route",
  method_not_allowed: "a route, but not for this method",
  method_not_supported: "a method that the proxy does not pass on",
  body_not_supported: "a body with a method whose requests have none",
  websocket_not_supported: "the proxy passes none on",
  unsupported_media_type: "a body of a type that is not taken here",
  request_too_large: "a body that is too long",
  unreadable_message: "no message of a remote cache, or of another version",
  unknown_parameter: "a field that looks like a known one spelled wrong, or an unknown one where none is taken",
  unsupported_parameter: "a known field with a meaning that this server cannot give it",
  context_length_exceeded: "prompt and answer do not fit into the model's context",
  rate_limit_exceeded: "too many requests of this key, or too many that wait for this model",
  too_many_streams: "no other stream of events may be open",
  too_many_orders: "no other order may be under way",
  model_not_found: "no model of this name, or one that cannot be used",
  model_loading: "not warm in time; the load goes on, and the body has `loading`",
  model_load_failed: "it could not be loaded",
  no_room: "the limits have no place for it",
  out_of_memory: "the machine has none",
  not_warm: "`only_if_warm`, and it is not",
  closed: "the server ends, or the model was unloaded",
  identity_changed: "the model's files changed meanwhile",
  device_lost: "the GPU went away",
  run_timeout: "the model took too long",
  worker_failed: "the model's Worker died",
  endpoint_failed: "the endpoint that answers for the model did not",
  upstream_unreachable: "no connection to the provider",
  upstream_timeout: "the provider took too long",
  upstream_broke_off: "the provider's answer broke off",
  upstream_failed: "the provider did not answer",
  not_cached: "asked for from the cache alone, and not there",
  not_stored: "no stored request has this key",
  cache_unavailable: "the cache cannot answer now",
};

/** Every error. */
export const error: z.ZodType = z.object({
  error: z.object({
    message: z.string().describe("What was tried, and what was received."),
    type: z.string().describe("In OpenAI's words."),
    param: z.string().nullable().describe("The field at fault."),
    code: z.string().nullable().describe(
      `A word programs can test. ${
        Object.entries(ERROR_CODES).map(([code, text]) => `\`${code}\`: ${text}`).join("; ")
      }.`,
    ),
  }),
  loading: z.object({
    state: z.enum(["waiting", "loading"]),
    eta_seconds: z.number().nullable(),
  }).optional().describe("With `model_loading`: how far the model is."),
}).openapi("Error");

/** Tokens of a request and its answer. */
export const usage: z.ZodType = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
}).openapi("Usage");
