/**
 * How far a mean over a handful of prompts can be trusted: other prompts of the same kind would have given another.
 *
 * @module
 */

/** How often the sample is drawn anew. */
const RESAMPLES = 1000;

/** After so many of them others may have their turn. */
const SAMPLES_AT_ONCE = 50;

/**
 * The percentile bootstrap's 95 % interval of a mean (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
 * chapter 13): so many samples of the same size are drawn from the values, with replacement, and 2.5 % of their means
 * lie below the interval, 2.5 % above. The same seed gives the same interval. `null` for less than two values.
 *
 * @param pause Awaited after every few samples: all of them take some 10 ms where there are a thousand values.
 */
export async function bootstrapInterval(
  values: readonly number[],
  seed: number,
  pause: () => Promise<void>,
): Promise<[low: number, high: number] | null> {
  if (values.length < 2) return null;
  // Sums of what is all alike would round to a hair beside it.
  if (values.every((value) => value === values[0])) return [values[0]!, values[0]!];
  const random = randomFrom(seed);
  const means = new Float64Array(RESAMPLES);
  for (let index = 0; index < RESAMPLES; index++) {
    let sum = 0;
    for (let drawn = 0; drawn < values.length; drawn++) sum += values[Math.floor(random() * values.length)]!;
    means[index] = sum / values.length;
    if (index % SAMPLES_AT_ONCE === 0) await pause();
  }
  means.sort();
  return [percentile(means, 0.025), percentile(means, 0.975)];
}

/** The value below which a share of sorted values lies, linear between neighbours. */
function percentile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (at - below);
}

/** Numbers from 0 to less than 1 by Mulberry32: integers of 32 bits alone, so the same on every engine. */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
