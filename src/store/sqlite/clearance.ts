/**
 * Makes room in a directory of databases: cuts logs off, removes the least recently used requests, gives free pages back
 * to the disk. All of it in slices, and where a log cannot be kept short meanwhile that is all, since what removes writes,
 * too.
 *
 * @module
 */

import type { Cutoff } from "./age_histogram.ts";
import { AgeHistogram } from "./age_histogram.ts";
import type { Databases } from "./databases.ts";
import type { DiskUse } from "./disk_use.ts";
import { evictSome } from "./eviction.ts";
import type { ModelDatabase } from "./model_database.ts";
import type { Place } from "./model_list.ts";
import { modelsIn } from "./model_list.ts";
import { RequestSample } from "./request_sample.ts";
import { lockRoom } from "./room_lock.ts";
import { Slices } from "./slices.ts";
import { sum } from "./sum.ts";

/**
 * Where only a sample was weighed, requests may go that belong to so much more than the oldest. Were it less, a cutoff that
 * is a little too early would have all be looked through for nothing.
 */
const UNSURE = 1 / 64;

/** What room is made with. */
export interface ClearanceParts {
  readonly use: DiskUse;
  /** Has {@link use} measured anew. */
  measure(): Promise<void>;
  /** Called between slices that write. */
  onSlice(): void;
}

/** Makes room in a directory. */
export class Clearance {
  readonly #databases: Databases;
  readonly #place: Place;
  readonly #parts: ClearanceParts;
  readonly #slices: Slices;

  constructor(databases: Databases, place: Place, parts: ClearanceParts) {
    this.#databases = databases;
    this.#place = place;
    this.#parts = parts;
    this.#slices = new Slices(databases, place.runtime.clock);
  }

  /**
   * Sees to it that the databases take `enough` bytes at most; where cutting off their logs is not enough, removes requests
   * until they take `target`. Returns whether that helped. What somebody else holds is left as it is, and while somebody
   * else makes room nothing is done.
   *
   * @throws CacheError
   */
  async clear(enough: number, target: number): Promise<boolean> {
    const lock = lockRoom(this.#place);
    if (!lock) return false;
    try {
      return await this.#clear(enough, target);
    } finally {
      lock.release();
    }
  }

  async #clear(enough: number, target: number): Promise<boolean> {
    const { use, measure } = this.#parts;
    const before = use.taken;
    const { models } = await modelsIn(this.#databases, this.#place);
    const short = new Map<string, string>();
    for (const [path, model] of models) if (await this.#cutLog(model)) short.set(path, model);
    await measure();
    if (use.taken <= enough) return true;
    const evicted = await this.#evict(short, target);
    for (const model of short.values()) await this.#cutOff(model);
    await measure();
    return evicted || use.taken < before;
  }

  /** Removes the least recently used requests until all databases have use for `target` bytes only. */
  async #evict(models: ReadonlyMap<string, string>, target: number): Promise<boolean> {
    const used = new Map<string, number>();
    // Where nothing can be removed all stays, elsewhere what is not pages.
    const stays = new Map([...this.#parts.use.databases].map(([path, { total }]) => [path, total]));
    for (const [path, model] of models) {
      // Requests that were used just now are known in memory only.
      while (await this.#slice(model, ({ accesses }) => (accesses.work(), accesses.hasWork)));
      const bytes = await this.#slice(model, ({ vacuum }) => vacuum.size().used);
      if (bytes === undefined) continue;
      used.set(model, bytes);
      stays.set(path, this.#parts.use.databases.get(path)?.besides ?? 0);
    }
    const excess = (): number => sum(stays.values()) + sum(used.values()) - target;
    if (excess() <= 0) return false;
    const now = this.#place.runtime.clock.now();
    const histogram = new AgeHistogram(now);
    // What a database takes beyond what was weighed of it: for the most, requests that are no part of the sample.
    const scales = new Map<string, number>();
    let isWhole = true;
    for (const [model, bytes] of used) {
      const sample = new RequestSample(now);
      while (await this.#slice(model, ({ connection }) => sample.some(connection)));
      if (sample.ages.total === 0) continue;
      isWhole &&= sample.isWhole;
      scales.set(model, bytes / sample.ages.total);
      histogram.addAll(sample.ages, bytes / sample.ages.total);
    }
    if (histogram.total === 0) return false;
    let cutoff: Cutoff = histogram.cutoff(excess() + (isWhole ? 0 : histogram.total * UNSURE));
    let evicted = 0;
    for (const [model, scale] of scales) {
      let after: number | undefined = 0;
      while (after !== undefined && excess() > 0) {
        const from: number = after;
        const limit: Cutoff = { step: cutoff.step, bytes: cutoff.bytes / scale };
        const passed = await this.#slice(model, ({ accesses, remover, vacuum }) => {
          accesses.work();
          const passed = evictSome(remover, histogram, limit, from);
          used.set(model, vacuum.size().used);
          return passed;
        });
        after = passed?.last;
        if (!passed) continue;
        evicted += passed.answers;
        cutoff = { step: cutoff.step, bytes: cutoff.bytes - passed.tied * scale };
        if (!this.#goOn(model)) break;
      }
    }
    return evicted > 0;
  }

  /** Gives the disk back what a database has no use for. */
  async #cutOff(model: string): Promise<void> {
    while (await this.#slice(model, ({ vacuum }) => vacuum.some()) && this.#goOn(model));
    await this.#cutLog(model);
  }

  /** Between two slices of work that writes: sees what others have written; returns whether more may be written. */
  #goOn(model: string): boolean {
    this.#parts.onSlice();
    return this.#databases.peek(model)?.log.isTooLong !== true;
  }

  /** Cuts a log off; returns whether it is short now, or at least not too long. */
  async #cutLog(model: string): Promise<boolean> {
    try {
      await this.#databases.cutLog(model);
    } catch {
      // It is as long as it is, which is measured.
    }
    return this.#databases.peek(model)?.log.isTooLong !== true;
  }

  /** Uses a database for a slice of work; `undefined` when it cannot be used now. */
  async #slice<T>(model: string, use: (database: ModelDatabase) => T): Promise<T | undefined> {
    try {
      return await this.#slices.use(model, "make room in", use);
    } catch (error) {
      if (this.#databases.isClosed) throw error;
      return undefined;
    }
  }
}
