/**
 * What a run of the model says: one row of numbers after each input token.
 *
 * @module
 */

import { widened } from "../adapter/float16.ts";
import type { Ort } from "../worker/ort.ts";

/** Logits of a run, of shape [tokens, vocabulary]: of all its tokens, or of the last ones. */
export class Logits {
  /** How many tokens the model tells apart. */
  readonly vocabularySize: number;
  readonly #data: Float32Array;
  readonly #tokens: number;

  /** @param tokens How many the run had, those among them that there are no logits of. */
  constructor(data: Float32Array, vocabularySize: number, tokens: number = data.length / vocabularySize) {
    this.#data = data;
    this.vocabularySize = vocabularySize;
    this.#tokens = tokens;
  }

  /**
   * What may follow the run's token `index`: one number per token of the vocabulary. A window, not a copy.
   *
   * @throws RangeError when there are none.
   */
  after(index: number): Float32Array {
    const end = this.#data.length - (this.#tokens - 1 - index) * this.vocabularySize;
    const start = end - this.vocabularySize;
    if (start < 0 || end > this.#data.length) {
      throw new RangeError(`There are no logits after token ${index}: of ${this.#tokens}`);
    }
    return this.#data.subarray(start, end);
  }

  /** What may follow the run's last token. */
  last(): Float32Array {
    return this.#data.subarray(-this.vocabularySize);
  }
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
