/**
 * A `fetch` with the response cache in it, for every client that takes one: `new OpenAI({ fetch: cachedFetch(cache) })`.
 *
 * Cached are POSTs of JSON to chat completions, completions, responses, messages and Gemini's generateContent, each
 * exactly as the provider answers it, whole or as a stream of events, and to embeddings, text by text (Gemini's as the
 * request has them). Failures, and whatever else the client asks for, go through untouched. The entry is found by what is
 * asked of whom, not by who asks: the API key is not part of it, nor are other headers that are known to change nothing.
 * A header that is not known is part of it. A request that switches a beta of Anthropic's on goes round the cache.
 *
 * @module
 */

import { splitEmbeddings } from "../cache/batch/embeddings.ts";
import { type Target, targetOf } from "../cache/request/endpoint.ts";
import { type EndpointKind, endpointKind } from "../cache/request/ignore_list.ts";
import { decodeText, isJsonObject, type JsonObject } from "../cache/json.ts";
import { parseRequest } from "../cache/request/raw_json.ts";
import type { CacheCallOptions, CacheStatus } from "../cache/call_options.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { sampleShape } from "../cache/answer/samples.ts";
import type { ProduceContext } from "../cache/flow/supplier.ts";
import { providerAt, type Upstreams } from "../cache/request/upstreams.ts";
import { EVENT_STREAM, Failure, isAnswer, isOf, rebuilt, recordedFailure } from "./fetch_answer.ts";
import { type FetchCall, readFetchCall } from "./fetch_call.ts";

export type { ResponseCache, Upstreams };

/** How to fetch. */
export interface CachedFetchOptions {
  /** What does the fetching on a miss. Default: the runtime's. */
  readonly fetch?: typeof fetch;
  /** Names of further upstreams, by origin; entries at an unnamed one are filed under the origin. */
  readonly upstreams?: Upstreams;
  /**
   * Names of headers that change no answer, besides those that are known to: a header of your own that is another one
   * each time would make every request another.
   */
  readonly ignoreHeaders?: readonly string[];
}

/** What a client asks for, if the cache can answer such things. */
interface Question {
  readonly origin: string;
  readonly endpoint: string;
  readonly kind: EndpointKind;
  readonly text: string;
  readonly body: JsonObject;
  readonly bypass: string | undefined;
  /** Whether the answer is to come in a stream of events, or in parts that are cached each by itself. */
  readonly form: "whole" | "stream" | "embeddings";
}

/** The provider's answer to the very question, where there was need to ask it. */
interface Asked {
  response?: Response;
}

/** Asks the provider for what is missing. */
type Ask<T> = (missing: JsonObject, context: ProduceContext) => Promise<T>;

/**
 * Wraps `fetch`. Responses say in `X-Warmcache` whether they were a `hit` or what else. Aborting one request leaves
 * others alone that wait for the same answer; what the provider is asked is aborted with the last of them.
 *
 * A request that the provider refused as such is not sent again for a while: {@link ResponseCacheOptions.negativeTtl}.
 *
 * @throws what `cache.wrap` throws before anything is fetched, what the wrapped `fetch` throws, and the reason of the
 * request's signal as soon as that is aborted.
 */
export function cachedFetch(cache: ResponseCache, options: CachedFetchOptions = {}): typeof fetch {
  const { fetch: send = globalThis.fetch, upstreams = {}, ignoreHeaders } = options;
  return async (input, init) => {
    const call = readFetchCall(send, input, init);
    const question = await readQuestion(call.request, ignoreHeaders);
    if (question === undefined) return await call.pass();

    return await responseTo(question, cache, call, providerAt(question.origin, upstreams));
  };
}

async function responseTo(
  question: Question,
  cache: ResponseCache,
  call: FetchCall,
  provider: string,
  isSecond = false,
): Promise<Response> {
  const { endpoint, bypass } = question;
  const status: CacheStatus = {};
  const options = { provider, endpoint, bypass, status, signal: call.request.signal };
  try {
    return marked(await answerTo(question, cache, call, options), status);
  } catch (error) {
    // Whoever has another key may be answered otherwise.
    const isOwn = !(error instanceof Failure) || error.isFor(call.asker);
    if (!isOwn && !isSecond) return await responseTo(question, cache, call, provider, true);
    const failure = error instanceof Failure ? error.toResponse() : recordedFailure(error);
    if (failure === undefined) throw error;
    return marked(failure, status);
  }
}

async function answerTo(
  { kind, body, text, form }: Question,
  cache: ResponseCache,
  call: FetchCall,
  options: CacheCallOptions,
): Promise<Response> {
  const asked: Asked = {};
  // What was answered to a call that failed, or goes on in the background, is not about the answer of before.
  const own = (): Response | undefined => options.status?.expiredServed ? undefined : asked.response;
  const ask = async (missing: JsonObject, { signal }: ProduceContext): Promise<Response> => {
    return asked.response = await call.send(missing === body ? text : JSON.stringify(missing), signal);
  };
  const askWhole: Ask<Uint8Array<ArrayBuffer>> = async (missing, context) => {
    const response = await ask(missing, context);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isGood = response.status === 200 && isOf("application/json", response.headers);
    if (!isGood || !isAnswer(kind, bytes)) throw new Failure(response, bytes, call.asker);
    return bytes;
  };
  if (form === "stream") {
    const events = await cache.wrapEvents(body, async (missing, context) => {
      const response = await ask(missing, context);
      if (response.status === 200 && isOf(EVENT_STREAM, response.headers) && response.body !== null) {
        return response.body;
      }
      throw new Failure(response, new Uint8Array(await response.arrayBuffer()), call.asker);
    }, options);
    return rebuilt(own(), events as ReadableStream<Uint8Array<ArrayBuffer>>, EVENT_STREAM);
  }
  if (form === "embeddings") {
    const answer = await cache.wrapEmbeddings(body, async (missing, context) => {
      const bytes = await askWhole(missing, context);
      try {
        return JSON.parse(decodeText(bytes)) as JsonObject;
      } catch {
        throw new Failure(asked.response!, bytes, call.asker);
      }
    }, options);
    return rebuilt(own(), new TextEncoder().encode(JSON.stringify(answer)));
  }
  const entry = await cache.wrapEntry(body, askWhole, options);
  return rebuilt(own(), entry.bytes() as Uint8Array<ArrayBuffer>);
}

async function readQuestion(
  request: Request,
  ignoreHeaders: readonly string[] | undefined,
): Promise<Question | undefined> {
  if (request.method !== "POST" || !isOf("application/json", request.headers)) return undefined;
  const url = new URL(request.url);
  const target = await targetOf(url, request.headers, ignoreHeaders);
  const kind = target && endpointKind(target.endpoint);
  if (target === undefined || kind === undefined) return undefined;
  const { endpoint } = target;
  const bytes = new Uint8Array(await request.clone().arrayBuffer());
  try {
    const text = decodeText(bytes);
    const { body, unkeyable } = parseRequest(text);
    if (!isJsonObject(body)) return undefined;
    sampleShape(endpoint, body);
    const beta = request.headers.has("anthropic-beta")
      ? "a header changes what is answered: anthropic-beta"
      : undefined;
    const bypass = unkeyable ?? beta;
    const divides = kind === "embeddings" && bypass === undefined && splitEmbeddings(body) !== undefined;
    const form = divides ? "embeddings" : streams(target, kind, body) ? "stream" : "whole";
    return { origin: url.origin, endpoint, kind, text, body, bypass, form };
  } catch {
    // No JSON, or no number of samples: the provider knows best what to say to it.
    return undefined;
  }
}

const BY_ADDRESS: readonly EndpointKind[] = ["embeddings", "generate_content", "embed_content"];

/** Whether the answer is to come as a stream. Where the address says so, a `stream` in the body means nothing. */
function streams(target: Target, kind: EndpointKind, { stream }: JsonObject): boolean {
  return target.streams || (!BY_ADDRESS.includes(kind) && Boolean(stream));
}

function marked(response: Response, { outcome = "miss" }: CacheStatus): Response {
  response.headers.set("X-Warmcache", outcome);
  return response;
}
