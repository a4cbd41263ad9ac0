/**
 * Keys and values of prompts that were read before, so that the next prompt that begins alike is read from there on:
 * the turns of a conversation, the samples of a prompt, the questions under one long instruction. Only generation uses
 * it, and no answer changes by a bit: prompts are read in blocks at fixed places, so a block's numbers depend on the
 * tokens up to its end and on nothing else, and are taken from here whole or not at all.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { CausalSession, KeyValueCache } from "../graph/session.ts";
import type { Row } from "./row.ts";

/** How many tokens of a prompt are read at once; a request that is given up ends with the block it is in. */
export const BLOCK_TOKENS = 128;

/** Keys and values that several may use; their memory is given back when the last one has let go of them. */
export class SharedCache {
  readonly cache: KeyValueCache;
  readonly #session: Pick<CausalSession, "release">;
  #users = 1;

  /** @param cache Belongs to the caller, as its first user. */
  constructor(session: Pick<CausalSession, "release">, cache: KeyValueCache) {
    this.#session = session;
    this.cache = cache;
  }

  /** Whether somebody else uses them too. */
  get isShared(): boolean {
    return this.#users > 1;
  }

  /** One user more, who will release it. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** One user less. */
  release(): void {
    if (--this.#users === 0) this.#session.release(this.cache);
  }
}

/** A prompt that was read. */
export interface ReadPrompt {
  /** Which view of the base has read it. */
  readonly view: string;
  readonly ids: readonly number[];
  /** Of all its tokens. */
  readonly shared: SharedCache;
  /** The logits after its last token. */
  readonly next: Row;
}

/** What is there of a prompt. */
export interface Prefix {
  readonly prompt: ReadPrompt;
  /** So many of its tokens are those asked for: all of them, or whole blocks, and less than were asked for. */
  readonly length: number;
}

/** The prompts read last, as many as there is room for. */
export class PrefixCache {
  readonly #maxBytes: number;
  readonly #prompts: LRUCache<number, ReadPrompt>;
  #count = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#prompts = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: bytesOf,
      dispose: ({ shared }) => shared.release(),
    });
  }

  /** Bytes of the prompts that are kept. */
  get bytes(): number {
    return this.#prompts.calculatedSize;
  }

  /** The longest usable beginning of a prompt; to be retained at once by whoever uses it. */
  find(view: string, ids: readonly number[]): Prefix | undefined {
    let longest: (Prefix & { readonly key: number }) | undefined;
    for (const [key, prompt] of this.#prompts.entries()) {
      const length = prompt.view === view ? usableLength(prompt.ids, ids) : 0;
      if (length > (longest?.length ?? 0)) longest = { key, prompt, length };
    }
    if (longest !== undefined) this.#prompts.get(longest.key);
    return longest;
  }

  /** Keeps a prompt, in place of those that it goes on from. */
  keep(prompt: ReadPrompt): void {
    if (bytesOf(prompt) > this.#maxBytes) return;
    for (const [key, { view, ids }] of [...this.#prompts.entries()]) {
      if (view === prompt.view && commonLength(ids, prompt.ids) === ids.length) this.#prompts.delete(key);
    }
    prompt.shared.retain();
    this.#prompts.set(this.#count++, prompt);
  }

  /** Lets go of what was read by some views. */
  drop(isUnwanted: (view: string) => boolean): void {
    for (const [key, { view }] of [...this.#prompts.entries()]) if (isUnwanted(view)) this.#prompts.delete(key);
  }
}

function usableLength(known: readonly number[], ids: readonly number[]): number {
  const common = commonLength(known, ids);
  if (common === ids.length && common === known.length) return common;
  // At least one token is left to be read, to know what may follow it.
  return Math.floor(Math.min(common, ids.length - 1) / BLOCK_TOKENS) * BLOCK_TOKENS;
}

function commonLength(one: readonly number[], other: readonly number[]): number {
  const longest = Math.min(one.length, other.length);
  let length = 0;
  while (length < longest && one[length] === other[length]) length++;
  return length;
}

function bytesOf({ ids, shared, next }: ReadPrompt): number {
  return shared.cache.bytes + next.bytes + ids.length * BYTES_PER_ID;
}

const BYTES_PER_ID = 8;
