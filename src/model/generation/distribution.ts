/**
 * A next-token distribution: the log-softmax of the model's logits. Every place that reports a probability asks here, so
 * that the same token at the same place has the identical number everywhere. Sums are in float64 where the model runs on
 * the CPU; a GPU has none, and sums up in float32.
 *
 * @module
 */

import { ModelError } from "../error.ts";
import { likeliest } from "./likeliest.ts";
import { logSumOfExp, type Row } from "./row.ts";

/** Whether logits are some of a distribution: numbers, of which not all are minus infinity. */
export function isDistribution({ highest }: Row): boolean {
  return Number.isFinite(highest);
}

/** The probabilities of the next token. Logarithms are natural. */
export class Distribution {
  readonly #row: Row;

  /** @throws ModelError `invalid_request` when the logits are not numbers: the request overflowed the model. */
  constructor(row: Row) {
    if (!isDistribution(row)) {
      const advice = "it overflows the model's dtype; try another dtype";
      throw new ModelError(
        "invalid_request",
        `The model's answer to this request is not a number (${advice}): ${row.highest}`,
      );
    }
    this.#row = row;
  }

  get vocabularySize(): number {
    return this.#row.size;
  }

  /** Log-probability of a token; minus infinity for one that cannot come. */
  logprob(id: number): number {
    // The sum is kept apart: added to it, large logits would swallow its digits.
    return this.#row.at(id) - this.#row.highest - this.#row.logSum;
  }

  /**
   * The `count` likeliest tokens (all, if there are fewer), likeliest first; the lower id first where they are equal.
   * Tokens that cannot come are not among them.
   */
  likeliest(count: number): number[] {
    return this.#row.likeliest(count);
  }

  /**
   * Log-probability of all tokens but `ids` together; `null` when there are no others that can come. It takes a row in
   * full.
   */
  tailLogprob(ids: readonly number[]): number | null {
    const rest = this.#row.whole().slice();
    for (const id of ids) rest[id] = -Infinity;
    const first = likeliest(rest, 1)[0];
    return first === undefined ? null : this.logprob(first) + logSumOfExp(rest, rest[first]!);
  }
}
