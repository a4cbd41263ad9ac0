/**
 * How far long work has come, told now and then.
 *
 * @module
 */

/** How far it has come. */
export interface PackProgress {
  /** So many. */
  readonly done: number;
  /** Where that is known. */
  readonly total?: number;
  /** Of what. */
  readonly unit: "requests" | "samples";
}

/** What all long work on packs may be told. */
export interface PackWork {
  /** Hears how far it has come, every few hundred requests and at the end. */
  readonly onProgress?: (progress: PackProgress) => void;
  /** Ends it early: it throws the signal's reason, and can be begun again. */
  readonly signal?: AbortSignal;
}

/** Told no more often than this. */
const EVERY = 256;

/** Counts, and tells. */
export class Count {
  readonly #work: PackWork;
  readonly #unit: PackProgress["unit"];
  readonly #total: number | undefined;
  #done = 0;
  #told = 0;

  /** `total` where it is known. */
  constructor(work: PackWork, unit: PackProgress["unit"], total?: number) {
    this.#work = work;
    this.#unit = unit;
    this.#total = total;
  }

  /**
   * Counts some more.
   *
   * @throws the signal's reason.
   */
  add(more: number): void {
    this.#work.signal?.throwIfAborted();
    this.#done += more;
    if (this.#done - this.#told >= EVERY) this.tell();
  }

  /** Tells how far it is. */
  tell(): void {
    this.#told = this.#done;
    const total = this.#total === undefined ? {} : { total: Math.max(this.#total, this.#done) };
    this.#work.onProgress?.({ done: this.#done, ...total, unit: this.#unit });
  }
}
