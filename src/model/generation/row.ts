/**
 * What a model says of the next token: one number for each token of its vocabulary. Where the model runs on a GPU, a
 * vocabulary of 150,000 is not carried over for each token, only what was asked for.
 *
 * @module
 */

import { likeliest } from "./likeliest.ts";
import { exp, log } from "./portable_math.ts";

/** What is wanted of the last rows of a run. */
export interface RowsWanted {
  /** How many of the last rows; one when left out. */
  readonly rows?: number;
  /** Which of them in full. */
  readonly whole: "none" | "last" | "all";
  /** So many of the highest numbers of each row that is not in full, from 1 to {@link MOST_OF_A_ROW}. */
  readonly top?: number;
  /** Ids whose numbers are wanted, the first row's first; the last rows may have none. */
  readonly ids?: readonly number[];
}

/** The most of the highest numbers of a row that can be had without the others. */
export const MOST_OF_A_ROW = 64;

/** Tokens to choose among. */
export interface Candidates {
  readonly logits: Float32Array | Float64Array;
  /** Whose they are, in ascending order; where left out, index and id are the same. */
  readonly ids?: Uint32Array;
}

/** One row of logits, or what is there of it. */
export interface Row {
  /** How many tokens the model tells apart. */
  readonly size: number;
  /** Most bytes that it takes. */
  readonly bytes: number;
  /** The highest number; NaN if one of them is NaN. */
  readonly highest: number;
  /** Logarithm of the sum of what e is to the power of, each number less the highest. */
  readonly logSum: number;
  /**
   * The number of a token.
   *
   * @throws RangeError when it is not there.
   */
  at(id: number): number;
  /**
   * The ids of the `count` highest numbers, highest first; the lower id first where they are equal. What is at minus
   * infinity is not listed.
   *
   * @throws RangeError when so many are not there.
   */
  likeliest(count: number): number[];
  /** All tokens, or those that are there, which are the likeliest. */
  candidates(): Candidates;
  /**
   * All numbers.
   *
   * @throws RangeError when they are not there.
   */
  whole(): Float32Array;
  /** The row by itself: of the others of its run nothing stays in memory for it. */
  alone(): Row;
}

/** A row in full, summed up in float64. */
export class WholeRow implements Row {
  readonly #logits: Float32Array;
  #highest: number | undefined;
  #logSum: number | undefined;

  constructor(logits: Float32Array) {
    this.#logits = logits;
  }

  get size(): number {
    return this.#logits.length;
  }

  get bytes(): number {
    return this.#logits.byteLength;
  }

  get highest(): number {
    return this.#highest ??= highestOf(this.#logits);
  }

  get logSum(): number {
    return this.#logSum ??= logSumOfExp(this.#logits, this.highest);
  }

  at(id: number): number {
    return this.#logits[id]!;
  }

  likeliest(count: number): number[] {
    return likeliest(this.#logits, count);
  }

  candidates(): Candidates {
    return { logits: this.#logits };
  }

  whole(): Float32Array {
    return this.#logits;
  }

  alone(): Row {
    return new WholeRow(this.#logits.slice());
  }
}

/** What a GPU has found out of a row. */
export interface RowFacts {
  readonly size: number;
  readonly highest: number;
  readonly logSum: number;
  /** The likeliest tokens with their numbers, likeliest first. */
  readonly top: readonly (readonly [id: number, logit: number])[];
  /** How many were asked for: if there are fewer, no other can come. */
  readonly topWanted: number;
  /** A token that was asked for by id. */
  readonly asked?: readonly [id: number, logit: number];
  /** Reads the row in full. */
  readonly all?: () => Float32Array;
}

/** A row that was summed up on a GPU, in float32. */
export class ReducedRow implements Row {
  readonly #facts: Omit<RowFacts, "all">;
  /** In full, or how to have it so: in its place, since what is read from is not needed any more. */
  #all: Float32Array | (() => Float32Array) | undefined;

  constructor({ all, ...facts }: RowFacts) {
    this.#facts = facts;
    this.#all = all;
  }

  get size(): number {
    return this.#facts.size;
  }

  get bytes(): number {
    const { size, top } = this.#facts;
    return (this.#all === undefined ? 0 : size * BYTES_OF_A_NUMBER) + top.length * BYTES_OF_A_PAIR;
  }

  get highest(): number {
    return this.#facts.highest;
  }

  get logSum(): number {
    return this.#facts.logSum;
  }

  at(id: number): number {
    const { asked, top } = this.#facts;
    if (this.#all !== undefined) return this.whole()[id]!;
    if (asked?.[0] === id) return asked[1];
    const found = top.find(([other]) => other === id);
    if (found === undefined) throw new RangeError(`The logit of token ${id} was not asked for`);
    return found[1];
  }

  likeliest(count: number): number[] {
    const { top, topWanted } = this.#facts;
    if (count <= topWanted || top.length < topWanted) return top.slice(0, count).map(([id]) => id);
    if (this.#all !== undefined) return likeliest(this.whole(), count);
    throw new RangeError(`So many likeliest tokens were not asked for: ${count}, not ${topWanted}`);
  }

  candidates(): Candidates {
    if (this.#all !== undefined) return { logits: this.whole() };
    const byId = this.#facts.top.toSorted(([one], [other]) => one - other);
    return {
      ids: Uint32Array.from(byId, ([id]) => id),
      logits: Float32Array.from(byId, ([, logit]) => logit),
    };
  }

  whole(): Float32Array {
    if (this.#all === undefined) throw new RangeError("The row was not asked for in full");
    if (typeof this.#all === "function") this.#all = this.#all();
    return this.#all;
  }

  alone(): Row {
    return this;
  }
}

const BYTES_OF_A_NUMBER = 4;
const BYTES_OF_A_PAIR = 16;

/** Logarithm of the sum of what e is to the power of, each number less the highest. */
export function logSumOfExp(logits: Float32Array, highest: number): number {
  let sum = 0;
  for (const logit of logits) sum += exp(logit - highest);
  return log(sum);
}

/** The highest of some numbers; NaN if it is one of them. */
function highestOf(numbers: Float32Array): number {
  let highest = -Infinity;
  for (const number of numbers) {
    if (number <= highest) continue;
    highest = number;
    if (Number.isNaN(number)) break;
  }
  return highest;
}
