/**
 * A call of the AI SDK as a request to the cache: what is asked of whom goes into the key, whole, and what only says who
 * asks, or how to pass the answer on, stays out of it.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { JsonObject } from "../../cache/json.ts";
import { providerAt } from "../../cache/request/upstreams.ts";
import type { StreamOptions } from "../../cache/stream/streaming.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { CallParams, ModelName } from "./model.ts";
import { digested, errorOf } from "./values.ts";

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
   * (`openai`, `anthropic`, `google`), else the address that the model was given, else the name the model gives its
   * provider. Two servers whose models keep their addresses to themselves need two names here.
   */
  readonly provider?: string;
}

const OPTIONS = [
  "provider",
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
 * @throws TypeError for an option in `providerOptions.warmcache` that does not exist, and for parameters that are neither
 * JSON nor dates, bytes and addresses.
 */
export async function readCall<P extends CallParams>(
  endpoint: string,
  params: P,
  model: ModelName,
  defaults: AiSdkCacheOptions,
): Promise<ModelCall<P>> {
  const { warmcache = {}, ...others } = params.providerOptions ?? {};
  refuseUnknownOptions("cache a call (providerOptions.warmcache)", warmcache, OPTIONS);
  const { provider = providerOf(model), ...rest } = { ...defaults, ...warmcache };
  const providerOptions = Object.keys(others).length > 0 ? others : undefined;
  // Headers say who asks, and with which release of the SDK. Raw chunks are between a provider and one caller.
  const { headers: _, abortSignal, includeRawChunks: __, ...asked } = { ...params, providerOptions } as
    & P
    & { includeRawChunks?: unknown };
  const body = await digested({ ...asked, model: model.modelId, interface: model.provider }) as JsonObject;
  return {
    body,
    options: {
      ...rest,
      provider,
      endpoint,
      status: {},
      bypass: reasonAgainst(others),
      ...(abortSignal && { signal: abortSignal }),
    },
    outgoing: (signal) => ({ ...params, providerOptions, abortSignal: signal }),
  };
}

/** Why the answer would hang on more than the call; `undefined` where it does not. OpenAI keeps conversations. */
function reasonAgainst(providerOptions: Record<string, object>): string | undefined {
  const conversations = Object.values(providerOptions).map((options) => Object(options).conversation ?? null);
  return conversations.some((conversation) => conversation !== null) ? "the call continues a conversation" : undefined;
}

/**
 * Who answers. Models do not say it, but most have the address they were given; two servers behind one kind of client
 * must not share answers, for both may have a model of the same name.
 */
function providerOf(model: ModelName): string {
  const address = addressOf(model);
  if (address === undefined) return model.provider;
  const known = providerAt(address.origin);
  return known === address.origin ? `${address.origin}${address.pathname.replace(/\/$/, "")}` : known;
}

function addressOf(model: ModelName): URL | undefined {
  const { config } = model as { config?: unknown };
  const { baseURL, url } = Object(config) as { baseURL?: unknown; url?: unknown };
  try {
    const address = typeof url === "function" ? url({ path: "", modelId: model.modelId }) : baseURL;
    return typeof address === "string" ? new URL(address) : undefined;
  } catch {
    return undefined;
  }
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
