/**
 * What every response cache has to do, whatever it keeps its answers in: seen from outside, as callers see it. Each of
 * these tests is a fault that some other cache has had.
 *
 * @module
 */

import { same, truth } from "./assertions.ts";
import { testBatches } from "./cache/batches.ts";
import { testBytes } from "./cache/bytes.ts";
import { testClosing } from "./cache/closing.ts";
import { testCuts } from "./cache/cuts.ts";
import { testExpiry } from "./cache/expiry.ts";
import { testFlights } from "./cache/flights.ts";
import { testItems } from "./cache/items.ts";
import { testKeys } from "./cache/keys.ts";
import { testModes } from "./cache/modes.ts";
import { testOutcomes } from "./cache/outcomes.ts";
import { testRemoval } from "./cache/removal.ts";
import { testReports } from "./cache/reports.ts";
import { testSamples } from "./cache/samples.ts";
import { testSharing } from "./cache/sharing.ts";
import { testStreams } from "./cache/streams.ts";
import { type CacheSuite, Desk } from "./cache/suite.ts";
import type { CacheFacet, CacheUnderTest } from "./cache/under_test.ts";
import { refuseUnknownFacets } from "./facets.ts";
import type { TestRunner } from "./runner.ts";

/** What a test of a cache may bring besides the cache. */
const HOOKS = ["clock", "another", "reopen"] as const;

/**
 * Registers the tests. `open` makes a new, empty cache for each of them.
 *
 * `facets` says what else it makes; that is used, and a part that is missing, or that is there and was not named, is a
 * failure: nothing passes because it was not looked at.
 *
 * @throws TypeError for a facet that does not exist.
 */
export function cacheConformance(
  runner: TestRunner,
  name: string,
  open: () => Promise<CacheUnderTest>,
  facets: readonly CacheFacet[] = [],
): void {
  refuseUnknownFacets("test a cache", facets, [...HOOKS, "claims"]);
  const suite: CacheSuite = {
    facets,
    describe: (part, tests) => void runner.describe(part, tests),
    check: (behaviour, run) =>
      void runner.it(behaviour, async () => {
        const desk = new Desk(await open());
        try {
          await run(desk);
        } finally {
          await desk.putAway();
        }
      }),
  };

  suite.describe(`${name}: a response cache`, () => {
    suite.check("has the optional parts it is said to have, and no others", ({ underTest }) => {
      const has = HOOKS.filter((hook) => underTest[hook] !== undefined);
      same(has, HOOKS.filter((hook) => facets.includes(hook)), "the facets, as the suite was told");
      truth(!facets.includes("claims") || facets.includes("another"), "claims can be tested with another cache only");
    });

    for (const part of [testKeys, testBytes, testSamples, testBatches, testOutcomes, testStreams]) part(suite);
    for (const part of [testItems, testCuts, testFlights, testReports, testModes, testRemoval, testClosing]) {
      part(suite);
    }
    if (facets.includes("clock")) testExpiry(suite);
    if (facets.includes("another")) testSharing(suite);
  });
}
