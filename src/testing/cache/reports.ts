/**
 * What a cache says about itself: whoever pays wants to know what was a hit, and what it cost.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import { present, same, truth } from "../assertions.ts";
import { answerOf, ask, never } from "./provider.ts";
import type { CacheSuite } from "./suite.ts";

/** Registers the tests. */
export function testReports({ describe, check, facets }: CacheSuite): void {
  describe("what it says", () => {
    check("of a miss and of a hit, and of what they cost", async ({ cache, provider }) => {
      const [miss, hit]: [CacheStatus, CacheStatus] = [{}, {}];
      await cache.wrap(ask("cats"), provider.answer, { status: miss, costMicrodollars: 1234 });
      await cache.wrap(ask("cats"), never, { status: hit });
      same(plain(miss), { outcome: "miss", stored: true, shared: false, cost: 1234, billed: 1234 });
      same(plain(hit), { outcome: "hit", stored: false, shared: false, cost: 1234, billed: 0 });
    });

    check("of an answer is what was known when it was bought", async ({ cache }) => {
      await cache.put(ask("cats"), answerOf(["hi"]), { costMicrodollars: 99 });
      const entry = present(await cache.get(ask("cats")), "the answer");
      const { outcome, modelAsked, modelAnswered, fingerprint, usage, costMicrodollars, samples, expires } = entry;
      same({ outcome, modelAsked, modelAnswered, fingerprint, usage, costMicrodollars, samples, expires }, {
        outcome: "stop",
        modelAsked: "gpt-4o-mini",
        modelAnswered: "gpt-4o-mini-2024-07-18",
        fingerprint: "fp_1",
        usage: { promptTokens: 10, completionTokens: 5 },
        costMicrodollars: 99,
        samples: 1,
        expires: null,
      });
    });

    if (facets.includes("clock")) {
      check("of an answer is when it was stored, and how long the provider took", async (desk) => {
        const { cache, provider, underTest } = desk;
        await cache.wrap(ask("cats"), (body) => {
          desk.advance(789);
          return provider.answer(body);
        });
        const bought = underTest.clock!.now();
        desk.advance(60_000);
        const { created, latency } = present(await cache.get(ask("cats")), "the answer");
        same({ created, latency }, { created: bought, latency: 789 });
      });
    }

    check("of all calls together adds up", async ({ cache, provider }) => {
      await cache.wrap(ask("cats"), provider.answer, { costMicrodollars: 100 });
      await cache.wrap(ask("cats"), never);
      await cache.get(ask("dogs"));
      await cache.getMany([ask("cats"), ask("ants")]);
      const { lookups, hits, misses, writes, hitRate, saved, spentMicrodollars, store } = await cache.stats();
      same({ lookups, hits, misses, writes, hitRate }, { lookups: 5, hits: 2, misses: 3, writes: 1, hitRate: 0.4 });
      same({ saved: saved.costMicrodollars, spentMicrodollars }, { saved: 200, spentMicrodollars: 100 });
      same([saved.promptTokens, saved.completionTokens], [20, 10]);
      truth(store.entries === null || store.entries === 1, `the store holds one answer (${store.entries})`);
    });

    check("of a miss is what comes nearest, and what differs", async ({ cache }) => {
      await cache.put(ask("cats", { temperature: 0 }), answerOf(["hi"]));
      const { samples, nearest } = await cache.explain(ask("cats", { temperature: 1 }));
      same(samples, 0);
      truth(nearest.length === 1, "the one request that is there comes nearest");
      truth(JSON.stringify(nearest).includes("temperature"), "what differs is named");
      same((await cache.explain(ask("cats", { temperature: 0 }))).samples, 1);
    });
  });
}

function plain({ outcome, stored, shared, costMicrodollars, billedMicrodollars }: CacheStatus): object {
  return { outcome, stored, shared, cost: costMicrodollars, billed: billedMicrodollars };
}
