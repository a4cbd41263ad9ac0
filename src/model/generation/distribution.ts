/**
 * A next-token distribution: log-softmax in float64 over the model's float32 logits. Every place that reports a
 * probability asks here, so that the same token at the same place has the identical number everywhere.
 *
 * @module
 */

import { ModelError } from "../error.ts";
import { likeliest } from "./likeliest.ts";
import { exp, log } from "./portable_math.ts";

/** Whether logits are some of a distribution: numbers, of which not all are minus infinity. */
export function isDistribution(logits: Float32Array): boolean {
  return Number.isFinite(highestOf(logits));
}

/** The probabilities of the next token. Logarithms are natural. */
export class Distribution {
  readonly #logits: Float32Array;
  readonly #highest: number;
  #logSum: number | undefined;

  /** @throws ModelError `invalid_request` when the logits are not numbers: the request overflowed the model. */
  constructor(logits: Float32Array) {
    const highest = highestOf(logits);
    if (!Number.isFinite(highest)) {
      const advice = "it overflows the model's dtype; try another dtype";
      throw new ModelError(
        "invalid_request",
        `The model's answer to this request is not a number (${advice}): ${highest}`,
      );
    }
    this.#logits = logits;
    this.#highest = highest;
  }

  get vocabularySize(): number {
    return this.#logits.length;
  }

  /** Log-probability of a token; minus infinity for one that cannot come. */
  logprob(id: number): number {
    this.#logSum ??= logSumOfExp(this.#logits, this.#highest);
    // Kept apart: added together, large logits would swallow the sum's digits.
    return this.#logits[id]! - this.#highest - this.#logSum;
  }

  /**
   * The `count` likeliest tokens (all, if there are fewer), likeliest first; the lower id first where they are equal.
   * Tokens that cannot come are not among them.
   */
  likeliest(count: number): number[] {
    return likeliest(this.#logits, count);
  }

  /** Log-probability of all tokens but `ids` together; `null` when there are no others that can come. */
  tailLogprob(ids: readonly number[]): number | null {
    const rest = this.#logits.slice();
    for (const id of ids) rest[id] = -Infinity;
    const first = likeliest(rest, 1)[0];
    return first === undefined ? null : this.logprob(first) + logSumOfExp(rest, rest[first]!);
  }
}

/** Logarithm of the sum of what e is to the power of, each number less the highest. */
function logSumOfExp(logits: Float32Array, highest: number): number {
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
