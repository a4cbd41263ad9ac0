/**
 * Errors as OpenAI's clients expect them: `{ error: { message, type, param, code } }`, all four keys always there
 * (https://platform.openai.com/docs/guides/error-codes). Everything a route throws passes through here.
 *
 * @module
 */

import { HTTPException } from "hono/http-exception";
import { ModelError } from "../model/error.ts";

/** The `type` of an error, in OpenAI's words. */
export type ApiErrorType = "invalid_request_error" | "authentication_error" | "server_error";

/** What an {@link ApiError} says besides its message. */
export interface ApiErrorDetails extends ErrorOptions {
  /** The request field at fault. */
  readonly param?: string | undefined;
  /** A word programs can test. */
  readonly code?: string;
  readonly headers?: Record<string, string>;
}

/** An answer other than 200, thrown by a route. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly type: ApiErrorType;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Record<string, string>;
  constructor(status: number, type: ApiErrorType, message: string, details: ApiErrorDetails = {}) {
    super(message, details);
    this.status = status;
    this.type = type;
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? {};
  }
}

/** A request that cannot be followed as it is: 400, naming the field. */
export function invalidRequest(message: string, param?: string, code?: string): ApiError {
  return new ApiError(400, "invalid_request_error", message, { param, ...(code === undefined ? {} : { code }) });
}

/** The body of an error, for a response or for the middle of a stream. */
export function errorBody(error: ApiError): object {
  return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
}

/** An error as a response. */
export function errorResponse(error: ApiError): Response {
  return Response.json(errorBody(error), { status: error.status, headers: error.headers });
}

/** Whatever was thrown, as an {@link ApiError}. What we did not foresee is a 500 that tells nothing of the inside. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ModelError) return fromModelError(error);
  if (isAbort(error)) return new ApiError(499, "invalid_request_error", "The client closed the request");
  if (error instanceof HTTPException) return new ApiError(error.status, "invalid_request_error", error.message);
  return new ApiError(500, "server_error", "The server had an error while processing your request", { cause: error });
}

/** Whether work ended because whoever it was for went away. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Clients ignore a longer `Retry-After` and retry at once instead. */
const LONGEST_RETRY_AFTER_SECONDS = 60;

function fromModelError(error: ModelError): ApiError {
  const { message, code, parameter } = error;
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
        headers: { "Retry-After": retryAfter(error), "x-should-retry": "false" },
      });
    case "worker_failed":
      return new ApiError(500, "server_error", message, { ...details, code });
    // Asked again it would end in the same way, after as long a time.
    case "out_of_memory":
    case "no_room":
      return new ApiError(503, "server_error", message, { ...details, code, headers: { "x-should-retry": "false" } });
    case "run_timeout":
      return new ApiError(504, "server_error", message, { ...details, code, headers: { "x-should-retry": "false" } });
    case "device_lost":
    case "identity_changed":
    case "not_warm":
    case "closed":
      return new ApiError(503, "server_error", message, { ...details, code, headers: { "Retry-After": "1" } });
  }
}

function retryAfter(error: ModelError): string {
  const seconds = Math.ceil((error.retryAfter ?? 1000) / 1000);
  return String(Math.min(Math.max(seconds, 1), LONGEST_RETRY_AFTER_SECONDS));
}
