/**
 * The tokens of one answer as its model sees them: the prompt, then one after the other.
 *
 * @module
 */

import type { Feeds } from "../graph/graph.ts";
import type { CausalSession, NextWanted } from "../graph/session.ts";
import type { Row } from "./row.ts";
import { BLOCK_TOKENS, type PrefixCache, SharedCache } from "./prefix_cache.ts";

/** One view of a loaded model, and what it has read before. */
export interface Reader {
  readonly session: Pick<CausalSession, "supportsCache" | "step" | "trim" | "release">;
  readonly adapter: Feeds;
  /** Different for every view whose numbers differ. */
  readonly view: string;
  readonly prefixes: PrefixCache;
}

/** Of a block whose logits nobody reads: the end of its run is waited for all the same. */
const LEAST: NextWanted = { whole: "none" };

/** Tokens that were read, and what may follow them. */
export class Sequence {
  readonly #reader: Reader;
  #past: SharedCache | undefined;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** How many tokens were read. */
  get length(): number {
    return this.#past?.cache.length ?? 0;
  }

  /**
   * Reads the prompt, block by block, from where it differs from the prompts before it.
   *
   * @returns The logits of the token after it.
   * @throws The signal's reason, once the block it was aborted in has been read.
   */
  async read(ids: readonly number[], signal: AbortSignal | undefined): Promise<Row> {
    const { session, view, prefixes } = this.#reader;
    if (!session.supportsCache) return await this.append(ids, signal);
    const known = prefixes.find(view, ids);
    if (known !== undefined) {
      const { prompt: { shared, next }, length } = known;
      this.#past = shared.retain();
      if (length === ids.length) return next;
      if (length < this.length) await this.#forgetAfter(length);
    }
    const block = (): Promise<Row> => {
      const end = this.length + BLOCK_TOKENS;
      return this.append(ids.slice(this.length, end), signal, end < ids.length ? LEAST : undefined);
    };
    let next = await block();
    while (this.length < ids.length) next = await block();
    prefixes.keep({ view, ids, shared: this.#past!, next });
    return next;
  }

  /**
   * Reads tokens that follow.
   *
   * @param wanted What of their last one's logits; all when left out.
   * @returns The logits of the token after them.
   */
  async append(
    ids: readonly number[],
    signal: AbortSignal | undefined,
    wanted: NextWanted = { whole: "last" },
  ): Promise<Row> {
    const { session, adapter } = this.#reader;
    const past = this.#past;
    const keepPast = past?.isShared ?? false;
    const { logits, cache } = await session.step(ids, past?.cache, adapter, { signal, keepPast, wanted });
    this.#past = new SharedCache(session, cache);
    if (keepPast) past?.release();
    return logits.last();
  }

  /** Lets go of everything. */
  release(): void {
    this.#past?.release();
    this.#past = undefined;
  }

  async #forgetAfter(length: number): Promise<void> {
    const { session } = this.#reader;
    const whole = this.#past!;
    this.#past = new SharedCache(session, await session.trim(whole.cache, length));
    whole.release();
  }
}
