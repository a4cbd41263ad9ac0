/**
 * Removes answers from bins, and bins that have none left. What does not fit is only read: nothing is locked for it, and
 * a directory that can only be read may be searched.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { FailuresInMemory } from "../failures_in_memory.ts";
import type { Removed, Selection } from "../store.ts";
import type { Answer } from "./bin.ts";
import { storedBytesOf, takesWholeRequests, withoutSelected } from "./bin.ts";
import { binPath, brokenPaths, keysIn, modelFolders } from "./folder.ts";
import type { Change } from "./folder_writer.ts";
import type { SurveyPlace } from "./survey.ts";
import { Turns } from "./turns.ts";

/** Removes by selection, and what is known of failed calls with it. */
export class Removal {
  readonly #place: SurveyPlace;
  readonly #failures: FailuresInMemory;
  readonly #change: (folder: string, key: string, change: Change) => Promise<void>;

  /** `change` has a bin of a folder changed on the disk. */
  constructor(
    place: SurveyPlace,
    failures: FailuresInMemory,
    change: (folder: string, key: string, change: Change) => Promise<void>,
  ) {
    this.#place = place;
    this.#failures = failures;
    this.#change = change;
  }

  /**
   * Removes all that fits.
   *
   * @throws FileError, CacheError
   */
  async remove(selection: Selection): Promise<Removed> {
    const { runtime: { files }, directory, folderOf } = this.#place;
    const { model } = selection;
    const keys = selection.keys && [...new Set(selection.keys.map(hexOf))];
    const removed: Answer[][] = [];
    for (const folder of model === undefined ? await modelFolders(files, directory) : [folderOf(model)]) {
      for await (const some of keys ? [keys] : keysIn(files, folder)) {
        const fitting = await this.#fitting(folder, some, selection);
        removed.push(...await Promise.all(fitting.map((key) => this.#removeFrom(folder, key, selection))));
      }
    }
    if (takesWholeRequests(selection)) this.#failures.forgetAll(model, keys && new Set(keys));
    const answers = removed.flat();
    return { entries: answers.length, storedBytes: answers.reduce((sum, answer) => sum + storedBytesOf(answer), 0) };
  }

  /** The keys of those bins from which something is to be removed. */
  async #fitting(folder: string, keys: readonly string[], selection: Selection): Promise<string[]> {
    const { runtime: { files, clock }, reader } = this.#place;
    const takesAll = takesWholeRequests(selection);
    const turns = new Turns(clock);
    const fitting: string[] = [];
    for (const key of keys) {
      const path = binPath(folder, key);
      const fits = takesAll
        ? files.exists(path) || brokenPaths(files, path).length > 0
        : withoutSelected(reader.glance(path).contents, selection).removed.length > 0;
      if (fits) fitting.push(key);
      if (turns.isOver()) await turns.next();
    }
    return fitting;
  }

  async #removeFrom(folder: string, key: string, selection: Selection): Promise<Answer[]> {
    let removed: readonly Answer[] = [];
    await this.#change(folder, key, {
      forgets: takesWholeRequests(selection),
      run: (there, isAgain) => {
        const remainder = withoutSelected(there, selection);
        // What was written over is there again, and was counted.
        if (!isAgain) removed = remainder.removed;
        if (there.bin && !remainder.contents.bin) this.#failures.forget(there.bin.model, key);
        return remainder.contents;
      },
    });
    return [...removed];
  }
}
