/**
 * Names for labels. Each value of a label is a series that is kept for ever, and names of models come from whoever asks:
 * one gets a series of its own when something was answered under it, and so many do at most.
 *
 * @module
 */

/** What all others are called. */
export const OTHER = "other";

const LONGEST = 128;

/** Remembers which names have a series. */
export class BoundedNames {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** What a name is called in a label; `isReal` where there is such a thing for sure. */
  labelOf(name: string, isReal: boolean): string {
    if (this.#known.has(name)) return name;
    if (!isReal || name.length > LONGEST || this.#known.size >= this.#most) return OTHER;
    this.#known.add(name);
    return name;
  }
}
