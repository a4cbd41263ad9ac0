/**
 * A cache for LangChain's models on the response cache: `new ChatOpenAI({ cache: new LangChainCache(cache) })`.
 *
 * LangChain lets a cache see less than {@link ./fetch.ts cachedFetch} sees, which is why that is the better choice
 * wherever a class takes a `fetch`: `new ChatOpenAI({ configuration: { fetch: cachedFetch(cache) } })`. Through
 * `BaseCache`, and so here, whatever the cache:
 *
 * - Streams are neither looked up nor stored: https://github.com/langchain-ai/langchainjs/issues/3582
 * - The same question asked twice at the same time is paid twice: a cache hears of a call only when it is over.
 * - LangChain sets the usage of what comes from a cache to 0; the tokens that were saved are in `cache.stats()`. What they
 *   cost is not known: not all that a price depends on is passed on.
 * - `n` is part of the question: there is no buying of missing samples.
 * - The prompt is a text in which pictures, sounds and files are a word in brackets. Questions with such a word are not
 *   cached. Parts of the kinds `reasoning` and `non_standard` are not in it at all. Nor does it tell where a message ends:
 *   one that quotes a dialogue in LangChain's own manner (`Human: …`, `AI: …` on lines of their own) is the same question
 *   as that dialogue.
 * - `model.generate()` with several prompts, some of them cached, mixes up its answers (LangChain 1.4.0).
 *   `model.batch()` does not.
 *
 * @module
 */

import { BaseCache, deserializeStoredGeneration, serializeGeneration } from "@langchain/core/caches";
import type { ChatGeneration, Generation } from "@langchain/core/outputs";
import { isPlainJson } from "../cache/answer/answer.ts";
import { Gate } from "../cache/answer/policy.ts";
import { type CacheCallOptions, planCall } from "../cache/call_options.ts";
import { isJsonObject, type JsonObject } from "../cache/json.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import type { Scope } from "../cache/request/scope.ts";
import { readLangChainRequest } from "./langchain_key.ts";

export type { ResponseCache };

/** How LangChain's answers are kept. */
export type LangChainCacheOptions =
  & Pick<CacheCallOptions, "mode" | "ttl" | "maxAge" | "tags" | "namespace">
  & {
    /**
     * Which model it is with which settings, in words of your own, for a class that does not tell LangChain: it would
     * share answers with every other such class, and is not cached without. The cache then belongs to this one model.
     */
    readonly identity?: string;
  };

const OPTIONS = ["mode", "ttl", "maxAge", "tags", "namespace", "identity"];

/** Everything about a generation but its text that is worth a look. */
type Told = Partial<Record<"finish_reason" | "stop_reason" | "model_name" | "system_fingerprint", unknown>>;

/** What LangChain asks, as the cache takes it. */
interface Question {
  readonly body: JsonObject;
  readonly scope: Scope;
  readonly bypass: string | undefined;
}

/**
 * LangChain's cache. The question is the whole prompt with all of the model's settings but the API key; headers and
 * whatever else may be secret count, but only their digest is stored. Messages come back with their tool calls, content
 * blocks and metadata; a chunk put together from a stream comes back as a message.
 *
 * A question that LangChain does not tell apart from others goes round the cache and is counted as `bypass`, with the
 * reason in the event `bypassed`. An answer that cannot be stored is reported and returned all the same.
 */
export class LangChainCache extends BaseCache {
  readonly #cache: ResponseCache;
  readonly #options: LangChainCacheOptions;

  /**
   * Makes a cache for LangChain's models.
   *
   * @throws TypeError, RangeError for an option that does not exist or makes no sense.
   */
  constructor(cache: ResponseCache, options: LangChainCacheOptions = {}) {
    super();
    // Found out later, a wrong option would cost an answer that was paid for.
    planCall("make a cache for LangChain", options, OPTIONS, { gate: new Gate() });
    this.#cache = cache;
    this.#options = options;
  }

  /**
   * What was generated for a prompt, `null` if nothing.
   *
   * @throws as `cache.get` does: in the mode `replay` for what is not there.
   */
  override async lookup(prompt: string, llmKey: string): Promise<Generation[] | null> {
    const { body, scope, bypass } = await this.#read(prompt, llmKey);
    const { mode, maxAge } = this.#options;
    const options = { ...scope, ...(mode !== undefined && { mode }), ...(maxAge !== undefined && { maxAge }) };
    const entry = await this.#cache.get(body, { ...options, bypass, isValid: isRestorable });
    return entry === undefined ? null : restoredFrom(entry.json() as JsonObject);
  }

  /** Stores what was generated for a prompt. Never fails on account of the store: the answer was paid for. */
  override async update(prompt: string, llmKey: string, generations: Generation[]): Promise<void> {
    const { body, scope, bypass } = await this.#read(prompt, llmKey);
    const { maxAge: _, namespace: __, identity: ___, ...keep } = this.#options;
    const answer = answerOf(generations);
    const isWhole = isPlainJson(answer) && isRestorable(answer);
    const fault = isWhole ? undefined : "LangChain cannot restore what was generated from JSON";
    const options = { ...scope, ...keep, bypass: bypass ?? fault, costMicrodollars: () => null };
    try {
      await this.#cache.put(body, isWhole ? answer : {}, options);
    } catch (error) {
      // The cache has reported it.
      if (Object(error).name !== "CacheError") throw error;
    }
  }

  async #read(prompt: string, llmKey: string): Promise<Question> {
    const { namespace, identity } = this.#options;
    const { body, provider, bypass } = await readLangChainRequest(prompt, llmKey, identity !== undefined);
    const own = { ...(namespace !== undefined && { namespace }), ...(identity !== undefined && { identity }) };
    return { body, scope: { provider, endpoint: "langchain", ...own }, bypass };
  }
}

/**
 * Generations as one answer in the manner of chat completions, of which the cache reads how it ended and what it used.
 * All are in one choice: several choices would be stored as several samples, of which LangChain could not ask for two.
 */
function answerOf(generations: readonly Generation[]): JsonObject {
  const told = generations.map(toldOf);
  const reasons = told.map(({ finish_reason, stop_reason }) => finish_reason ?? stop_reason ?? null);
  const { model_name, system_fingerprint } = told[0] ?? {};
  const usage = messageOf(generations[0])?.usage_metadata;
  const [first, ...others] = generations.map(stored);
  return {
    ...(typeof model_name === "string" && { model: model_name }),
    ...(typeof system_fingerprint === "string" && { system_fingerprint }),
    ...(usage !== undefined && { usage }),
    choices: first === undefined ? [] : [{
      index: 0,
      finish_reason: reasons.find((reason) => reason !== "stop" && reason !== "end_turn") ?? reasons[0],
      ...first,
      ...(others.length > 0 && { others }),
    }],
  };
}

/** @throws what LangChain throws for a message that it cannot restore. */
function restoredFrom({ choices }: JsonObject): Generation[] {
  const [choice] = Array.isArray(choices) ? choices.filter(isJsonObject) : [];
  if (choice === undefined) throw new TypeError("Cannot restore generations from an answer that has none");
  const others = Array.isArray(choice.others) ? choice.others.filter(isJsonObject) : [];
  return [choice, ...others].map(restored);
}

/** Whether what is, or is to be, stored comes back: another release of LangChain may have written it. */
function isRestorable(answer: JsonObject): boolean {
  try {
    restoredFrom(answer);
    return true;
  } catch {
    return false;
  }
}

/** LangChain's own form of a message is `{ type, data }`; in one object it is what the cache takes for a message. */
function stored(generation: Generation): JsonObject {
  const { text, message } = serializeGeneration(generation);
  const { generationInfo } = generation;
  return {
    text,
    ...(message !== undefined && { message: { ...message.data, type: message.type } }),
    ...(generationInfo !== undefined && { generationInfo }),
  };
}

function restored({ text, message, generationInfo }: JsonObject): Generation {
  const generation = deserializeStoredGeneration(
    {
      text: String(text),
      ...(isJsonObject(message) && { message: { type: String(message.type), data: message as never } }),
    } as Parameters<typeof deserializeStoredGeneration>[0],
  );
  return { ...generation, ...(isJsonObject(generationInfo) && { generationInfo }) };
}

function messageOf(generation: Generation | undefined): (JsonObject & { usage_metadata?: unknown }) | undefined {
  return (generation as Partial<ChatGeneration> | undefined)?.message as unknown as JsonObject | undefined;
}

function toldOf(generation: Generation): Told {
  const { response_metadata } = messageOf(generation) ?? {};
  return { ...(isJsonObject(response_metadata) && response_metadata), ...generation.generationInfo };
}
