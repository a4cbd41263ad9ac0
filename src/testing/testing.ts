/**
 * Conformance suites: what every store, and every cache over a store, has to do, as tests for the runner of your choice;
 * and a model that is none, for tests of what asks models.
 *
 * ```ts ignore
 * import { describe, it } from "node:test";
 * import { ManualClock, storeConformance } from "@warmcache/warmcache/testing";
 * import { openMyStore } from "./my_store.ts";
 *
 * storeConformance({ describe, it }, "mine", async () => {
 *   const clock = new ManualClock();
 *   return { store: await openMyStore({ clock }), clock, cleanup: () => {} };
 * });
 * ```
 *
 * @module
 */

export { cacheConformance } from "./cache_conformance.ts";
export type { CacheFacet, CacheSurface, CacheUnderTest } from "./cache/under_test.ts";
export { storeConformance } from "./store_conformance.ts";
export type { StoreFacet, StoreUnderTest } from "./store/under_test.ts";
export { ManualClock } from "./manual_clock.ts";
export type { TestRunner } from "./runner.ts";
export type { DummyAnswers } from "./dummy/dummy_answers.ts";
export { dummyAdapter, dummyBackend, dummyBase, type DummyOptions } from "./dummy/dummy_backend.ts";
export type * from "../model/backend.ts";
