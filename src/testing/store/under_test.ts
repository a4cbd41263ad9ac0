/**
 * What a store's own test hands to the suite.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Key, Store } from "../../store/store.ts";

/** An open store, the clock it tells the time by, and what a test may do to it from outside. */
export interface StoreUnderTest {
  /** New and empty. The suite closes it. */
  readonly store: Store;
  /** The time that the store goes by. */
  readonly clock: { now(): Milliseconds; advance(duration: Milliseconds): void };
  /** Opens what the store holds a second time, while the store is open: as another process would. */
  readonly another?: () => Promise<Store>;
  /** Opens what the store holds once more, after the store was closed. */
  readonly reopen?: () => Promise<Store>;
  /** Breaks what is stored of the answers to a request, behind the store's back: a flipped bit, a missing half. */
  readonly damage?: (model: string, key: Key) => Promise<void>;
  /** Removes what the store left. The suite has closed the store, and all others that it opened. */
  cleanup(): Promise<void> | void;
}

/**
 * What a store, or a {@link StoreUnderTest}, need not have. All but `another`, `reopen` and `damage` are parts of the
 * contract.
 */
export type StoreFacet =
  | "claims"
  | "failures"
  | "ledger"
  | "stamp"
  | "onFault"
  | "another"
  | "reopen"
  | "damage";
