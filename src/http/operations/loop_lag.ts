/**
 * How late the event loop is. Whatever holds the main thread up holds up every request, and no request's own time says
 * what it was that it waited for.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

const INTERVAL: Milliseconds = 500;

/** Tells again and again by how much later than asked for a timer went off, until the signal is aborted. */
export async function watchLoopLag(
  clock: Clock,
  signal: AbortSignal,
  tell: (late: Milliseconds) => void,
): Promise<void> {
  while (!signal.aborted) {
    const due = clock.monotonic() + INTERVAL;
    try {
      await clock.sleep(INTERVAL, { signal, background: true });
    } catch {
      return;
    }
    tell(Math.max(0, clock.monotonic() - due));
  }
}
