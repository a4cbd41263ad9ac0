/**
 * Choosing the next token. A seed gives the same tokens on every runtime whose model gives the same logits.
 *
 * @module
 */

import { ModelError } from "../error.ts";
import { likeliest } from "./likeliest.ts";
import { exp } from "./portable_math.ts";
import { seededRandom } from "./random.ts";

/** How to choose. */
export interface SamplerOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Draw among so many of the likeliest; 0 is off. */
  readonly topK: number;
  /** Draw among the likeliest that together reach this probability, in (0, 1]; 1 is off. */
  readonly topP: number;
  /** Draw among those at least this many times as likely as the likeliest, in [0, 1]; 0 is off. */
  readonly minP: number;
  /** Unsigned 32-bit integer. */
  readonly seed: number;
}

/**
 * A way of choosing tokens by their logits, with its own randomness.
 *
 * @throws ModelError `invalid_request` when no token is left to choose.
 */
export type Sampler = (logits: Float32Array | Float64Array) => number;

/**
 * Greedy: the likeliest token, the lowest id where several are. Else by temperature, and within what top-k, top-p and
 * min-p leave, each of what the one before it has left: the order of transformers' warpers.
 */
export function makeSampler({ temperature, topK, topP, minP, seed }: SamplerOptions): Sampler {
  if (temperature === 0) return likeliestToken;
  const random = seededRandom(seed);
  return (logits) => {
    let weights = scaledWeights(logits, temperature, topK);
    if (topP < 1) weights = nucleus(weights, topP);
    if (minP > 0) weights = weights.map((weight) => weight < minP ? 0 : weight);
    return draw(weights, random());
  };
}

function likeliestToken(logits: Float32Array | Float64Array): number {
  let found = -1;
  let highest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! <= highest) continue;
    highest = logits[id]!;
    found = id;
  }
  if (found < 0) throw new ModelError("invalid_request", "The model has no token left to go on with");
  return found;
}

/** Unnormalised probabilities at a temperature, of the `topK` likeliest or of all; the likeliest token has 1. */
function scaledWeights(logits: Float32Array | Float64Array, temperature: number, topK: number): Float64Array {
  const highest = logits[likeliestToken(logits)]!;
  const weights = new Float64Array(logits.length);
  const weigh = (id: number): void => {
    weights[id] = exp((logits[id]! - highest) / temperature);
  };
  if (topK > 0 && topK < logits.length) likeliest(logits, topK).forEach(weigh);
  else for (let id = 0; id < logits.length; id++) weigh(id);
  return weights;
}

/**
 * The weights of the fewest tokens that together reach `topP` (https://arxiv.org/abs/1904.09751), the likeliest first
 * and the lower id first where they are equal.
 */
function nucleus(weights: Float64Array, topP: number): Float64Array {
  const total = sum(weights);
  // All tokens below this together cannot make up 1 - topP, so none of them is needed; most need not be sorted then.
  const negligible = (1 - topP) * total / weights.length;
  const candidates = weights.filter((weight) => weight >= negligible).sort();
  let last = candidates.length;
  for (let reached = 0; last > 0 && reached < topP * total;) reached += candidates[--last]!;
  const lowest = candidates[last]!;
  let ofLowest = candidates.lastIndexOf(lowest) - last + 1;
  return weights.map((weight) => weight > lowest || (weight === lowest && ofLowest-- > 0) ? weight : 0);
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
