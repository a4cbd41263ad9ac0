/**
 * For how long a model stays loaded that nobody uses, as users say it.
 *
 * @module
 */

import { parseDuration } from "../runtime/duration.ts";
import type { Milliseconds } from "../runtime/runtime.ts";

/**
 * For how long: a number of seconds, or a text such as `"10m"` or `"1h30m"`. 0: no longer than it is used. Less than 0:
 * until its room is needed for another. As Ollama's `keep_alive`, but a pin keeps better than -1.
 *
 * @see https://github.com/ollama/ollama/blob/main/docs/faq.md
 */
export type KeepAlive = number | string;

/** A number of seconds as text: `300`, `-1`. */
const PLAIN = /^-?[0-9]+(?:\.[0-9]+)?$/;

/**
 * A keep-alive in milliseconds, `Infinity` where it is less than 0.
 *
 * @throws RangeError when it means nothing.
 */
export function parseKeepAlive(value: KeepAlive): Milliseconds {
  const seconds = typeof value === "string" && PLAIN.test(value) ? Number(value) : value;
  const duration = typeof seconds === "string"
    ? parseDuration(seconds)
    : typeof seconds === "number"
    ? seconds * 1000
    : undefined;
  if (duration === undefined || Number.isNaN(duration)) {
    throw new RangeError(
      `Cannot keep a model alive: expected seconds, a duration such as "10m", 0 or -1: ${JSON.stringify(value)}`,
    );
  }
  return duration < 0 ? Infinity : duration;
}
