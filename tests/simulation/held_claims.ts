/**
 * Who holds which claim, as the holders have been told, in the shared memory beside the simulated machine: of two
 * processes that claim a request one gets it, alive or dead, until it gives it up. No run takes as long as a claim lasts.
 */

import { KEYS } from "./answers.ts";
import { Violation } from "./violation.ts";

/** After what {@link ./answers.ts Answers} keeps there. */
const LIVES = 9100;
const FIRST = LIVES + 1;

/** Claims by key. */
export class HeldClaims {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** A holder of claims, which nobody else is: a process from its start to its end. */
  newHolder(): number {
    return ++this.#words[LIVES]!;
  }

  /**
   * A claim was granted.
   *
   * @throws Violation when somebody else has it.
   */
  grant(key: number, holder: number): void {
    const other = this.#words[FIRST + key]!;
    if (other !== 0 && other !== holder) throw new Violation(`claimed twice: key ${key} by ${other} and ${holder}`);
    this.#words[FIRST + key] = holder;
  }

  /** A claim is about to be given up. */
  release(key: number, holder: number): void {
    if (this.#words[FIRST + key] === holder) this.#words[FIRST + key] = 0;
  }

  /** All may be lost. */
  clear(): void {
    this.#words.fill(0, FIRST, FIRST + KEYS);
  }
}
