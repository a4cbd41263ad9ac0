/**
 * The proxy's own errors, told as the provider would tell them: a client reads the errors of one provider and no other.
 *
 * @see https://platform.openai.com/docs/guides/error-codes
 * @see https://platform.claude.com/docs/en/api/errors
 * @see https://google.aip.dev/193
 * @module
 */

import { CacheError } from "../../store/error.ts";
import { ApiError, errorBody } from "../api_error.ts";
import { toApiError } from "../errors.ts";
import type { Dialect } from "./upstream.ts";

const ANTHROPIC: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
};

const GOOGLE: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  413: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  504: "DEADLINE_EXCEEDED",
};

/** An error as a response in a provider's words. */
export function refusalResponse(error: ApiError, dialect: Dialect): Response {
  return Response.json(bodyOf(error, dialect), { status: error.status, headers: error.headers });
}

function bodyOf(error: ApiError, dialect: Dialect): object {
  const { message, status } = error;
  switch (dialect) {
    case "openai":
      return errorBody(error);
    case "anthropic":
      return { type: "error", error: { type: ANTHROPIC[status] ?? "api_error", message }, request_id: null };
    case "google":
      return { error: { code: status, message, status: GOOGLE[status] ?? "UNAVAILABLE" } };
  }
}

/** Whatever was thrown on the way of a request. What the cache says of others' requests is not this caller's to hear. */
export function refusalOf(error: unknown): ApiError {
  const isOthers = error instanceof CacheError && error.code === "call_failed";
  if (!isOthers) return toApiError(error);
  return new ApiError(502, "server_error", "The upstream did not answer", { code: "upstream_failed" });
}
