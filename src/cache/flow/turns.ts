/**
 * Long lists, a few at a time: whoever brings thousands of requests at once must not keep everybody else waiting.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** So many steps are made in one turn of the event loop at most, where each sets off more work than it does itself. */
const STEPS = 8;
/** The same, where a step does all of its work at once. */
export const WHOLE_STEPS = 64;
/** Nor is a step begun when those before it have taken so long. */
const LONG: Milliseconds = 4;

/** Resolves when whatever else waits has had its turn. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise<void>((resolve) => clock.afterTurn(resolve));
}

/** Makes a step for each item, in order; after a few of them whatever else waits has its turn. */
export async function inTurns<T>(
  clock: Clock,
  items: Iterable<T>,
  step: (item: T, index: number) => void,
  most: number = STEPS,
): Promise<void> {
  let began = clock.monotonic();
  let steps = 0;
  let index = 0;
  for (const item of items) {
    if (steps === most || clock.monotonic() - began >= LONG) {
      await nextTurn(clock);
      began = clock.monotonic();
      steps = 0;
    }
    step(item, index++);
    steps++;
  }
}
