/**
 * Buying again what is there, because it will not do.
 *
 * @module
 */

import type { Plan } from "../call_options.ts";

/** The same call, with nothing taken from the cache: what it buys takes the place of what is there, if it may write. */
export function anew(plan: Plan): Plan {
  return { ...plan, mode: plan.writes ? "refresh" : "off", reads: false };
}
