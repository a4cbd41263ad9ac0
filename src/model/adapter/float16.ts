/**
 * IEEE 754 binary16, in integer arithmetic: not every engine has arrays of it.
 *
 * @module
 */

/** The number of these 16 bits. */
export function widened(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * The nearest numbers of 16 bits, ties to even, as bits.
 *
 * @param what Whose weights they are, for the message.
 * @throws Error when one is beyond the largest, 65504.
 */
export function narrowed(weights: Float32Array, what: string): Uint16Array {
  const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length);
  const halves = new Uint16Array(weights.length);
  for (let index = 0; index < halves.length; index++) {
    const half = halfOf(bits[index]!);
    if ((half & 0x7c00) === 0x7c00) throw new Error(`a weight of ${what} is beyond float16: ${weights[index]}`);
    halves[index] = half;
  }
  return halves;
}

/** From the bits of a float32: sign, 8 bits of exponent (biased by 127), 23 of fraction. */
function halfOf(bits: number): number {
  const sign = bits >>> 16 & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  const exponent = (magnitude >>> 23) - 127;
  if (exponent >= 16) return sign | 0x7c00;
  if (exponent < -25) return sign;
  // The fraction with its leading 1, of which normal numbers lose 13 bits, and subnormal ones one more for each power
  // of two that they are below the smallest normal one, 2^-14.
  const fraction = magnitude & 0x7fffff | 0x800000;
  const lost = exponent >= -14 ? 13 : -1 - exponent;
  const kept = fraction >>> lost;
  const rest = fraction & (1 << lost) - 1;
  const half = 1 << lost - 1;
  const rounded = kept + Number(rest > half || rest === half && (kept & 1) === 1);
  // A carry out of the fraction raises the exponent, which is what it should do, up to infinity.
  return sign | (exponent >= -14 ? (exponent + 14 << 10) + rounded : rounded);
}
