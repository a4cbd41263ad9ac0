/**
 * Values under keys in a response cache, for libraries that know nothing of requests: their adapters are thin, and what
 * they store gets the same compression, checksums, modes and statistics as answers do. Each value is the answer to a
 * request `{ model, key }` of its own, whose model, provider and endpoint are the library's name.
 *
 * @module
 */

import type { Entry } from "../cache/answer/entry.ts";
import { Gate } from "../cache/answer/policy.ts";
import { type CacheCallOptions, type CacheStatus, planCall } from "../cache/call_options.ts";
import { isJsonObject } from "../cache/json.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { fromBase64, toBase64 } from "../runtime/base64.ts";
import type { Milliseconds } from "../runtime/runtime.ts";

/** How an adapter keeps its values. */
export type KeyValueOptions = Pick<CacheCallOptions, "mode" | "tags">;

/** Whose values they are. */
interface Owner {
  /** The library. */
  readonly library: string;
  /** Values in different namespaces never meet. */
  readonly namespace: string;
}

/** So many keys are looked up or removed at once. */
const PAGE = 256;

/**
 * Refuses options of an adapter that do not exist or make no sense.
 *
 * @throws TypeError
 */
export function checkKeyValueOptions(tried: string, options: KeyValueOptions, further: readonly string[] = []): void {
  planCall(tried, options, ["mode", "tags", ...further], { gate: new Gate() });
}

/** The values of one library in one namespace. */
export class KeyValues {
  readonly #cache: ResponseCache;
  readonly #owner: Owner;
  readonly #scope: { readonly provider: string; readonly endpoint: string; readonly namespace: string };
  readonly #options: KeyValueOptions;

  constructor(cache: ResponseCache, owner: Owner, options: KeyValueOptions) {
    this.#cache = cache;
    this.#owner = owner;
    this.#scope = { provider: owner.library, endpoint: owner.library, namespace: owner.namespace };
    this.#options = options;
  }

  /** What is stored under keys, in their order, not read yet; `undefined` where there is nothing. */
  async entries(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    const { mode } = this.#options;
    const options = { ...this.#scope, ...(mode !== undefined && { mode }) };
    return await this.#cache.getMany(keys.map((key) => this.#body(key)), options);
  }

  /** The values under keys, in their order; `undefined` where there is none. */
  async getMany(keys: readonly string[]): Promise<unknown[]> {
    return (await this.entries(keys)).map(valueOf);
  }

  /** The value under a key; `undefined` if there is none. */
  async get(key: string): Promise<unknown> {
    return (await this.getMany([key]))[0];
  }

  /** Which keys have a value. */
  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return (await this.entries(keys)).map((entry) => entry !== undefined);
  }

  /** Whether a key has a value. */
  async has(key: string): Promise<boolean> {
    return (await this.hasMany([key]))[0]!;
  }

  /**
   * Stores a value: JSON, or bytes. Says whether it was stored, which depends on the mode.
   *
   * @throws TypeError for any other value; RangeError for a `ttl` that is no positive number; CacheError.
   */
  async set(key: string, value: unknown, ttl?: Milliseconds): Promise<boolean> {
    const status: CacheStatus = {};
    const options = { ...this.#scope, ...this.#options, ...(ttl !== undefined && { ttl }), status };
    await this.#cache.put(this.#body(key), answerOf(value), options);
    return status.stored ?? false;
  }

  /** Removes the value under a key; whether there was one. */
  async delete(key: string): Promise<boolean> {
    return (await this.#cache.delete(this.#body(key), this.#scope)).entries > 0;
  }

  /** Removes all values, or those whose keys begin with `prefix`. */
  async clear(prefix = ""): Promise<void> {
    if (prefix === "") {
      await this.#cache.prune({ model: this.#owner.library, namespace: this.#owner.namespace });
      return;
    }
    for await (const keys of this.#pages(prefix)) await Promise.all(keys.map((key) => this.delete(key)));
  }

  /** The keys that have a value, or those that begin with `prefix`. Each is looked up, since some may have expired. */
  async *keys(prefix = ""): AsyncGenerator<string, void> {
    for await (const keys of this.#pages(prefix)) {
      const isThere = await this.hasMany(keys);
      yield* keys.filter((_, index) => isThere[index]);
    }
  }

  /** All keys with their values. */
  async *all(): AsyncGenerator<[key: string, value: unknown], void> {
    for await (const keys of this.#pages("")) {
      const values = await this.getMany(keys);
      for (const [index, key] of keys.entries()) if (values[index] !== undefined) yield [key, values[index]];
    }
  }

  async *#pages(prefix: string): AsyncGenerator<string[], void> {
    const { library, namespace } = this.#owner;
    let page: string[] = [];
    for await (const { endpoint, body } of this.#cache.list({ model: library, namespace })) {
      if (endpoint !== library || typeof body.key !== "string" || !body.key.startsWith(prefix)) continue;
      if (page.push(body.key) < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  #body(key: string): object {
    return { model: this.#owner.library, key };
  }
}

function answerOf(value: unknown): object {
  if (value === undefined) throw new TypeError("Cannot store a value (JSON or bytes are needed): undefined");
  return value instanceof Uint8Array ? { base64: toBase64(value) } : { value };
}

function valueOf(entry: Entry | undefined): unknown {
  const answer = entry?.json();
  if (!isJsonObject(answer)) return undefined;
  return typeof answer.base64 === "string" ? fromBase64(answer.base64) : answer.value;
}
