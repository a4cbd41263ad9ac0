/**
 * The one error class of models and of keeping them warm.
 *
 * @module
 */

/**
 * Why a model could not do what was asked.
 *
 * - `model_not_found`: no model or adapter of that name.
 * - `model_load_failed`: its files are broken or missing, or the Worker could not start; in cooldown after that.
 * - `identity_changed`: the files are not (or no longer) the ones whose digest was computed; ask for the identity anew.
 * - `prompt_too_long`: prompt and answer do not fit the context; `parameter` names the field.
 * - `invalid_request`: a field has a value this model cannot follow; `parameter` names the field.
 * - `worker_failed`: the Worker died while it worked; the next request gets a new one.
 * - `out_of_memory`: the model, or what it was asked for, does not fit into memory.
 * - `device_lost`: the GPU went away while the model worked; the next request gets a new Worker.
 * - `run_timeout`: the model took too long over one request, and its Worker was ended; the next request gets a new one.
 * - `endpoint_failed`: the endpoint that runs the model cannot be reached, refuses, or answers with what cannot be used.
 * - `not_warm`: the caller asked for a warm model only.
 * - `no_room`: the limits leave no place for the model: it is too large, or what is pinned takes all.
 * - `queue_full`: as many requests wait as may; ask again after `retryAfter`.
 * - `closed`: the server is shutting down.
 */
export type ModelErrorCode =
  | "model_not_found"
  | "model_load_failed"
  | "identity_changed"
  | "prompt_too_long"
  | "invalid_request"
  | "worker_failed"
  | "out_of_memory"
  | "device_lost"
  | "run_timeout"
  | "endpoint_failed"
  | "not_warm"
  | "no_room"
  | "queue_full"
  | "closed";

/** What a {@link ModelError} may carry besides its message. */
export interface ModelErrorOptions extends ErrorOptions {
  /** The request field at fault. */
  readonly parameter?: string;
  /** Milliseconds until another try makes sense. */
  readonly retryAfter?: number;
  /** Whether it will fail in the same way until the files change. */
  readonly permanent?: boolean;
}

/** A model could not do what was asked, for a reason that callers can act on. */
export class ModelError extends Error {
  /** Tells it from other errors. */
  override readonly name = "ModelError";
  /** Why, as a word a program can test. */
  readonly code: ModelErrorCode;
  /** The request field at fault, when it was one. */
  readonly parameter: string | undefined;
  /** Milliseconds until another try makes sense, while in cooldown or where too many wait. */
  readonly retryAfter: number | undefined;
  /** It will fail in the same way until the files change: one is missing, the graph is none, an adapter does not fit. */
  readonly permanent: boolean;
  /** Makes one; the message says what was tried, what was received and what to do. */
  constructor(code: ModelErrorCode, message: string, options?: ModelErrorOptions) {
    super(message, options);
    this.code = code;
    this.parameter = options?.parameter;
    this.retryAfter = options?.retryAfter;
    this.permanent = options?.permanent ?? false;
  }
}
