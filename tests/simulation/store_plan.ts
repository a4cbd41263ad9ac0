/** What instances do that use the store above the engine: the setting is the seed's, the programs are drawn anew. */

import type { Placement } from "../../src/store/store.ts";
import { APPENDED_KEYS, KEYS } from "./answers.ts";
import type { Action, Plan } from "./plan.ts";
import { planOf } from "./plan.ts";
import { randomOf } from "./turns.ts";

/** Models, each with a database of its own. */
export const MODELS: readonly string[] = ["one", "two"];

/** Room for two empty databases and little more, or for what most programs put. */
const LIMITS: readonly number[] = [400_000, 700_000];

/** Draws a seed's plan. */
export function storePlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const random = randomOf(Math.imul(seed + 1, 0x27d4eb2f));
  const pick = <T>(...from: readonly T[]): T => from[random(from.length)]!;
  const dies = plan.rates.die > 0;
  const keys = (most = 5): number[] => Array.from({ length: pick(1, 1, 2, most) }, () => random(KEYS));
  const most = pick(3, 6, 10);
  const action = (): Action => {
    const choice = random(19);
    // Each key belongs to one model, so that a lookup and its put agree.
    if (choice < 6) return { kind: "put", keys: keys(24) };
    if (choice < 9) return { kind: "lookup", keys: keys() };
    if (choice === 9) return { kind: "checkpoint", mode: pick("PASSIVE", "TRUNCATE", "TRUNCATE") };
    if (choice === 10) return { kind: "idle" };
    if (choice === 11) return { kind: "size" };
    if (choice === 12) return { kind: "release", keys: keys() };
    if (choice < 15) return { kind: "claim", keys: keys() };
    if (choice === 17) return { kind: "remove", keys: keys() };
    if (choice === 18) return { kind: "idle" };
    return dies && choice === 15 ? { kind: "die" } : { kind: "reopen" };
  };
  const replacing = (): Action => {
    const choice = random(8);
    if (choice < 4) return { kind: "put", keys: Array.from({ length: 24 }, () => random(KEYS)) };
    return choice < 7 ? { kind: "idle" } : { kind: "lookup", keys: keys() };
  };
  const programs = plan.programs.map(() => Array.from({ length: 1 + random(most) }, action));
  // Most programs put too little for a second dictionary.
  if (random(4) === 0) programs[0] = Array.from({ length: 6 + random(6) }, replacing);
  return { ...plan, image: "nothing", programs, maxBytes: pick(undefined, undefined, ...LIMITS) };
}

/** Whose database a key is looked for in. */
export function modelOf(key: number): string {
  return MODELS[key % MODELS.length]!;
}

/** Where what is put under a key goes. */
export function placementOf(key: number): Placement {
  if (key < APPENDED_KEYS) return "append";
  return key % 3 === 0 ? "replace_all" : "replace";
}
