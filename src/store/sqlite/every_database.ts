/**
 * What is done to a store as a whole: one database after the other, each in slices, so that whoever looks something up
 * meanwhile is served.
 *
 * @module
 */

import type { CacheError } from "../error.ts";
import type { ListedRequest, Removed, RequestRecord, Selection } from "../store.ts";
import type { Databases } from "./databases.ts";
import { toCacheError } from "./failure.ts";
import type { ModelDatabase } from "./model_database.ts";
import type { ModelList, Place } from "./model_list.ts";
import { modelsIn } from "./model_list.ts";
import { Removal } from "./removal.ts";
import { RequestWalk } from "./request_list.ts";
import type { Near } from "./sketch_index.ts";
import { SketchSearch } from "./sketch_index.ts";
import { Slices } from "./slices.ts";

/** All databases of a directory. */
export class EveryDatabase {
  readonly #databases: Databases;
  readonly #slices: Slices;
  readonly #place: Place;

  constructor(databases: Databases, place: Place) {
    this.#databases = databases;
    this.#slices = new Slices(databases, place.runtime.clock);
    this.#place = place;
  }

  /**
   * As {@link ../store.ts Store.remove}. Where some database cannot be used, it fails once the others are done.
   *
   * @throws TypeError, RangeError when the selection is wrong.
   * @throws CacheError
   */
  async remove(selection: Selection): Promise<Removed> {
    // Refuses a wrong one before anything is removed.
    new Removal(selection);
    const { models, failures } = await this.#list(selection.model);
    const failed = [...failures];
    const total = { entries: 0, storedBytes: 0 };
    for (const model of models.values()) {
      const removal = new Removal(selection);
      try {
        await this.#inSlices(model, "remove answers from", ({ remover }) => (removal.some(remover), removal.done));
        if (removal.removed.entries > 0) await this.#shrink(model);
      } catch (error) {
        failed.push(toCacheError(error));
      }
      total.entries += removal.removed.entries;
      total.storedBytes += removal.removed.storedBytes;
    }
    if (failed[0]) throw failed[0];
    return total;
  }

  /**
   * As {@link ../store.ts Store.nearest}. Where all databases are asked, those that cannot be used are left out.
   *
   * @throws RangeError when `limit` is no positive integer, or the sketch none.
   * @throws CacheError
   */
  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    let near: Near[] = [...new SketchSearch(sketch, limit).found];
    const { models } = await this.#list(model);
    for (const each of models.values()) {
      const search = new SketchSearch(sketch, limit);
      try {
        await this.#inSlices(each, "look for requests in", ({ sketches }) => sketches.search(search));
      } catch (error) {
        if (model !== undefined || this.#databases.isClosed) throw error;
      }
      near = [...near, ...search.found].sort((left, right) => left.distance - right.distance).slice(0, limit);
    }
    return near.map(({ request }) => request);
  }

  /** As {@link ../store.ts Store.list}. Where some database cannot be used, it fails once the others are done. */
  async *list({ model, namespace }: Pick<Selection, "model" | "namespace">): AsyncGenerator<ListedRequest> {
    const { models, failures } = await this.#list(model);
    const failed = [...failures];
    for (const each of models.values()) {
      const walk = new RequestWalk(namespace);
      try {
        while (!walk.isDone) {
          const some = await this.#slices.use(each, "list the requests in", ({ connection }) => walk.some(connection));
          if (some === undefined) break;
          for (const listed of some) yield { model: each, ...listed };
        }
      } catch (error) {
        failed.push(toCacheError(error));
      }
    }
    if (failed[0]) throw failed[0];
  }

  async #list(model: string | undefined): Promise<ModelList> {
    this.#databases.refuseClosed();
    if (model === undefined) return await modelsIn(this.#databases, this.#place);
    return { models: new Map([[this.#databases.path(model), model]]), failures: [] as CacheError[] };
  }

  /** Gives the disk back what is no longer needed, if that is much. */
  async #shrink(model: string): Promise<void> {
    let isWorthwhile = false;
    await this.#inSlices(model, "shrink", ({ vacuum }) => {
      isWorthwhile ||= vacuum.isWorthwhile;
      return !isWorthwhile || !vacuum.some();
    });
    if (!isWorthwhile) return;
    try {
      await this.#databases.cutLog(model);
    } catch {
      // What is removed is removed; the file shrinks when its log is moved some other day.
    }
  }

  /** Does some in a model's database, if there is one, until all is done. */
  async #inSlices(model: string, purpose: string, some: (database: ModelDatabase) => boolean): Promise<void> {
    while (await this.#slices.use(model, purpose, some) === false);
  }
}
