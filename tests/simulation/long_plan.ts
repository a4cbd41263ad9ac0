/**
 * What instances do where it is asked what comes of a fault in the end: they do it for longer, with caches so large that
 * they can go on without looking, and are often killed just after they have cut or removed a file.
 */

import type { Action, CheckpointMode, Plan } from "./plan.ts";
import { PAGES, planOf } from "./plan.ts";
import { randomOf } from "./turns.ts";

/** Draws a seed's plan. */
export function longPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(Math.imul(seed + 1, 0x165667b1));
  const pick = <T>(...from: readonly T[]): T => from[random(from.length)]!;
  const modes: readonly CheckpointMode[] = ["PASSIVE", "RESTART", "TRUNCATE", "TRUNCATE"];
  const action = (): Action => {
    const choice = random(12);
    if (choice < 6) {
      const pages = Array.from({ length: random(3) }, () => random(PAGES));
      return { kind: "write", pages, begin: "IMMEDIATE", undo: false };
    }
    if (choice < 8) return { kind: "read", full: random(2) === 0, again: random(2) === 0 };
    if (choice < 11) return { kind: "checkpoint", mode: pick(...modes) };
    return pick<Action>({ kind: "die" }, { kind: "reopen" }, { kind: "reopen" });
  };
  const rates = {
    ...plan.rates,
    die: 0.003,
    mostDeaths: 30,
    fail: 0,
    burst: 1,
    powerFailure: 0,
    writeBack: 0,
  };
  const programs = plan.programs.map(() => Array.from({ length: 20 + random(40) }, action));
  return { ...plan, image: "ledger", cacheSize: 200, rates, programs };
}
