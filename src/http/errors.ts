/**
 * Errors as OpenAI's clients expect them: `{ error: { message, type, param, code } }`, all four keys always there
 * (https://platform.openai.com/docs/guides/error-codes). Everything a route throws passes through here.
 *
 * @module
 */

import { HTTPException } from "hono/http-exception";
import { ModelError } from "../model/error.ts";
import { CacheError } from "../store/error.ts";
import { ApiError, errorBody, isAbort, LONGEST_RETRY_AFTER_SECONDS } from "./api_error.ts";

/** An error as a response. */
export function errorResponse(error: ApiError): Response {
  return Response.json(errorBody(error), { status: error.status, headers: error.headers });
}

/** Whatever was thrown, as an {@link ApiError}. What we did not foresee is a 500 that tells nothing of the inside. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ModelError) return fromModelError(error);
  if (error instanceof CacheError) return fromCacheError(error);
  if (isAbort(error)) return new ApiError(499, "invalid_request_error", "The client closed the request");
  if (error instanceof HTTPException) return new ApiError(error.status, "invalid_request_error", error.message);
  return new ApiError(500, "server_error", "The server had an error while processing your request", { cause: error });
}

/** What the caller asked to be told, or what passes by itself. */
const EXPECTED: ReadonlySet<string | null> = new Set(["not_cached", "model_loading", "too_many_streams"]);

/** Whether an answer tells of something that is for the log. */
export function isFault({ status, code }: ApiError): boolean {
  return status >= 500 && !EXPECTED.has(code);
}

/** What the cache says of its files, or of others' requests, is not the caller's to hear. */
function fromCacheError(error: CacheError): ApiError {
  if (error.code === "replay_miss") {
    const message = "The answer is not in the cache, and was asked of nobody else";
    const headers = { "x-should-retry": "false" };
    return new ApiError(504, "invalid_request_error", message, { code: "not_cached", headers });
  }
  return new ApiError(503, "server_error", "The cache cannot answer now", { code: "cache_unavailable", cause: error });
}

/** When to ask again, in milliseconds, as clients read it: those that know the finer header look there first. */
export function retryHeaders(wait: number): Record<string, string> {
  const milliseconds = Math.max(1, Math.min(Math.ceil(wait), LONGEST_RETRY_AFTER_SECONDS * 1000));
  return { "Retry-After": String(Math.ceil(milliseconds / 1000)), "retry-after-ms": String(milliseconds) };
}

function fromModelError(error: ModelError): ApiError {
  const { message, code } = error;
  // The contract's `minTokens` is a request's `min_tokens`.
  const parameter = error.parameter?.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const details = { cause: error };
  switch (code) {
    case "model_not_found":
      return new ApiError(404, "invalid_request_error", message, { ...details, code, param: "model" });
    case "prompt_too_long":
      return new ApiError(400, "invalid_request_error", message, {
        ...details,
        code: "context_length_exceeded",
        param: parameter,
      });
    case "invalid_request":
      return new ApiError(400, "invalid_request_error", message, { ...details, param: parameter });
    case "model_load_failed":
      // Until its files change a broken model stays broken: a client that repeats by itself only waits longer.
      return new ApiError(503, "server_error", message, {
        ...details,
        code,
        headers: { "Retry-After": retryAfter(error), ...(error.permanent && { "x-should-retry": "false" }) },
      });
    case "worker_failed":
      return new ApiError(500, "server_error", message, { ...details, code });
    // It was asked as often as makes sense.
    case "endpoint_failed":
      return new ApiError(502, "server_error", message, { ...details, code, headers: { "x-should-retry": "false" } });
    // Asked again it would end in the same way, after as long a time.
    case "out_of_memory":
    case "no_room":
    // Nothing loads it because somebody asks again.
    case "not_warm":
      return new ApiError(503, "server_error", message, { ...details, code, headers: { "x-should-retry": "false" } });
    // The caller's to slow down; what the server cannot is a 503.
    case "queue_full":
      return new ApiError(429, "requests", message, {
        ...details,
        code: "rate_limit_exceeded",
        headers: retryHeaders(error.retryAfter ?? 1000),
      });
    case "run_timeout":
      return new ApiError(504, "server_error", message, { ...details, code, headers: { "x-should-retry": "false" } });
    case "device_lost":
    case "identity_changed":
    case "closed":
      return new ApiError(503, "server_error", message, { ...details, code, headers: { "Retry-After": "1" } });
  }
}

function retryAfter(error: ModelError): string {
  const seconds = Math.ceil((error.retryAfter ?? 1000) / 1000);
  return String(Math.min(Math.max(seconds, 1), LONGEST_RETRY_AFTER_SECONDS));
}
