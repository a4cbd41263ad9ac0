/** What is tested in browsers, and with which optional parts: known on both sides, opened on the inside only. */

import { cacheConformance } from "../../../src/testing/cache_conformance.ts";
import type { CacheFacet, CacheUnderTest } from "../../../src/testing/cache/under_test.ts";
import { storeConformance } from "../../../src/testing/store_conformance.ts";
import type { StoreFacet, StoreUnderTest } from "../../../src/testing/store/under_test.ts";
import { recordTests } from "./recorder.ts";

/** The stores that are tested. */
export type StoreName = "memory" | "remote" | "sqlite in a Worker" | "sqlite of all tabs";

/** The caches that are tested, over such stores. */
export type CacheName =
  | "a cache in memory"
  | "a cache at a server"
  | "a cache on sqlite in a Worker"
  | "a cache on sqlite of all tabs";

const STORES: Readonly<Record<StoreName, readonly StoreFacet[]>> = {
  "memory": ["failures"],
  "remote": ["claims", "failures", "ledger", "onFault", "another", "reopen"],
  "sqlite in a Worker": ["claims", "failures", "ledger", "stamp", "reopen"],
  "sqlite of all tabs": ["claims", "failures", "ledger", "onFault", "another", "reopen"],
};

const CACHES: Readonly<Record<CacheName, readonly CacheFacet[]>> = {
  "a cache in memory": ["clock"],
  "a cache at a server": ["clock", "another", "reopen", "claims"],
  "a cache on sqlite in a Worker": ["clock", "reopen"],
  "a cache on sqlite of all tabs": ["clock", "another", "reopen", "claims"],
};

/** How each is opened that can be opened here. */
export type Openers =
  & { readonly [Name in StoreName]?: () => Promise<StoreUnderTest> }
  & { readonly [Name in CacheName]?: () => Promise<CacheUnderTest> };

/** The tests of each, by its name and theirs. */
export type Suites = ReadonlyMap<string, ReadonlyMap<string, () => Promise<void>>>;

/** All tests; those of what `openers` cannot open have names only. */
export function suitesOver(openers: Openers = {}): Suites {
  const suites = new Map<string, ReadonlyMap<string, () => Promise<void>>>();
  const unopened = (): Promise<never> => Promise.reject(new TypeError("Cannot open it here: it is opened elsewhere"));
  for (const [name, facets] of Object.entries(STORES)) {
    const open = openers[name as StoreName] ?? unopened;
    suites.set(name, recordTests((runner) => storeConformance(runner, name, open, facets)));
  }
  for (const [name, facets] of Object.entries(CACHES)) {
    const open = openers[name as CacheName] ?? unopened;
    suites.set(name, recordTests((runner) => cacheConformance(runner, name, open, facets)));
  }
  return suites;
}
