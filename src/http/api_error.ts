/**
 * The error that whoever asks for text is told, wherever it is answered: by a route, or in a page without any server.
 *
 * @module
 */

/** The `type` of an error, in OpenAI's words. */
export type ApiErrorType = "invalid_request_error" | "authentication_error" | "requests" | "server_error";

/** What an {@link ApiError} says besides its message. */
export interface ApiErrorDetails extends ErrorOptions {
  /** The request field at fault. */
  readonly param?: string | undefined;
  /** A word programs can test. */
  readonly code?: string;
  readonly headers?: Record<string, string>;
  /** What else the body says, beside `error`. */
  readonly beside?: Readonly<Record<string, unknown>>;
}

/** An answer other than 200, thrown by a route. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly type: ApiErrorType;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Record<string, string>;
  readonly beside: Readonly<Record<string, unknown>>;
  constructor(status: number, type: ApiErrorType, message: string, details: ApiErrorDetails = {}) {
    super(message, details);
    this.status = status;
    this.type = type;
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? {};
    this.beside = details.beside ?? {};
  }
}

/** A request that cannot be followed as it is: 400, naming the field. */
export function invalidRequest(message: string, param?: string, code?: string): ApiError {
  return new ApiError(400, "invalid_request_error", message, { param, ...(code === undefined ? {} : { code }) });
}

/** The body of an error, for a response or for the middle of a stream. */
export function errorBody(error: ApiError): object {
  const { message, type, param, code, beside } = error;
  return { error: { message, type, param, code }, ...beside };
}

/** Whether work ended because whoever it was for went away. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Clients ignore a longer `Retry-After` and retry at once instead. */
export const LONGEST_RETRY_AFTER_SECONDS = 60;
