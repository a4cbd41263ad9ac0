/**
 * A next-token distribution: log-softmax in float64 over the model's float32 logits. Every place that reports a
 * probability asks here, so that the same token at the same place has the identical number everywhere.
 *
 * @module
 */

import { ModelError } from "../error.ts";

/** The probabilities of the next token. Logarithms are natural. */
export class Distribution {
  readonly #logits: Float32Array;
  readonly #highest: number;
  readonly #logSum: number;

  /** @throws ModelError `invalid_request` when the logits are not numbers: the request overflowed the model. */
  constructor(logits: Float32Array) {
    let highest = -Infinity;
    for (const logit of logits) if (logit > highest) highest = logit;
    let sum = 0;
    for (const logit of logits) sum += Math.exp(logit - highest);
    this.#logits = logits;
    // Kept apart: added together, large logits would swallow the sum's digits.
    this.#highest = highest;
    this.#logSum = Math.log(sum);
    if (!Number.isFinite(this.#logSum)) {
      throw new ModelError("invalid_request", `The model's answer to this request is not a number: ${highest}`);
    }
  }

  get vocabularySize(): number {
    return this.#logits.length;
  }

  /** Log-probability of a token. */
  logprob(id: number): number {
    return this.#logits[id]! - this.#highest - this.#logSum;
  }

  /** The `count` likeliest tokens (all, if there are fewer), likeliest first; the lower id first where they are equal. */
  likeliest(count: number): number[] {
    const logits = this.#logits;
    const byLikelihood = (one: number, other: number): number => logits[other]! - logits[one]! || one - other;
    let kept: number[] = [];
    let atLeast = -Infinity;
    for (let id = 0; id < logits.length && count > 0; id++) {
      if (logits[id]! <= atLeast) continue;
      kept.push(id);
      if (kept.length < 2 * count + CUT_SLACK) continue;
      kept = kept.sort(byLikelihood).slice(0, count);
      atLeast = logits[kept.at(-1)!]!;
    }
    return kept.sort(byLikelihood).slice(0, count);
  }

  /** Log-probability of all tokens but `ids` together; `null` when there are no others. */
  tailLogprob(ids: readonly number[]): number | null {
    if (ids.length >= this.vocabularySize) return null;
    const cut = new Set(ids);
    let sum = 0;
    for (let id = 0; id < this.#logits.length; id++) if (!cut.has(id)) sum += Math.exp(this.logprob(id));
    return Math.log(sum);
  }
}

/** Candidates gathered beyond twice the count before they are sorted and cut. */
const CUT_SLACK = 64;
