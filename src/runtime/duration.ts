/**
 * Durations as people write them. It stands here because every room may import this one.
 *
 * @module
 */

import type { Milliseconds } from "./runtime.ts";

const UNITS: Readonly<Record<string, Milliseconds>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const PART = /([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)/g;
const WHOLE = /^(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+)$/;

/**
 * The duration in a text such as `500ms`, `90s`, `10m`, `1h30m`, `7d`, `2w` or `-1s`; `undefined` when there is none in
 * it. A number without a unit is none: each program means another one by it.
 */
export function parseDuration(text: string): Milliseconds | undefined {
  const [, sign, parts] = WHOLE.exec(text.trim()) ?? [];
  if (parts === undefined) return undefined;
  let duration = 0;
  for (const [, amount, unit] of parts.matchAll(PART)) duration += Number(amount) * UNITS[unit!]!;
  return sign === "-" ? -duration : duration;
}
