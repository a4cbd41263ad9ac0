/**
 * The sampler's randomness: sfc32, "small fast chaotic", by Chris Doty-Humphrey (PractRand, public domain). 128 bits of
 * state, passes PractRand, and is nothing but 32-bit integer arithmetic, so a seed gives the same numbers everywhere.
 *
 * @module
 */

/** Numbers in [0, 1) with 53 random bits, from an unsigned 32-bit seed. */
export function seededRandom(seed: number): () => number {
  let a = 0;
  let b = seed | 0;
  let c = 0;
  let counter = 1;
  const next = (): number => {
    const output = (a + b | 0) + counter | 0;
    counter = counter + 1 | 0;
    a = b ^ b >>> 9;
    b = c + (c << 3) | 0;
    c = (c << 21 | c >>> 11) + output | 0;
    return output >>> 0;
  };
  for (let round = 0; round < MIXING_ROUNDS; round++) next();
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** After this many rounds every bit of the seed has reached all of the state. */
const MIXING_ROUNDS = 15;
