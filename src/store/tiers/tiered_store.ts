/**
 * `openTieredStore`: several stores as one, with memory in front of them if that is wanted.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { Store } from "../store.ts";
import { FrontedStore, type FrontOptions } from "./fronted_store.ts";
import { LayeredStore } from "./layered_store.ts";
import { Tier } from "./tier.ts";

export type { FrontOptions } from "./fronted_store.ts";

/** A store among others. */
export interface TierSettings {
  /** The store. It is closed with the others. */
  readonly store: Store;
  /**
   * How long a call may wait for it; what goes over all that is stored, thirty times as long. Default: 1 second for the
   * last of several, as long as it takes for those before it, which are on this machine.
   */
  readonly deadline?: Milliseconds;
}

/** Which stores, in which order. */
export interface TieredStoreOptions {
  readonly clock: Clock;
  /** One or more: near and quick first, shared most widely last. */
  readonly tiers: readonly TierSettings[];
  /** Memory in front of them; none by default. */
  readonly front?: FrontOptions;
}

const DEADLINE_OF_LAST: Milliseconds = 1000;

/**
 * Makes one store of several.
 *
 * @throws TypeError when there is no store, or a misspelled option; RangeError when a limit is wrong.
 */
export function openTieredStore(options: TieredStoreOptions): Store {
  refuseUnknownOptions("open a tiered store", options, ["clock", "tiers", "front"]);
  const { clock, tiers, front } = options;
  if (tiers.length === 0) throw new TypeError("Cannot open a tiered store without a tier: give one store, or more");
  for (const tier of tiers) refuseOddTier(tier);
  if (front !== undefined) refuseOddFront(front);
  const store = layered(tiers, clock);
  return front === undefined ? store : new FrontedStore(store, clock, front);
}

function layered(tiers: readonly TierSettings[], clock: Clock): Store {
  const [only] = tiers;
  // There is nothing to pass it over for.
  if (tiers.length === 1 && only!.deadline === undefined) return only!.store;
  const last = tiers.length - 1;
  return new LayeredStore(
    tiers.map(({ store, deadline }, level) => {
      return new Tier(store, clock, deadline ?? (level === last ? DEADLINE_OF_LAST : Infinity));
    }),
    clock,
  );
}

function refuseOddTier(tier: TierSettings): void {
  refuseUnknownOptions("open a tier", tier, ["store", "deadline"]);
  if (!((tier.deadline ?? 1) > 0)) {
    throw new RangeError(`Cannot open a tier: deadline must be more than 0: ${tier.deadline}`);
  }
}

function refuseOddFront(front: FrontOptions): void {
  refuseUnknownOptions("put memory in front of a store", front, ["maxBytes", "freshFor"]);
  const { maxBytes, freshFor = 0 } = front;
  if (!(Number.isSafeInteger(maxBytes) && maxBytes >= 1)) {
    throw new RangeError(`Cannot put memory in front of a store: maxBytes must be a positive integer: ${maxBytes}`);
  }
  if (!(freshFor >= 0)) {
    throw new RangeError(`Cannot put memory in front of a store: freshFor must be 0 or more: ${freshFor}`);
  }
}
