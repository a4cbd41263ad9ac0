/**
 * Two caches on one store, as two processes have them.
 *
 * @module
 */

import { present, same } from "../assertions.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import { type CacheSuite, turn } from "./suite.ts";

/** Registers the tests. */
export function testSharing({ describe, check, facets }: CacheSuite): void {
  describe("with another cache on the same store", () => {
    check("finds what the other one bought", async (desk) => {
      const other = await desk.another();
      same(await desk.cache.get(ask("cats")), undefined);
      const bought = await other.wrap(ask("cats"), desk.provider.answer);
      same(await desk.cache.wrap(ask("cats"), never), bought);
    });

    check("does not find what the other one removed, though it was found before", async (desk) => {
      const other = await desk.another();
      await desk.cache.put(ask("cats"), answerOf(["x"]));
      for (const cache of [desk.cache, other]) present(await cache.get(ask("cats")), "the answer");
      await other.clear("");
      same(await desk.cache.get(ask("cats")), undefined);
    });

    check("finds what the other one put in an answer's place", async (desk) => {
      const other = await desk.another();
      await desk.cache.put(ask("cats"), answerOf(["old"]));
      for (const cache of [desk.cache, other]) present(await cache.get(ask("cats")), "the answer");
      await other.put(ask("cats"), answerOf(["new"]));
      same(saidBy(await desk.cache.wrap(ask("cats"), never)), ["new"]);
    });

    check("loses no sample that either of both stores", async (desk) => {
      const both = [desk.cache, await desk.another()];
      const options = { mode: "write-only" } as const;
      await Promise.all(
        Array.from({ length: 10 }, (_, writer) => both[writer % 2]!.wrap(ask("cats"), desk.provider.answer, options)),
      );
      const [mine, his] = await Promise.all(both.map((cache) => cache.wrap(ask("cats", { n: 10 }), never)));
      same(saidBy(mine).toSorted(), Array.from({ length: 10 }, (_, writer) => `text ${writer + 1}`).toSorted());
      same(saidBy(his), saidBy(mine));
    });

    check("tops up what the other one bought", async (desk) => {
      const other = await desk.another();
      await other.wrapSamples(ask("cats"), 2, desk.provider.samples);
      const three = await desk.cache.wrapSamples(ask("cats"), 3, desk.provider.samples);
      same(three.flatMap(saidBy), ["text 1", "text 2", "text 3"]);
      same(desk.provider.calls.map(({ n }) => n), [2, 1]);
    });

    if (facets.includes("claims")) {
      check("makes one call for what both miss at the same time", async (desk) => {
        const both = [desk.cache, await desk.another()];
        const buy = async (body: object): Promise<object> => {
          for (let time = 0; time < 5; time++) await turn();
          return await desk.provider.answer(body);
        };
        const asking = Array.from({ length: 10 }, (_, caller) => both[caller % 2]!.wrap(ask("cats"), buy));
        for (const answer of await desk.passing(Promise.all(asking))) same(saidBy(answer), ["text 1"]);
        same(desk.provider.calls.length, 1);
      });

      check("makes one call for each of many requests, in whatever order they are asked", async (desk) => {
        const other = await desk.another();
        const bodies = Array.from({ length: 20 }, (_, index) => ask(`topic ${index}`));
        const buy = async (missing: readonly object[]): Promise<object[]> => {
          await turn();
          return await Promise.all(missing.map(desk.provider.answer));
        };
        const asking = [desk.cache.wrapMany(bodies, buy), other.wrapMany(bodies.toReversed(), buy)];
        const [mine, his] = await desk.passing(Promise.all(asking));
        same(his!.toReversed().map(saidBy), mine!.map(saidBy));
        same(desk.provider.calls.length, 20);
      });
    }
  });
}
