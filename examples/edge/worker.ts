/**
 * A Worker that answers like OpenAI's API, from a cache in a Durable Object, and asks a provider for what is not there:
 * chat completions and the others that warmcache knows, whole or as streams. What it does not know goes through.
 *
 *     deno run -A examples/edge/dev.ts       # here, with a provider that is none
 *     wrangler deploy                        # there: see docs/edge.md
 */

import { type DurableObjectStorage, openCache, provideWasm, type ResponseCache } from "@warmcache/warmcache/edge";
import { cachedFetch } from "@warmcache/warmcache/fetch";
import { zstd } from "./wasm.js";

provideWasm({ "zstd.wasm": zstd });

/** What the Worker is configured with. */
export interface Environment {
  readonly ANSWERS: DurableObjectNamespace;
  /** Whom to ask: `https://api.openai.com`. */
  readonly UPSTREAM: string;
  /** The provider's key. Callers never see it. */
  readonly UPSTREAM_KEY: string;
  /** What callers send as their key, so that not everybody reads and spends. */
  readonly CALLER_KEY: string;
}

/** As much of Cloudflare's type as is used. */
interface DurableObjectNamespace {
  getByName(name: string): { fetch(request: Request): Promise<Response> };
}

export default {
  async fetch(request: Request, environment: Environment): Promise<Response> {
    if (request.headers.get("Authorization") !== `Bearer ${environment.CALLER_KEY}`) {
      return Response.json({ error: { message: "No such key.", type: "invalid_request_error" } }, { status: 401 });
    }
    // One object answers for all, so nothing is bought twice. Whoever has tenants gives each one of its own.
    return await environment.ANSWERS.getByName("all").fetch(request);
  },
};

/** The answers, and whoever buys more of them. */
export class Answers {
  readonly #environment: Environment;
  readonly #cache: Promise<ResponseCache>;

  /** The cache is opened once: all requests at a time share what is under way. */
  constructor({ storage }: { readonly storage: DurableObjectStorage }, environment: Environment) {
    this.#environment = environment;
    this.#cache = openCache({ storage, maxBytes: 4 * 1024 ** 3 });
  }

  /** Answers one request. */
  async fetch(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const cache = await this.#cache;
    if (pathname === "/stats") return Response.json(await cache.stats());

    const { UPSTREAM, UPSTREAM_KEY } = this.#environment;
    const asked = new Request(new URL(pathname + search, UPSTREAM), request);
    asked.headers.set("Authorization", `Bearer ${UPSTREAM_KEY}`);
    // By its name an entry is found wherever the provider is reached.
    return await cachedFetch(cache, { upstreams: { [new URL(UPSTREAM).origin]: "openai" } })(asked);
  }
}
