/**
 * Many callers at the same time: one call for all who ask the same, and none for whom it would be wrong.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import { rejects, same } from "../assertions.ts";
import { ask, saidBy } from "./provider.ts";
import { type CacheSuite, turn } from "./suite.ts";

/** Registers the tests. */
export function testFlights({ describe, check }: CacheSuite): void {
  describe("callers at the same time", () => {
    check("make one call, a hundred of them, and all get its answer", async ({ cache, provider }) => {
      const statuses: CacheStatus[] = Array.from({ length: 100 }, () => ({}));
      const answers = await Promise.all(
        statuses.map((status) => cache.wrap(ask("cats"), slowly(provider), { status })),
      );
      for (const answer of answers) same(saidBy(answer), ["text 1"]);
      same(provider.calls.length, 1);
      same(statuses.filter(({ shared }) => shared).length, 99, "how many shared it");
    });

    check("make one call, one by one and in batches", async ({ cache, provider }) => {
      const buy = slowly(provider);
      const single = [1, 2, 3].map(() => cache.wrap(ask("cats"), buy));
      const batches = [1, 2, 3].map(() =>
        cache.wrapMany([ask("cats"), ask("dogs"), ask("cats")], (missing) => Promise.all(missing.map(buy)))
      );
      const answers = await Promise.all(batches);
      await Promise.all(single);
      same(provider.calls.length, 2);
      for (const [cat, , again] of answers) same(saidBy(again), saidBy(cat));
    });

    check("do not wait for who asks something else", async ({ cache, provider }) => {
      const bodies = ["cats", "dogs", "ants"].map((topic) => ask(topic));
      const answers = await Promise.all(bodies.map((body) => cache.wrap(body, slowly(provider))));
      same(answers.flatMap(saidBy).toSorted(), ["text 1", "text 2", "text 3"]);
    });

    check("share the error of the call, which nobody meets who comes later", async ({ cache, provider }) => {
      const error = Object.assign(new Error("503"), { status: 503 });
      let calls = 0;
      const fail = async (): Promise<never> => {
        calls++;
        await turn();
        throw error;
      };
      const settled = await Promise.allSettled([1, 2, 3].map(() => cache.wrap(ask("cats"), fail)));
      same(settled.map(({ status }) => status), ["rejected", "rejected", "rejected"]);
      same(calls, 1);
      same(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    });

    check("who want more samples than are being bought top up", async ({ cache, provider }) => {
      const buy = slowly(provider);
      const answers = await Promise.all([1, 3, 2].map((n) => cache.wrap(ask("cats", { n }), buy)));
      same(answers.map(saidBy), [["text 1"], ["text 1", "text 2", "text 3"], ["text 1", "text 2"]]);
      same(provider.calls.reduce((sum, { n = 1 }) => sum + Number(n), 0), 3, "how many were bought");
    });

    check("are let go by a call that throws at once", async ({ cache }) => {
      const produce = (): never => {
        throw new Error("at once");
      };
      await rejects(() => cache.wrap(ask("cats"), produce), (error) => (error as Error).message === "at once");
    });
  });
}

/** Answers a few turns later. */
function slowly({ answer }: { answer: (body: object) => Promise<object> }): (body: object) => Promise<object> {
  return async (body) => {
    for (let time = 0; time < 3; time++) await turn();
    return await answer(body);
  };
}
