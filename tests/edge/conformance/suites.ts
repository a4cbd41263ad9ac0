/** What is tested at the edge, and with which optional parts: known on both sides, opened on the inside only. */

import { cacheConformance } from "../../../src/testing/cache_conformance.ts";
import type { CacheFacet, CacheUnderTest } from "../../../src/testing/cache/under_test.ts";
import { storeConformance } from "../../../src/testing/store_conformance.ts";
import type { StoreFacet, StoreUnderTest } from "../../../src/testing/store/under_test.ts";
import { recordTests } from "../../browser/conformance/recorder.ts";

/** The stores that are tested. */
export type StoreName = "a Durable Object's SQL" | "SQLite in memory" | "remote";

/** The caches that are tested, over such stores. */
export type CacheName = "a cache in a Durable Object" | "a cache on SQLite in memory" | "a cache at a server";

const STORES: Readonly<Record<StoreName, readonly StoreFacet[]>> = {
  "a Durable Object's SQL": ["failures", "ledger", "reopen", "damage"],
  "SQLite in memory": ["failures", "ledger", "reopen", "damage"],
  "remote": ["claims", "failures", "ledger", "onFault", "another", "reopen"],
};

const CACHES: Readonly<Record<CacheName, readonly CacheFacet[]>> = {
  "a cache in a Durable Object": ["clock", "reopen"],
  "a cache on SQLite in memory": ["clock"],
  "a cache at a server": ["clock", "another", "reopen", "claims"],
};

/** How each is opened, where it can be. */
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
