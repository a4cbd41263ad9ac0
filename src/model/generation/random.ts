/**
 * Randomness that a seed determines, the same everywhere: sfc32, "small fast chaotic", by Chris Doty-Humphrey
 * (PractRand, public domain). 128 bits of state, passes PractRand, and is nothing but 32-bit integer arithmetic.
 *
 * @module
 */

import { log } from "./portable_math.ts";

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

/**
 * Numbers of the standard normal distribution, from an unsigned 32-bit seed, to the bit the same in every engine: by
 * Marsaglia's polar method (SIAM Review 6, 1964), which takes IEEE 754's arithmetic and square root, and a logarithm
 * that is made of the former.
 */
export function seededNormal(seed: number): () => number {
  const random = seededRandom(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const number = spare;
      spare = undefined;
      return number;
    }
    for (;;) {
      const x = 2 * random() - 1;
      const y = 2 * random() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square < SMALLEST_SQUARE) continue;
      const factor = Math.sqrt(2 * log(1 / square) / square);
      spare = y * factor;
      return x * factor;
    }
  };
}

/** The logarithm above takes its inverse. No number is further from 0 than 6.6, as one in 10^10 would be. */
const SMALLEST_SQUARE = 2 ** -31;
