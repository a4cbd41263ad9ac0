/**
 * What a run of the model says: one row of numbers after each input token.
 *
 * @module
 */

import { widened } from "../adapter/float16.ts";
import type { Ort } from "../worker/ort.ts";
import { type Row, WholeRow } from "./row.ts";

/** Logits of a run, of shape [tokens, vocabulary]: of all its tokens, or of the last ones. */
export class Logits {
  /** How many tokens the model tells apart. */
  readonly vocabularySize: number;
  readonly #rows: readonly Row[];
  readonly #tokens: number;

  /**
   * @param rows One at least.
   * @param tokens How many the run had, those among them that there are no rows of.
   */
  constructor(rows: readonly Row[], tokens: number = rows.length) {
    this.#rows = rows;
    this.#tokens = tokens;
    this.vocabularySize = rows[0]!.size;
  }

  /**
   * What may follow the run's token `index`.
   *
   * @throws RangeError when there is no row of it.
   */
  after(index: number): Row {
    const row = this.#rows[this.#rows.length - this.#tokens + index];
    if (row === undefined) throw new RangeError(`There are no logits after token ${index}: of ${this.#tokens}`);
    return row;
  }

  /** What may follow the run's last token. */
  last(): Row {
    return this.#rows.at(-1)!;
  }
}

/** Rows that lie behind each other, as windows, not copies. */
export function wholeRows(data: Float32Array, size: number): Row[] {
  const count = data.length / size;
  return Array.from({ length: count }, (_, row) => new WholeRow(data.subarray(row * size, (row + 1) * size)));
}

/**
 * Moves numbers out of a tensor of float32 or float16, wherever it is, and lets go of it. Each number is exactly the
 * tensor's.
 *
 * @param count How many of the last ones; all when left out.
 * @throws Error when it has anything else in it.
 */
export async function takeFloats(tensor: Ort.Tensor, count: number = tensor.size): Promise<Float32Array> {
  const { type, size } = tensor;
  const data = await tensor.getData();
  tensor.dispose();
  // A copy of the part that is wanted: the whole may be a hundred times as large, and goes.
  if (data instanceof Float32Array) return count === size ? data : data.slice(size - count);
  if (type !== "float16") throw new Error(`the graph gives no floating-point numbers: ${type}`);
  // Engines without arrays of float16 have its bits.
  const halves = data as Uint16Array;
  const wanted = halves.subarray(size - count);
  return wanted instanceof Uint16Array ? Float32Array.from(wanted, widened) : Float32Array.from(wanted);
}
