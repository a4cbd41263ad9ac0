/**
 * A `fetch` with the response cache in it, for every client that takes one: `new OpenAI({ fetch: cachedFetch(cache) })`.
 *
 * Cached are POSTs of JSON to chat completions, completions and messages, each exactly as the provider answers it.
 * Streams, failures, and whatever else the client asks for go through untouched. The entry is found by what is asked of
 * whom, not by who asks: the API key is not part of it. Other headers are not part of it either, so a request that
 * switches a beta on by one goes round the cache.
 *
 * @module
 */

import { endpointKind } from "../cache/ignore_list.ts";
import { decodeText, isJsonObject, type JsonObject } from "../cache/json.ts";
import { parseRequest } from "../cache/raw_json.ts";
import type { CacheStatus, ResponseCache } from "../cache/response_cache.ts";
import { sampleShape } from "../cache/samples.ts";
import { providerAt, type Upstreams } from "../cache/upstreams.ts";

export type { ResponseCache, Upstreams };

/** How to fetch. */
export interface CachedFetchOptions {
  /** What does the fetching on a miss. Default: the runtime's. */
  readonly fetch?: typeof fetch;
  /** Names of further upstreams, by origin; entries at an unnamed one are filed under the origin. */
  readonly upstreams?: Upstreams;
}

/** An answer that is no success: it is passed on as it is, to everybody who waits for it, and never stored. */
class Failure {
  readonly #response: Response;
  readonly #body: Uint8Array<ArrayBuffer>;

  constructor(response: Response, body: Uint8Array<ArrayBuffer>) {
    this.#response = response;
    this.#body = body;
  }

  toResponse(): Response {
    return rebuilt(this.#response, this.#body);
  }
}

/** What a client asks for, if the cache can answer such things. */
interface Question {
  readonly url: URL;
  readonly text: string;
  readonly body: JsonObject;
  readonly bypass: string | undefined;
}

/**
 * Wraps `fetch`. Responses say in `X-Warmcache` whether they were a `hit` or what else.
 *
 * @throws what `cache.wrap` throws before anything is fetched, what the wrapped `fetch` throws, and the reason of the
 * request's signal as soon as that is aborted. Others who wait for the same answer are then asked for anew.
 */
export function cachedFetch(cache: ResponseCache, options: CachedFetchOptions = {}): typeof fetch {
  const { fetch: send = globalThis.fetch, upstreams = {} } = options;
  return async (input, init) => {
    const request = new Request(input, init);
    const question = await readQuestion(request);
    if (question === undefined) return await send(request);

    const { url, text, body, bypass } = question;
    let fresh: Response | undefined;
    const status: CacheStatus = {};
    const ask = async (missing: JsonObject): Promise<Uint8Array> => {
      const { response, answer } = await exchange(send, request, missing === body ? text : JSON.stringify(missing));
      if (!response.ok || !isJson(response.headers)) throw new Failure(response, answer);
      fresh = response;
      return answer;
    };
    try {
      request.signal.throwIfAborted();
      const scope = { provider: providerAt(url.origin, upstreams), endpoint: url.pathname };
      const answer = cache.wrapEntry(body, ask, { ...scope, bypass, status });
      const entry = await unlessAborted(answer, request.signal);
      return marked(rebuilt(fresh, entry.bytes() as Uint8Array<ArrayBuffer>), status);
    } catch (error) {
      if (error instanceof Failure) return marked(error.toResponse(), status);
      throw error;
    }
  };
}

async function readQuestion(request: Request): Promise<Question | undefined> {
  const url = new URL(request.url);
  if (request.method !== "POST" || !isJson(request.headers) || url.search !== "") return undefined;
  const kind = endpointKind(url.pathname);
  if (kind !== "chat_completions" && kind !== "completions" && kind !== "messages") return undefined;
  const bytes = new Uint8Array(await request.clone().arrayBuffer());
  try {
    const text = decodeText(bytes);
    const { body, unkeyable } = parseRequest(text);
    if (!isJsonObject(body) || body.stream) return undefined;
    sampleShape(url.pathname, body);
    const beta = request.headers.has("anthropic-beta")
      ? "a header changes what is answered: anthropic-beta"
      : undefined;
    return { url, text, body, bypass: unkeyable ?? beta };
  } catch {
    // No JSON, or no number of samples: the provider knows best what to say to it.
    return undefined;
  }
}

/**
 * Sends a request with another body, and reads the answer.
 *
 * @throws AbortError, whatever the reason, when the request's signal is aborted: it is nobody else's.
 */
async function exchange(
  send: typeof fetch,
  request: Request,
  body: string,
): Promise<{ response: Response; answer: Uint8Array<ArrayBuffer> }> {
  // From the request itself: a runtime keeps things in it that no script can see, such as a proxy.
  const outgoing = new Request(request, { body });
  outgoing.headers.delete("Content-Length");
  try {
    const response = await send(outgoing);
    return { response, answer: new Uint8Array(await response.arrayBuffer()) };
  } catch (error) {
    throw request.signal.aborted ? new DOMException("The caller gave up", "AbortError") : error;
  }
}

/** What a promise brings, unless the signal is aborted before. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function isJson(headers: Headers): boolean {
  return /^application\/json\s*(?:;|$)/i.test(headers.get("Content-Type") ?? "");
}

/** A response with these bytes: the provider's own headers where it was asked, less those of the transport. */
function rebuilt(source: Response | undefined, body: Uint8Array<ArrayBuffer>): Response {
  const headers = new Headers(source?.headers ?? { "Content-Type": "application/json" });
  for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) headers.delete(name);
  const { status = 200, statusText = "" } = source ?? {};
  // A status such as 204 may not have a body, not even an empty one.
  return new Response(body.length === 0 ? null : body, { status, statusText, headers });
}

function marked(response: Response, { outcome = "miss" }: CacheStatus): Response {
  response.headers.set("X-Warmcache", outcome);
  return response;
}
