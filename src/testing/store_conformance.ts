/**
 * What every store has to do: the contract of `Store` as tests over any implementation of it, ours and others'. A
 * store's own tests call {@link storeConformance} and add what is its own.
 *
 * @module
 */

import { same, truth } from "./assertions.ts";
import { refuseUnknownFacets } from "./facets.ts";
import type { TestRunner } from "./runner.ts";
import { testClaims } from "./store/claims.ts";
import { testClose } from "./store/closing.ts";
import { testDamage } from "./store/damage.ts";
import { testExpiry } from "./store/expiry.ts";
import { testFailures } from "./store/failures.ts";
import { testFaults } from "./store/faults.ts";
import { testGrace } from "./store/grace.ts";
import { testLedger } from "./store/ledger.ts";
import { testList } from "./store/listing.ts";
import { testLookup } from "./store/lookup.ts";
import { testNearest } from "./store/nearest.ts";
import { testPut } from "./store/placement.ts";
import { testRacing } from "./store/racing.ts";
import { testRemove } from "./store/removal.ts";
import { testReopening } from "./store/reopening.ts";
import { testAnother } from "./store/sharing.ts";
import { testSize } from "./store/size.ts";
import { testStamps } from "./store/stamps.ts";
import { Shelf, type StoreSuite } from "./store/suite.ts";
import type { StoreFacet, StoreUnderTest } from "./store/under_test.ts";

const FACETS: Readonly<Record<StoreFacet, (suite: StoreSuite) => void>> = {
  claims: testClaims,
  failures: testFailures,
  ledger: testLedger,
  stamp: testStamps,
  onFault: testFaults,
  another: testAnother,
  reopen: testReopening,
  damage: testDamage,
};

/** The facets that a test brings, and no store has. */
const HOOKS: Readonly<Partial<Record<StoreFacet, true>>> = { another: true, reopen: true, damage: true };

/**
 * Registers the contract's tests. `open` makes a new, empty store for each of them.
 *
 * `facets` says which of the optional parts the store means to have. They are tested; a part that is missing, or that
 * is there and was not named, is a failure: nothing passes because it was not looked at.
 *
 * @throws TypeError for a facet that does not exist.
 */
export function storeConformance(
  runner: TestRunner,
  name: string,
  open: () => Promise<StoreUnderTest>,
  facets: readonly StoreFacet[] = [],
): void {
  refuseUnknownFacets("test a store", facets, names());
  const suite: StoreSuite = {
    facets,
    describe: (part, tests) => void runner.describe(part, tests),
    check: (behaviour, run) =>
      void runner.it(behaviour, async () => {
        const shelf = new Shelf(await open());
        try {
          await run(shelf);
        } finally {
          await shelf.putAway();
        }
      }),
  };

  suite.describe(`${name}: the store contract`, () => {
    suite.check("says who it is and where", ({ store }) => {
      truth(/^[a-z][a-z0-9_-]*$/.test(store.name), `its name is a word in lower case (${store.name})`);
      same(typeof store.location, "string", "the type of its location");
    });

    suite.check("has the optional parts it is said to have, and no others", ({ store, underTest }) => {
      const has = (facet: StoreFacet): boolean => Reflect.get(facet in HOOKS ? underTest : store, facet) !== undefined;
      const isSaid = (facet: StoreFacet): boolean => facets.includes(facet);
      same(names().filter(has), names().filter(isSaid), "the facets, as the suite was told");
    });

    for (const part of [testLookup, testGrace, testPut, testRacing, testExpiry, testRemove]) part(suite);
    for (const part of [testNearest, testList, testSize, testClose]) part(suite);
    for (const facet of names()) if (facets.includes(facet)) FACETS[facet](suite);
  });
}

function names(): StoreFacet[] {
  return Object.keys(FACETS) as StoreFacet[];
}
