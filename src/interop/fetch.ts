/**
 * A `fetch` with the response cache in it, for every client that takes one: `new OpenAI({ fetch: cachedFetch(cache) })`.
 *
 * Cached are POSTs of JSON to chat completions, completions, responses, messages and Gemini's generateContent, each
 * exactly as the provider answers it, whole or as a stream of events, and to embeddings, text by text (Gemini's as the
 * request has them). Failures, and whatever else the client asks for, go through untouched. The entry is found by what is
 * asked of whom, not by who asks: the API key is not part of it. Other headers are not part of it either, but for the
 * version of Anthropic's interface, so a request that switches a beta on by one goes round the cache.
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

export type { ResponseCache, Upstreams };

/** How to fetch. */
export interface CachedFetchOptions {
  /** What does the fetching on a miss. Default: the runtime's. */
  readonly fetch?: typeof fetch;
  /** Names of further upstreams, by origin; entries at an unnamed one are filed under the origin. */
  readonly upstreams?: Upstreams;
}

/** An answer that is none to keep: it is passed on as it is, to everybody who waits for it, and never stored. */
class Failure extends Error {
  override readonly name = "Failure";
  /** What other processes may tell of it; absent where the provider did not call it a failure. */
  readonly status: number | undefined;
  /** The same of its body. */
  readonly body: string;
  readonly #response: Response;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(response: Response, bytes: Uint8Array<ArrayBuffer>) {
    super(`the provider answered with ${response.status} ${response.headers.get("Content-Type") ?? ""}`.trimEnd());
    this.status = response.ok ? undefined : response.status;
    this.body = new TextDecoder().decode(bytes);
    this.#response = response;
    this.#bytes = bytes;
  }

  toResponse(): Response {
    return rebuilt(this.#response, this.#bytes);
  }
}

/** What a client asks for, if the cache can answer such things. */
interface Question {
  readonly origin: string;
  readonly endpoint: string;
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
  const { fetch: send = globalThis.fetch, upstreams = {} } = options;
  return async (input, init) => {
    const request = new Request(input, init);
    const question = await readQuestion(request);
    if (question === undefined) return await send(request);

    const { origin, endpoint, bypass } = question;
    const status: CacheStatus = {};
    try {
      const answer = await answerTo(question, cache, send, request, {
        provider: providerAt(origin, upstreams),
        endpoint,
        bypass,
        status,
        signal: request.signal,
      });
      return marked(answer, status);
    } catch (error) {
      const failure = error instanceof Failure ? error.toResponse() : recordedFailure(error);
      if (failure === undefined) throw error;
      return marked(failure, status);
    }
  };
}

async function answerTo(
  { body, text, form }: Question,
  cache: ResponseCache,
  send: typeof fetch,
  request: Request,
  options: CacheCallOptions,
): Promise<Response> {
  const asked: Asked = {};
  const ask = async (missing: JsonObject, { signal }: ProduceContext): Promise<Response> => {
    // From the request itself: a runtime keeps things in it that no script can see, such as a proxy.
    const outgoing = new Request(request, { body: missing === body ? text : JSON.stringify(missing), signal });
    outgoing.headers.delete("Content-Length");
    return asked.response = await send(outgoing);
  };
  const askWhole: Ask<Uint8Array<ArrayBuffer>> = async (missing, context) => {
    const response = await ask(missing, context);
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (!response.ok || !isOf("application/json", response.headers)) throw new Failure(response, bytes);
    return bytes;
  };
  if (form === "stream") {
    const events = await cache.wrapEvents(body, async (missing, context) => {
      const response = await ask(missing, context);
      if (response.ok && isOf(EVENT_STREAM, response.headers) && response.body !== null) return response.body;
      throw new Failure(response, new Uint8Array(await response.arrayBuffer()));
    }, options);
    return rebuilt(asked.response, events as ReadableStream<Uint8Array<ArrayBuffer>>, EVENT_STREAM);
  }
  if (form === "embeddings") {
    const answer = await cache.wrapEmbeddings(body, async (missing, context) => {
      const bytes = await askWhole(missing, context);
      try {
        return JSON.parse(decodeText(bytes)) as JsonObject;
      } catch {
        throw new Failure(asked.response!, bytes);
      }
    }, options);
    return rebuilt(asked.response, new TextEncoder().encode(JSON.stringify(answer)));
  }
  const entry = await cache.wrapEntry(body, askWhole, options);
  return rebuilt(asked.response, entry.bytes() as Uint8Array<ArrayBuffer>);
}

async function readQuestion(request: Request): Promise<Question | undefined> {
  if (request.method !== "POST" || !isOf("application/json", request.headers)) return undefined;
  const url = new URL(request.url);
  const target = targetOf(url, request.headers);
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
    return { origin: url.origin, endpoint, text, body, bypass, form };
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

const EVENT_STREAM = "text/event-stream";

function isOf(mediaType: string, headers: Headers): boolean {
  const [said = ""] = (headers.get("Content-Type") ?? "").split(";");
  return said.trim().toLowerCase() === mediaType;
}

/** What was remembered of a call that failed, here or in another process, as the provider's answer that it was. */
function recordedFailure(error: unknown): Response | undefined {
  const { code, cause } = Object(error) as { code?: unknown; cause?: unknown };
  const { status, body, ...said } = Object(cause) as { status?: unknown; body?: unknown } & JsonObject;
  const isFailure = typeof status === "number" && status >= 400 && status <= 599;
  if (code !== "call_failed" || !isFailure) return undefined;
  if (typeof body === "string") {
    const type = isJsonText(body) ? "application/json" : "text/plain";
    return new Response(body, { status, headers: { "Content-Type": type } });
  }
  const { type = null, param = null, code: reason = null } = said;
  return Response.json({ error: { message: (cause as Error).message, type, param, code: reason } }, { status });
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A response with this body: the provider's own headers where it was asked, less those of the transport. */
function rebuilt(
  source: Response | undefined,
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>,
  mediaType = "application/json",
): Response {
  const headers = new Headers(source?.headers ?? { "Content-Type": mediaType });
  for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) headers.delete(name);
  const { status = 200, statusText = "" } = source ?? {};
  // A status such as 204 may not have a body, not even an empty one.
  return new Response("length" in body && body.length === 0 ? null : body, { status, statusText, headers });
}

function marked(response: Response, { outcome = "miss" }: CacheStatus): Response {
  response.headers.set("X-Warmcache", outcome);
  return response;
}
