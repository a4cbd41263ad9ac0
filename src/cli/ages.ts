/**
 * How long ago something was, in one number.
 *
 * @module
 */

import type { Milliseconds } from "../runtime/runtime.ts";

const UNITS: readonly (readonly [unit: string, length: Milliseconds, until: number])[] = [
  ["s", 1000, 60],
  ["m", 60_000, 60],
  ["h", 3_600_000, 48],
  ["d", 86_400_000, Infinity],
];

/** `12s`, `5m`, `30h`, `400d`, rounded down. Two clocks may differ by a little: nothing is from the future. */
export function shortAge(age: Milliseconds): string {
  const time = Math.max(0, age);
  const [unit, length] = UNITS.find(([, length, until]) => time < length * until)!;
  return `${Math.floor(time / length)}${unit}`;
}
