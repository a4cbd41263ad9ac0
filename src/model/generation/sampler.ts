/**
 * Choosing the next token.
 *
 * @module
 */

import type { Distribution } from "./distribution.ts";
import { seededRandom } from "./random.ts";

/** How to choose. */
export interface SamplerOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** In (0, 1]. */
  readonly topP: number;
  /** Unsigned 32-bit integer. */
  readonly seed: number;
}

/** A way of choosing tokens, with its own randomness. */
export type Sampler = (distribution: Distribution) => number;

/** Greedy: the likeliest token, the lowest id where several are. Else by temperature, within the nucleus. */
export function makeSampler({ temperature, topP, seed }: SamplerOptions): Sampler {
  if (temperature === 0) return (distribution) => distribution.likeliest(1)[0]!;
  const random = seededRandom(seed);
  return (distribution) => {
    const weights = scaledWeights(distribution, temperature);
    return draw(topP < 1 ? nucleus(weights, topP) : weights, random());
  };
}

/** Unnormalised probabilities at a temperature; the likeliest token has 1. */
function scaledWeights(distribution: Distribution, temperature: number): Float64Array {
  const highest = distribution.logprob(distribution.likeliest(1)[0]!);
  return Float64Array.from(
    { length: distribution.vocabularySize },
    (_, id) => Math.exp((distribution.logprob(id) - highest) / temperature),
  );
}

/** The weights of the fewest tokens that together reach `topP`, likeliest first (https://arxiv.org/abs/1904.09751). */
function nucleus(weights: Float64Array, topP: number): Float64Array {
  const total = sum(weights);
  // All tokens below this together cannot make up 1 - topP, so none of them is needed; most need not be sorted then.
  const negligible = (1 - topP) * total / weights.length;
  const candidates = [...weights.keys()].filter((id) => weights[id]! >= negligible);
  candidates.sort((one, other) => weights[other]! - weights[one]! || one - other);
  const kept = new Float64Array(weights.length);
  let reached = 0;
  for (const id of candidates) {
    kept[id] = weights[id]!;
    reached += weights[id]!;
    if (reached >= topP * total) break;
  }
  return kept;
}

/** The token at `random` of the way through the weights, in the order of ids. */
function draw(weights: Float64Array, random: number): number {
  let left = random * sum(weights);
  let drawn = 0;
  for (let id = 0; id < weights.length && left >= 0; id++) {
    if (weights[id]! === 0) continue;
    drawn = id;
    left -= weights[id]!;
  }
  return drawn;
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
