/**
 * What a seed stands for: how many instances, what they do, on what disk, and how often what goes wrong. Drawn before
 * the run, so that a shrinker can leave out parts of it.
 */

import type { Rates } from "./turns.ts";
import { INSTANCES, randomOf } from "./turns.ts";

export type Action =
  | {
    readonly kind: "write";
    /** Which pages are overwritten. */
    readonly pages: readonly number[];
    readonly begin: "IMMEDIATE" | "DEFERRED";
    readonly undo: boolean;
  }
  | { readonly kind: "read"; readonly full: boolean; readonly again: boolean }
  | { readonly kind: "checkpoint"; readonly mode: CheckpointMode }
  | { readonly kind: "reopen" }
  | { readonly kind: "put"; readonly keys: readonly number[] }
  | { readonly kind: "lookup"; readonly keys: readonly number[] }
  | { readonly kind: "claim" | "release" | "remove"; readonly keys: readonly number[] }
  | { readonly kind: "size" }
  | { readonly kind: "idle" }
  | { readonly kind: "die" }
  /** What a shrinker has left out. */
  | { readonly kind: "nothing" };

export type CheckpointMode = "PASSIVE" | "FULL" | "RESTART" | "TRUNCATE";

/** Who is simulated: users of the engine, or of the store above it. */
export type Layer = "engine" | "store";

/** What is on the disk at first: nothing, an empty ledger, or one with a log that nearly fills a wal-index region. */
export type Image = "nothing" | "ledger" | "long log";

export interface Plan {
  readonly seed: number;
  readonly instances: number;
  readonly image: Image;
  readonly synchronous: "normal" | "full";
  readonly cacheSize: number;
  readonly rates: Rates;
  readonly programs: readonly (readonly Action[])[];
  /** How many bytes a store may take on the disk, if there is a limit. */
  readonly maxBytes?: number | undefined;
}

/** Rows of the table `page`. */
export const PAGES = 24;

/** Draws a seed's plan. */
export function planOf(seed: number): Plan {
  const random = randomOf(Math.imul(seed + 1, 0x85ebca6b));
  const pick = <T>(...from: readonly T[]): T => from[random(from.length)]!;
  const once = (times: number): boolean => random(times) === 0;
  const instances = pick(2, 2, 3, 3, INSTANCES);
  const powerFails = once(4);
  const fails = once(4);
  const dies = once(2);
  const image = once(40) ? "long log" : once(8) ? "nothing" : "ledger";
  const rates: Rates = {
    switch: pick(0.01, 0.03, 0.1, 0.25),
    split: pick(0, 0.01, 0.05),
    die: dies ? pick(0.001, 0.004, 0.01, 0.02) : 0,
    fail: fails ? pick(0.002, 0.01) : 0,
    burst: pick(1, 1, 4, 40),
    powerFailure: powerFails ? pick(0.0005, 0.002) : 0,
    writeBack: powerFails ? 0.02 : 0,
    mostDeaths: pick(2, 4, 10),
    mostFailures: pick(1, 3, 10),
  };
  const most = pick(3, 6, 10, 16);
  /** Some seeds are about the log's end and its new beginning. */
  const checkpoints = pick(1, 1, 3);
  const modes: readonly CheckpointMode[] = once(2)
    ? ["RESTART", "TRUNCATE", "TRUNCATE"]
    : ["PASSIVE", "PASSIVE", "FULL", "RESTART", "TRUNCATE"];
  const program = (): Action[] => {
    const writes = pick(1, 3, 6);
    return Array.from({ length: 1 + random(most) }, (): Action => {
      const choice = random(3 + checkpoints + writes);
      if (choice < writes) {
        const count = once(4) ? random(PAGES) : random(3);
        const pages = Array.from({ length: count }, () => random(PAGES));
        return { kind: "write", pages, begin: once(6) ? "DEFERRED" : "IMMEDIATE", undo: once(8) };
      }
      if (choice < writes + 2) return { kind: "read", full: once(2), again: once(2) };
      if (choice < writes + 2 + checkpoints) return { kind: "checkpoint", mode: pick(...modes) };
      return dies && once(3) ? { kind: "die" } : { kind: "reopen" };
    });
  };
  return {
    seed,
    instances,
    image,
    synchronous: pick("normal", "full"),
    cacheSize: pick(5, 10, 200),
    rates,
    programs: Array.from({ length: instances }, program),
  };
}
