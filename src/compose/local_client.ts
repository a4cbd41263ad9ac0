/**
 * Questions to models of this program's own, as OpenAI's clients ask them, through the response cache: what a server does
 * with them, without the server. Both file an answer under the same key.
 *
 * @module
 */

import type { CacheCallOptions } from "../cache/call_options.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import type { StreamOptions } from "../cache/stream/streaming.ts";
import { chatCompletions } from "../http/chat_completions.ts";
import { completions } from "../http/completions.ts";
import type { TextEndpoint } from "../http/endpoint.ts";
import { checkFieldNames } from "../http/field_names.ts";
import { type Loading, unlessCold } from "../http/loading.ts";
import { underIdentity } from "../http/local_model.ts";
import { OWN_FIELDS, readOwnFields, type Residency } from "../http/own_fields.ts";
import {
  type AnsweringParts,
  type Asking,
  begin,
  type BegunStream,
  type Chunk,
  generateAnswer,
  generateChunks,
  localScope,
  readAgain,
  streamedBody,
  wishedChunks,
} from "../http/text_answer.ts";
import type { TextRequest } from "../http/request_fields.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { parseModelName } from "../warm/spec.ts";
import { backendCacheOf, type Backends } from "./join_backends.ts";

/** A request as OpenAI's clients send it; `model` is `base[:dtype][+adapter]`. */
export type LocalBody = Readonly<Record<string, unknown>> & { readonly model: string };

/** How the cache is asked, scope apart: whom a request is for, its model says. */
export type LocalCallOptions = Omit<CacheCallOptions, "provider" | "endpoint" | "identity">;

/** {@link LocalCallOptions}, for a stream. */
export type LocalStreamOptions = Omit<StreamOptions, "provider" | "endpoint" | "identity">;

/**
 * Asks models, and remembers what they answered. All methods throw an error named `ApiError`, with the `status` and the
 * `param` that a server would answer with, for a body that cannot be followed; ModelError; CacheError; and the reason of
 * `options.signal`.
 */
export interface LocalClient {
  /** `/v1/chat/completions`: a conversation, and OpenAI's whole answer to it. */
  createChatCompletion(body: LocalBody, options?: LocalCallOptions): Promise<LocalAnswer>;
  /** The same in chunks, as they come. */
  streamChatCompletion(body: LocalBody, options?: LocalStreamOptions): AsyncIterable<LocalChunk>;
  /** `/v1/completions`: a text, texts or token ids. */
  createCompletion(body: LocalBody, options?: LocalCallOptions): Promise<LocalAnswer>;
  /** The same in chunks, as they come. */
  streamCompletion(body: LocalBody, options?: LocalStreamOptions): AsyncIterable<LocalChunk>;
}

/** OpenAI's answer. */
export interface LocalAnswer {
  /** Another one for every answer that was given, not for every time that it is told again. */
  readonly id: string;
  /** `chat.completion` or `text_completion`. */
  readonly object: string;
  /** When it was given, in seconds since 1970. */
  readonly created: number;
  /** What was asked for. */
  readonly model: string;
  /** Begins with the content identity of model and adapter. */
  readonly system_fingerprint: string;
  /** As many as `n` asks for. */
  readonly choices: readonly LocalChoice[];
  /** What was read and written. */
  readonly usage: LocalUsage;
}

/** Tokens read and written. */
export interface LocalUsage {
  /** In the prompt. */
  readonly prompt_tokens: number;
  /** In all choices together. */
  readonly completion_tokens: number;
  /** Both. */
  readonly total_tokens: number;
}

/** One of its choices. */
export interface LocalChoice {
  /** Which one, from 0 on. */
  readonly index: number;
  /** Of a conversation. */
  readonly message?: { readonly role: string; readonly content: string };
  /** Of a text. */
  readonly text?: string;
  /** Where they were asked for, in the shape that OpenAI has for the endpoint. */
  // deno-lint-ignore no-explicit-any -- two endpoints have two shapes of these
  readonly logprobs?: any;
  /** Whether it came to its end, or had as many tokens as it might. */
  readonly finish_reason: "stop" | "length";
}

/** A part of an answer. */
export interface LocalChunk {
  /** The answer's. */
  readonly id: string;
  /** Parts of choices; none in the chunk with the usage. */
  readonly choices: readonly LocalChoicePart[];
  /** In the last chunk, where `stream_options.include_usage` asks for it. */
  readonly usage?: LocalUsage | null;
}

/** A part of a choice. */
export interface LocalChoicePart {
  /** Of which one. */
  readonly index: number;
  /** Of a conversation. */
  readonly delta?: { readonly role?: string; readonly content?: string };
  /** Of a text. */
  readonly text?: string;
  /** In a choice's last part. */
  readonly finish_reason: "stop" | "length" | null;
}

/** What a body says, read. */
interface Read {
  /** What the key is made of. */
  readonly body: Record<string, unknown>;
  readonly request: TextRequest;
  readonly residency: Residency;
}

/**
 * Joins models to a cache. Closing either is left to whoever opened it.
 *
 * @throws TypeError for models that were not opened with `openBackends`.
 */
export function joinClient(clock: Clock, backends: Backends, cache: ResponseCache): LocalClient {
  const parts: AnsweringParts = {
    backends: backendCacheOf(backends),
    clock,
    activity: { run: () => () => {} },
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  };
  return {
    createChatCompletion: (body, options) => whole(chatCompletions, parts, cache, body, options),
    streamChatCompletion: (body, options) => inChunks(chatCompletions, parts, cache, body, options),
    createCompletion: (body, options) => whole(completions, parts, cache, body, options),
    streamCompletion: (body, options) => inChunks(completions, parts, cache, body, options),
  };
}

async function whole(
  endpoint: TextEndpoint,
  parts: AnsweringParts,
  cache: ResponseCache,
  given: LocalBody,
  options: LocalCallOptions = {},
): Promise<LocalAnswer> {
  const { stream: _, stream_options: __, ...rest } = given;
  const { body, request, residency } = read(endpoint, rest);
  const signal = options.signal ?? new AbortController().signal;
  return await underIdentity(parts, parseModelName(request.model), signal, async (model) => {
    const produce = (missing: object, context: { readonly signal: AbortSignal }): Promise<object> =>
      generateAnswer(endpoint, parts, askingOf(endpoint, missing, residency, context.signal), model);
    const question = { parts, endpoint, model, residency, options };
    return await asked(question, (call) => cache.wrap(body, produce, call)) as LocalAnswer;
  });
}

async function* inChunks(
  endpoint: TextEndpoint,
  parts: AnsweringParts,
  cache: ResponseCache,
  given: LocalBody,
  options: LocalStreamOptions = {},
): AsyncGenerator<LocalChunk> {
  const { body, request, residency } = read(endpoint, { ...given, stream: true });
  const signal = options.signal ?? new AbortController().signal;
  const begun = await underIdentity(parts, parseModelName(request.model), signal, async (model) => {
    const produce = (missing: object, context: { readonly signal: AbortSignal }): Promise<AsyncIterable<Chunk>> => {
      const asking = askingOf(endpoint, missing, residency, context.signal);
      return Promise.resolve(generateChunks(endpoint, parts, asking, model) as AsyncIterable<Chunk>);
    };
    const question = { parts, endpoint, model, residency, options };
    const ask = async (call: LocalStreamOptions & CacheCallOptions): Promise<BegunStream> =>
      await begin(await cache.wrapStream<Chunk>(streamedBody(body), produce, call));
    return await asked(question, ask);
  });
  yield* wishedChunks(begun, request) as AsyncIterable<unknown> as AsyncIterable<LocalChunk>;
}

function read(endpoint: TextEndpoint, given: Record<string, unknown>): Read {
  checkFieldNames(new Headers(), given, [...endpoint.fields, ...OWN_FIELDS]);
  const { body, residency } = readOwnFields(given);
  return { body, residency, request: endpoint.read(body) };
}

function askingOf(endpoint: TextEndpoint, missing: object, residency: Residency, signal: AbortSignal): Asking {
  return { request: readAgain(endpoint, missing), residency, signal };
}

/** Asks the cache; where a model is not to be loaded for a request, an answer that is not there is a refusal. */
async function asked<O extends LocalCallOptions, T>(
  { parts, endpoint, model, residency, options }: {
    readonly parts: AnsweringParts;
    readonly endpoint: TextEndpoint;
    readonly model: ResolvedModel;
    readonly residency: Residency;
    readonly options: O;
  },
  ask: (options: O & CacheCallOptions) => Promise<T>,
): Promise<T> {
  const { mode } = options;
  const directives = mode === undefined ? {} : { mode };
  const loads = {
    of: ({ identity }: ResolvedModel["base"]): Loading | undefined => {
      const isWarm = parts.backends.loaded().some((each) => each.identity === identity && each.state === "warm");
      return isWarm ? undefined : { state: "waiting", eta_seconds: null };
    },
  };
  return await unlessCold(
    { loads },
    model,
    { residency, directives },
    (wishes) => ask({ ...options, ...wishes, ...localScope(endpoint, model) }),
  );
}
