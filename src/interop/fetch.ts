/**
 * A `fetch` with the response cache in it, for every client that takes one: `new OpenAI({ fetch: cachedFetch(cache) })`.
 *
 * Cached are POSTs of JSON to chat completions, completions and messages, each exactly as the provider answers it.
 * Streams, failures, and whatever else the client asks for go through untouched. The entry is found by what is asked of
 * whom, not by who asks: the API key is not part of it.
 *
 * @module
 */

import { endpointKind } from "../cache/ignore_list.ts";
import { parseRequest } from "../cache/raw_json.ts";
import type { CacheStatus, ResponseCache } from "../cache/response_cache.ts";
import { providerAt, type Upstreams } from "../cache/upstreams.ts";

export type { Upstreams } from "../cache/upstreams.ts";

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
  readonly body: Record<string, unknown>;
  readonly bypass: string | undefined;
}

/**
 * Wraps `fetch`. Responses say in `X-Warmcache` whether they were a `hit` or what else.
 *
 * @throws what `cache.wrap` throws before anything is fetched, and what the wrapped `fetch` throws.
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
    try {
      const entry = await cache.wrapEntry(
        body,
        async (missing) => {
          const sent = missing === body ? text : JSON.stringify(missing);
          const response = await send(new Request(request.url, { ...initOf(request), body: sent }));
          const answer = new Uint8Array(await response.arrayBuffer());
          if (!response.ok || !isJson(response.headers)) throw new Failure(response, answer);
          fresh = response;
          return answer;
        },
        { provider: providerAt(url.origin, upstreams), endpoint: url.pathname, bypass, status },
      );
      const bytes = entry.bytes() as Uint8Array<ArrayBuffer>;
      return marked(rebuilt(fresh, bytes), status);
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
  const text = await request.clone().text();
  try {
    const { body, unkeyable } = parseRequest(text);
    if (typeof body !== "object" || body === null || Array.isArray(body)) return undefined;
    if ((body as { stream?: unknown }).stream === true) return undefined;
    return { url, text, body: body as Question["body"], bypass: unkeyable };
  } catch {
    // No JSON: the provider knows best what to say to it.
    return undefined;
  }
}

function isJson(headers: Headers): boolean {
  return /^application\/json\b/i.test(headers.get("Content-Type") ?? "");
}

/** Everything about a request but its URL and its body. */
function initOf({ method, headers, signal, redirect, credentials }: Request): RequestInit {
  return { method, headers, signal, redirect, credentials };
}

/** A response with these bytes: the provider's own headers where it was asked, less those of the transport. */
function rebuilt(source: Response | undefined, body: Uint8Array<ArrayBuffer>): Response {
  const headers = new Headers(source?.headers ?? { "Content-Type": "application/json" });
  for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) headers.delete(name);
  const { status = 200, statusText = "" } = source ?? {};
  return new Response(body, { status, statusText, headers });
}

function marked(response: Response, { outcome = "miss" }: CacheStatus): Response {
  response.headers.set("X-Warmcache", outcome);
  return response;
}
