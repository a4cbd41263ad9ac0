/**
 * Exponential and logarithm that give the same bits in every engine. `Math.exp` and `Math.log` are the engine's own
 * approximations and differ in the last digit, even between Deno's and Node's builds of V8; one digit is enough for a
 * seed to draw another token, and the text goes another way from there. These use nothing but the arithmetic that IEEE
 * 754 defines to the bit. Only the range that softmax needs is covered.
 *
 * @module
 */

/**
 * e to the power of a number that is not positive, to 2 units in the last place; 0 where it would be below 2^-1022. By
 * x = r - n ln 2 with |r| at most ln(2) / 2, then the Taylor series of e^r.
 */
export function exp(x: number): number {
  if (x < LOWEST_EXPONENT) return 0;
  const halvings = Math.round(x * -LOG2_E);
  const r = (x + halvings * LN_2_HIGH) + halvings * LN_2_LOW;
  let tail = 1 / 6227020800;
  tail = tail * r + 1 / 479001600;
  tail = tail * r + 1 / 39916800;
  tail = tail * r + 1 / 3628800;
  tail = tail * r + 1 / 362880;
  tail = tail * r + 1 / 40320;
  tail = tail * r + 1 / 5040;
  tail = tail * r + 1 / 720;
  tail = tail * r + 1 / 120;
  tail = tail * r + 1 / 24;
  tail = tail * r + 1 / 6;
  tail = tail * r + 1 / 2;
  return (1 + (r + r * r * tail)) * HALVES[halvings]!;
}

/**
 * Natural logarithm of a number from 1 up to 2^32, to 2^-52 times the larger of it and 1. By x = 2^n m with m about 1,
 * then ln m = 2 artanh((m - 1) / (m + 1)) by its Taylor series.
 */
export function log(x: number): number {
  let doublings = 31 - Math.clz32(x);
  let m = x * HALVES[doublings]!;
  if (m > Math.SQRT2) {
    m /= 2;
    doublings++;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let tail = 0;
  for (let power = 23; power >= 3; power -= 2) tail = (tail + 1 / power) * square;
  return doublings * LN_2_HIGH + (2 * (s + s * tail) + doublings * LN_2_LOW);
}

/** Below it, e^x is not a normal number. */
const LOWEST_EXPONENT = -708;
const LOG2_E = 1.4426950408889634;
/** ln 2 in two parts, the first of 32 bits, so that its product with an exponent is exact. */
const LN_2_HIGH = 0.6931471803691238;
const LN_2_LOW = 1.9082149292705877e-10;
/** 2^-n by n; halving is exact, which `**` need not be. */
const HALVES: Float64Array = new Float64Array(1023);
for (let n = 0, half = 1; n < HALVES.length; n++, half /= 2) HALVES[n] = half;
