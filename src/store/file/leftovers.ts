/**
 * Takes away what processes that were killed have left: the file that was to take another's place. Looked for where this
 * process writes, once in each folder, when the write is done.
 *
 * @module
 */

import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { temporariesIn } from "./folder.ts";

/** Nobody takes so long between writing a file and renaming it. */
const OLD: Milliseconds = 10 * 60 * 1000;

/** Sweeps folders, one after the other, in the background. */
export class Leftovers {
  readonly #runtime: Runtime;
  readonly #seen = new Set<string>();
  #work: Promise<void> = Promise.resolve();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Resolves when all folders are swept that were to be. */
  get idle(): Promise<void> {
    return this.#work;
  }

  /** Sweeps a folder, unless that has been done. */
  sweep(folder: string): void {
    if (this.#seen.has(folder)) return;
    this.#seen.add(folder);
    // What cannot be swept now stays: the next process tries again.
    this.#work = this.#work.then(() => this.#sweep(folder)).catch(() => {});
  }

  async #sweep(folder: string): Promise<void> {
    const { files, clock } = this.#runtime;
    for (const path of await temporariesIn(files, folder)) {
      const stat = await files.stat(path);
      const age = stat ? clock.now() - Number(stat.mtimeNs / 1_000_000n) : 0;
      if (age > OLD) files.remove(path);
    }
  }
}
