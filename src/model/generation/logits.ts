/**
 * What a run of the model says: one row of numbers after each input token.
 *
 * @module
 */

/** Logits of a run, of shape [tokens, vocabulary]. */
export class Logits {
  /** How many tokens the model tells apart. */
  readonly vocabularySize: number;
  readonly #data: Float32Array;

  constructor(data: Float32Array, vocabularySize: number) {
    this.#data = data;
    this.vocabularySize = vocabularySize;
  }

  /** What may follow the input's token `index`: one number per token of the vocabulary. A window, not a copy. */
  after(index: number): Float32Array {
    return this.#data.subarray(index * this.vocabularySize, (index + 1) * this.vocabularySize);
  }

  /** What may follow the input's last token. */
  last(): Float32Array {
    return this.#data.subarray(-this.vocabularySize);
  }
}
