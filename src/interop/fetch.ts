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

import type { CacheStatus } from "../cache/call_options.ts";
import { exchange } from "../cache/exchange/exchange.ts";
import { readQuestion } from "../cache/exchange/question.ts";
import { providerAt, type Upstreams } from "../cache/request/upstreams.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { readFetchCall } from "./fetch_call.ts";

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
    const { method, headers, signal } = call.request;
    const url = new URL(call.request.url);
    const bytes = async (): Promise<Uint8Array> => new Uint8Array(await call.request.clone().arrayBuffer());
    const question = await readQuestion({ method, url, headers, bytes }, ignoreHeaders);
    if (question === undefined) return await call.pass();

    const options = { provider: providerAt(url.origin, upstreams), signal };
    const { response, status } = await exchange(cache, { question, options, asker: call.asker, send: call.send });
    return marked(response, status);
  };
}

function marked(response: Response, { outcome = "miss" }: CacheStatus): Response {
  response.headers.set("X-Warmcache", outcome);
  return response;
}
