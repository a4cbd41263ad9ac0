/**
 * A call of the AI SDK as a request to the cache: what is asked of whom goes into the key, whole, and what only says who
 * asks, or how to pass the answer on, stays out of it.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { JsonObject } from "../../cache/json.ts";
import { reasonInCredentials } from "../../cache/request/credentials.ts";
import type { StreamOptions } from "../../cache/stream/streaming.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { CallParams, ModelName } from "./model.ts";
import { digested, errorOf } from "./values.ts";
import { whomOf } from "./whom.ts";

/** How calls through a middleware are cached. Any of it may be said for one call: `providerOptions.warmcache`. */
export interface AiSdkCacheOptions extends
  Pick<
    StreamOptions,
    | "namespace"
    | "identity"
    | "mode"
    | "ttl"
    | "staleWhileRevalidate"
    | "staleIfError"
    | "maxAge"
    | "tags"
    | "pace"
    | "costMicrodollars"
  > {
  /**
   * Who is asked. By default it is found out from the model: a provider that the cache knows by its address
   * (`openai`, `anthropic`, `google`), else the address that the model was given. A model that does not show its address,
   * such as one with another middleware around it, is not cached unless it is named here, or by `identity`; the name has
   * to stand for all that nobody can see: which server, and with which settings of its own.
   */
  readonly provider?: string;
  /** Names of headers that change no answer, besides those that are known to. Any other is part of the key. */
  readonly ignoreHeaders?: readonly string[];
}

const OPTIONS = [
  "provider",
  "ignoreHeaders",
  "namespace",
  "identity",
  "mode",
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "maxAge",
  "tags",
  "pace",
  "costMicrodollars",
];

/** A call, read. */
export interface ModelCall<P> {
  readonly body: JsonObject;
  readonly options: StreamOptions & { readonly status: CacheStatus };
  /** The parameters for the provider, without what is the cache's; `signal` is the one that it is to listen to. */
  outgoing(signal: AbortSignal): P;
}

/**
 * Checks what is said about all calls of a middleware.
 *
 * @throws TypeError for an option that does not exist.
 */
export function checkOptions(options: object): void {
  refuseUnknownOptions("make a middleware", options, OPTIONS);
}

/**
 * Reads a call.
 *
 * @throws TypeError for an option in `providerOptions.warmcache` that does not exist, and for a model of another version
 * of the interface: its answers would be misread.
 */
export async function readCall<P extends CallParams>(
  endpoint: string,
  params: P,
  model: ModelName,
  defaults: AiSdkCacheOptions,
): Promise<ModelCall<P>> {
  if (model.specificationVersion !== "v4") {
    throw new TypeError(`Cannot cache a model of another interface than v4 (ai 7): ${model.specificationVersion}`);
  }
  const { warmcache, ...others } = params.providerOptions ?? {};
  refuseUnknownOptions("cache a call (providerOptions.warmcache)", warmcache ?? {}, OPTIONS);
  const { ignoreHeaders, ...options } = { ...defaults, ...warmcache };
  const { provider, made, doubt } = await whomOf(model, params.headers, { ...options, ignoreHeaders });
  const providerOptions = Object.keys(others).length > 0 ? others : undefined;
  // The headers are the model's business. Raw chunks are between a provider and one caller.
  const { headers: _, abortSignal, includeRawChunks: __, ...asked } = { ...params, providerOptions } as
    & P
    & { includeRawChunks?: unknown };
  const { body, unkeyable } = await keyed({
    ...asked,
    model: model.modelId,
    interface: model.provider,
    ...(Object.keys(made).length > 0 && { made }),
  });
  return {
    body,
    options: {
      ...options,
      provider,
      endpoint,
      status: {},
      bypass: unkeyable ?? doubt ?? reasonAgainst(body, others),
      ...(abortSignal && { signal: abortSignal }),
    },
    outgoing: (signal) => ({ ...params, providerOptions, abortSignal: signal }),
  };
}

/** What is asked, as the cache takes it. What has no JSON, such as a function, is for the model, and for nobody else. */
async function keyed(asked: JsonObject): Promise<{ body: JsonObject; unkeyable?: string }> {
  try {
    return { body: await digested(asked) as JsonObject };
  } catch (error) {
    return { body: { model: asked.model }, unkeyable: (error as Error).message };
  }
}

/** Why the answer would hang on more than the call; `undefined` where it does not. OpenAI keeps conversations. */
function reasonAgainst(body: JsonObject, providerOptions: Record<string, object>): string | undefined {
  const options = Object.values(providerOptions).map((options) => Object(options) as JsonObject);
  if (options.some(({ conversation }) => (conversation ?? null) !== null)) return "the call continues a conversation";
  return [body, ...options].map(reasonInCredentials).find((reason) => reason !== undefined);
}

/**
 * Calls the provider. What its error says of the provider's answer is put where the cache looks for it, so that a refusal
 * is known again as one, here and in other processes.
 */
export async function askProvider<R>(call: () => PromiseLike<R>): Promise<R> {
  try {
    return await call();
  } catch (error) {
    const { statusCode: status, responseBody: body } = Object(error) as {
      statusCode?: unknown;
      responseBody?: unknown;
    };
    if (error instanceof Error && typeof status === "number" && !("status" in error)) {
      Object.defineProperty(error, "status", { value: status, configurable: true });
      Object.defineProperty(error, "body", { value: body, configurable: true });
    }
    throw error;
  }
}

const RETRYABLE = [408, 409, 429];

/** What the cache failed with, as the provider's own failure where it was one that another call has met. */
export function asCallError(error: unknown): unknown {
  const { code, cause } = Object(error) as { code?: unknown; cause?: unknown };
  const { status, body, message } = Object(cause) as { status?: unknown; body?: unknown; message?: unknown };
  if (code !== "call_failed" || typeof status !== "number") return error;
  const isRetryable = RETRYABLE.includes(status) || status >= 500;
  const facts = { statusCode: status, isRetryable, url: "", requestBodyValues: {} };
  const text = typeof body === "string" ? { responseBody: body } : {};
  return errorOf({ name: "AI_APICallError", message, ...facts, ...text, cause: error });
}

/** The header that says how a call fared, as `cachedFetch` says it. */
export const MARK = "x-warmcache";

/** The headers of a response, marked. */
export function markedHeaders(
  headers: Record<string, string> | undefined,
  { outcome = "miss" }: CacheStatus,
): Record<string, string> {
  return { ...headers, [MARK]: outcome };
}
