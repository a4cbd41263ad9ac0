/**
 * The response cache below the AI SDK (https://ai-sdk.dev, `ai` 7, models of its interface version 4):
 *
 * ```ts
 * import { wrapLanguageModel } from "ai";
 * import { openai } from "@ai-sdk/openai";
 * import { openCache } from "@warmcache/warmcache";
 * import { cacheMiddleware } from "@warmcache/warmcache/ai-sdk";
 *
 * const cache = await openCache();
 * const model = wrapLanguageModel({ model: openai("gpt-5-mini"), middleware: cacheMiddleware(cache) });
 * ```
 *
 * The key is the model with what it was made with, and all that is asked of it, what nobody here has heard of included;
 * the headers that say who asks, and with which version of the SDK, are not part of it. An answer is one entry, whether it was generated or streamed, and serves both.
 * It says how it fared in the header `x-warmcache` (`result.response.headers`): `hit`, `miss` or what else.
 *
 * @module
 */

import type { CacheStatus } from "../cache/call_options.ts";
import type { JsonObject } from "../cache/json.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import {
  type AiSdkCacheOptions,
  asCallError,
  askProvider,
  checkOptions,
  markedHeaders,
  readCall,
} from "./ai_sdk/call.ts";
import type {
  CallParams,
  EmbeddingModelCache,
  EmbedResult,
  GenerateResult,
  LanguageModelCache,
  ModelName,
  ModelResponse,
  StreamResult,
} from "./ai_sdk/model.ts";
import { OwnParts } from "./ai_sdk/parts.ts";
import { fromJson, toJson } from "./ai_sdk/values.ts";

export type {
  AiSdkCacheOptions,
  CallParams,
  EmbeddingModelCache,
  EmbedResult,
  GenerateResult,
  LanguageModelCache,
  ModelName,
  ModelResponse,
  ResponseCache,
  StreamResult,
};

/** Where the cache files what language models answered: the interface, for a provider's address is not known here. */
const LANGUAGE_MODEL = "/ai-sdk/v4/language-model";
const EMBEDDINGS = "/ai-sdk/v4/embeddings";

/**
 * A middleware that answers from the cache. As the last of several it is next to the model, and sees what is really asked
 * and of whom.
 *
 * Calls fail with what the provider's failed with: also those, in other processes too, that waited for it, or came
 * shortly after it had refused the request as such ({@link ../cache/response_cache.ts ResponseCacheOptions.negativeTtl}).
 * What only the call itself can tell, the provider's headers and bodies of HTTP, is there on a miss, and not stored. Raw
 * chunks (`includeRawChunks`) are for the one whose call it is.
 *
 * A model that does not show whom it asks goes round the cache: {@link AiSdkCacheOptions.provider}.
 *
 * @throws TypeError for an option that does not exist.
 */
export function cacheMiddleware(cache: ResponseCache, options: AiSdkCacheOptions = {}): LanguageModelCache {
  checkOptions(options);
  return {
    specificationVersion: "v4",
    async wrapGenerate({ params, model }) {
      const call = await readCall(LANGUAGE_MODEL, params, model, options);
      const { pace: _, ...wanted } = call.options;
      let own: GenerateResult | undefined;
      const answer = await telling(() =>
        cache.wrap(call.body, async (_, { signal }) => {
          own = await askProvider(() => model.doGenerate(call.outgoing(signal)));
          return stored(own);
        }, wanted)
      );
      if (answer instanceof Unstorable) return answer.result as never;
      const result = fromJson(answer) as GenerateResult;
      own = ownOf(own, call.options.status);
      const { headers, ...response } = own?.response ?? {};
      return {
        ...result,
        ...(own?.request && { request: own.request }),
        response: { ...response, ...result.response, headers: markedHeaders(headers, call.options.status) },
      } as never;
    },
    async wrapStream({ params, model }) {
      const call = await readCall(LANGUAGE_MODEL, params, model, options);
      const own = new OwnParts();
      let started: StreamResult | undefined;
      const chunks = await telling(() =>
        cache.wrapStream<JsonObject>(call.body, async (_, { signal }) => {
          started = await askProvider(() => model.doStream(call.outgoing(signal)));
          return own.chunksOf(started.stream);
        }, call.options)
      );
      started = ownOf(started, call.options.status);
      return {
        ...(started?.request && { request: started.request }),
        response: { ...started?.response, headers: markedHeaders(started?.response?.headers, call.options.status) },
        stream: own.partsOf(chunks),
      } as never;
    },
  };
}

/**
 * A middleware that answers embeddings from the cache, text by text: only those that are missing are asked for. A vector
 * that was bought in another call has no warnings or provider's metadata of its own; those are of the call that was made.
 *
 * @throws TypeError for an option that does not exist.
 */
export function embeddingCacheMiddleware(cache: ResponseCache, options: AiSdkCacheOptions = {}): EmbeddingModelCache {
  checkOptions(options);
  return {
    specificationVersion: "v4",
    async wrapEmbed({ params, model }) {
      const { body: { values: _, ...rest }, ...call } = await readCall(EMBEDDINGS, params, model, options);
      const { pace: __, ...wanted } = { ...call.options, bypass: call.options.bypass ?? reasonInLists(params) };
      let own: EmbedResult | undefined;
      const answer = await telling(() =>
        cache.wrapEmbeddings({ ...rest, input: params.values }, async (missing, { signal }) => {
          const values = [missing.input].flat() as string[];
          own = await askProvider(() => model.doEmbed({ ...call.outgoing(signal), values }));
          return listOf(own, model.modelId);
        }, wanted)
      );
      own = ownOf(own, call.options.status);
      const { headers, ...response } = own?.response ?? {};
      return {
        warnings: [],
        ...own,
        embeddings: answer.data.map(({ embedding }) => embedding),
        ...(answer.usage && { usage: { tokens: answer.usage.prompt_tokens } }),
        response: { ...response, headers: markedHeaders(headers, call.options.status) },
      } as never;
    },
  };
}

/** Why texts cannot be asked for one by one: a list may have an item for each, as Google's `content` has. */
function reasonInLists({ providerOptions: { warmcache: _, ...others } = {} }: CallParams): string | undefined {
  const options = Object.values(others).flatMap((options) => Object.entries(Object(options)));
  const list = options.find(([, value]) => Array.isArray(value));
  return list && `an option is a list, and may belong to the texts one by one: ${list[0]}`;
}

/** What the call itself brought, if the answer is from it, and not one of before that is renewed in the background. */
function ownOf<R>(own: R | undefined, { expiredServed }: CacheStatus): R | undefined {
  return expiredServed ? undefined : own;
}

/** A result that is no JSON, whatever is done: it is its caller's, and stored by nobody. */
class Unstorable {
  readonly result: GenerateResult;

  constructor(result: GenerateResult) {
    this.result = result;
  }
}

/** A result as it is stored: what is of the call, and not of the answer, is left out. */
function stored(result: GenerateResult): unknown {
  const { request: _, response: { headers: _headers, body: _body, ...response } = {}, ...answer } = result;
  try {
    return toJson({ ...answer, ...(Object.keys(response).length > 0 && { response }) });
  } catch {
    return new Unstorable(result);
  }
}

/** An answer of OpenAI's shape, which the cache divides into its texts. */
function listOf({ embeddings, usage }: EmbedResult, model: string) {
  return {
    object: "list",
    model,
    data: embeddings.map((embedding, index) => ({ object: "embedding", index, embedding })),
    ...(usage && { usage: { prompt_tokens: usage.tokens, total_tokens: usage.tokens } }),
  };
}

async function telling<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asCallError(error);
  }
}
