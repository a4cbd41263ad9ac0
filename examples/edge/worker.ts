/**
 * A Worker that answers like OpenAI's API, from a cache in a Durable Object, and asks a provider for what is not there:
 * chat completions and the others that warmcache knows, whole or as streams. What it does not know goes through.
 *
 *     deno run -A examples/edge/dev.ts       # here, with a provider that is none
 *     wrangler deploy                        # there: see docs/edge.md
 */

import {
  CacheError,
  type DurableObjectStorage,
  openCache,
  provideWasm,
  type ResponseCache,
} from "@warmcache/warmcache/edge";
import { cachedFetch } from "@warmcache/warmcache/fetch";
import { forCaller, forProvider, isAdmitted, refusal } from "./passage.ts";
import { zstd } from "./wasm.js";

provideWasm({ "zstd.wasm": zstd });

/** What the Worker is configured with. */
export interface Environment {
  readonly ANSWERS: DurableObjectNamespace;
  /** Whom to ask: `https://api.openai.com`, or an address with a path of its own. */
  readonly UPSTREAM: string;
  /** What answers are filed under, for a provider whose address changes; where it is by default. */
  readonly PROVIDER?: string;
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
    for (const name of ["CALLER_KEY", "UPSTREAM_KEY"] as const) {
      // Whoever guesses "undefined" must not be let in.
      if (!environment[name]) return refusal(500, `${name} is not set: npx wrangler secret put ${name}`);
    }
    if (!await isAdmitted(request, environment.CALLER_KEY)) return refusal(401, "No such key.");
    // One object answers for all, so nothing is bought twice. Whoever has tenants gives each one of its own.
    try {
      return await environment.ANSWERS.getByName("all").fetch(request);
    } catch (error) {
      // It was put away in the middle of it: a new version, too much at once. What it has said to anybody is safe.
      console.error(error);
      return refusal(503, "The cache has gone away for a moment.");
    }
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
    const cache = await this.#cache;
    if (new URL(request.url).pathname === "/stats") return Response.json(await cache.stats());

    const { UPSTREAM, UPSTREAM_KEY, PROVIDER } = this.#environment;
    const asked = forProvider(request, UPSTREAM, UPSTREAM_KEY);
    const upstreams = PROVIDER ? { [new URL(UPSTREAM).origin]: PROVIDER } : {};
    try {
      return await forCaller(await cachedFetch(cache, { upstreams })(asked), UPSTREAM_KEY);
    } catch (error) {
      // Workers' logs are the place for why: it may name what callers need not know.
      console.error(error);
      if (error instanceof CacheError) return refusal(500, "The cache cannot be used.");
      return refusal(502, "The provider cannot be reached.");
    }
  }
}
