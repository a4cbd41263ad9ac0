/**
 * Waiting for a lock that somebody else holds for a moment, without a thread that sleeps: how long until the next try.
 * Short at first, since most transactions take less than a millisecond, and never long, since among steady writers only
 * who tries often gets a turn.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

const FIRST: Milliseconds = 1;
const LONGEST: Milliseconds = 8;

/** The wait after one of `previous`, the first after none. */
export function nextWait(previous: Milliseconds): Milliseconds {
  return previous === 0 ? FIRST : Math.min(previous * 2, LONGEST);
}

/**
 * Calls `attempt` until it works, fails for a reason that `isPassing` does not know, or `timeout` has been waited for.
 *
 * @throws what `attempt` threw last.
 */
export async function patiently<T>(
  clock: Clock,
  timeout: Milliseconds,
  isPassing: (error: unknown) => boolean,
  attempt: () => T | Promise<T>,
): Promise<T> {
  let left = timeout;
  for (let wait = nextWait(0);; wait = nextWait(wait)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isPassing(error) || left <= 0) throw error;
    }
    await clock.sleep(Math.min(wait, left));
    left -= wait;
  }
}
