/**
 * Looks at all there is, or all of one model, a little at a time: there is no index, so that nothing can disagree with
 * the files.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import { NearestSketches } from "../nearest.ts";
import type { ListedRequest, RequestRecord, Selection, StoreSize } from "../store.ts";
import type { Bin } from "./bin.ts";
import { answersOf, storedBytesOf } from "./bin.ts";
import type { BinReader } from "./bin_reader.ts";
import { binPath, brokenPaths, keysIn, modelFolders, namePath } from "./folder.ts";
import { Turns } from "./turns.ts";

/** Where to look. */
export interface SurveyPlace {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly reader: BinReader;
  /** The folder of a model. */
  folderOf(model: string): string;
}

/** A bin that was come by. */
interface Sight {
  readonly path: string;
  /** `undefined` when it cannot be read. */
  readonly bin: Bin | undefined;
  /** Of the file. */
  readonly bytes: number;
}

/** Looks at bins, one after the other. Methods throw what reading throws: FileError, CacheError `newer_schema`. */
export class Survey {
  readonly #place: SurveyPlace;

  constructor(place: SurveyPlace) {
    this.#place = place;
  }

  /** The requests whose sketches are nearest to one; see the store's contract. */
  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    const near = new NearestSketches(sketch, limit);
    const paths: string[] = [];
    for await (const { path, bin } of this.#bins(model)) {
      const question = bin?.question();
      if (!question) continue;
      near.offer(paths.length, question.record.sketch);
      paths.push(path);
    }
    const bins = near.best().map(({ id }) => this.#place.reader.glance(paths[id]!).contents.bin);
    return bins.map((bin) => bin?.question()?.record).filter((record) => record !== undefined);
  }

  /** The requests that are stored; see the store's contract. */
  async *list({ model, namespace }: Pick<Selection, "model" | "namespace">): AsyncGenerator<ListedRequest> {
    for await (const { bin } of this.#bins(model)) {
      const question = bin?.question();
      if (!bin || !question || (namespace !== undefined && namespace !== question.record.namespace)) continue;
      yield { model: bin.model, request: question.record, tags: [...question.tags] };
    }
  }

  /** How much is stored. */
  async size(): Promise<StoreSize> {
    const size = { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 };
    for await (const { path, bin, bytes } of this.#bins()) {
      for (const answer of answersOf(bin)) {
        size.entries++;
        size.bodyBytes += answer.body.length;
        size.storedBytes += storedBytesOf(answer);
      }
      size.totalBytes += bytes + await this.#bytesAt(brokenPaths(this.#place.runtime.files, path));
    }
    const folders = await modelFolders(this.#place.runtime.files, this.#place.directory);
    size.totalBytes += await this.#bytesAt(folders.map(namePath));
    return size;
  }

  async *#bins(model?: string): AsyncGenerator<Sight> {
    const { runtime: { files, clock }, directory, reader, folderOf } = this.#place;
    const folders = model === undefined ? await modelFolders(files, directory) : [folderOf(model)];
    const turns = new Turns(clock);
    for (const folder of folders) {
      for await (const keys of keysIn(files, folder)) {
        for (const key of keys) {
          const path = binPath(folder, key);
          const { contents, bytes } = reader.glance(path);
          yield { path, bin: contents.bin, bytes };
          if (turns.isOver()) await turns.next();
        }
      }
    }
  }

  async #bytesAt(paths: readonly string[]): Promise<number> {
    const stats = await Promise.all(paths.map((path) => this.#place.runtime.files.stat(path)));
    return stats.reduce((sum, stat) => sum + (stat?.size ?? 0), 0);
  }
}
