/**
 * The end: what is under way is waited for, and what comes later is told.
 *
 * @module
 */

import { rejects, same } from "../assertions.ts";
import { answerOf, ask, never } from "./provider.ts";
import { type CacheSuite, isCacheError, turn } from "./suite.ts";

/** Registers the tests. */
export function testClosing({ describe, check, facets }: CacheSuite): void {
  describe("close", () => {
    check("may be called twice, at the same time too", async ({ cache }) => {
      await Promise.all([cache.close(), cache.close()]);
      await cache.close();
    });

    check("makes everything else fail with `closed`, before anything is bought", async ({ cache }) => {
      await cache.close();
      const calls = [
        () => cache.get(ask("cats")),
        () => cache.getMany([ask("cats")]),
        () => cache.put(ask("cats"), answerOf(["x"])),
        () => cache.wrap(ask("cats"), never),
        () => cache.wrapEntry(ask("cats"), never),
        () => cache.wrapMany([ask("cats")], never),
        () => cache.wrapSamples(ask("cats"), 1, never),
        () => cache.wrapStream(ask("cats", { stream: true }), never),
        () => cache.wrapEvents(ask("cats", { stream: true }), never),
        () => cache.delete(ask("cats")),
        () => cache.clear(),
        () => cache.prune(),
        () => cache.invalidateTag("t"),
        () => cache.explain(ask("cats")),
        () => cache.stats(),
      ];
      for (const call of calls) await rejects(call, isCacheError("closed"), String(call));
    });

    check("waits for the calls under way", async ({ cache, provider }) => {
      const answered = Promise.withResolvers<void>();
      const call = cache.wrap(ask("cats"), async (body) => {
        await answered.promise;
        return await provider.answer(body);
      });
      let isClosed = false;
      const closing = cache.close().then(() => isClosed = true);
      await turn();
      same(isClosed, false, "whether it is closed before the call has ended");
      answered.resolve();
      await call;
      await closing;
    });

    if (facets.includes("reopen")) {
      check("keeps what was bought, also by the calls it waited for", async (desk) => {
        await desk.cache.put(ask("dogs", { n: 2 }), answerOf(["a", "b"]), { tags: ["t"] });
        const call = desk.cache.wrap(ask("cats"), desk.provider.answer);
        const again = await desk.reopened();
        same(await again.wrap(ask("cats"), never), await call);
        same((await again.wrap<object>(ask("dogs", { n: 2 }), never)) !== undefined, true);
        same((await again.invalidateTag("t")).entries, 2);
      });

      check("keeps many", async (desk) => {
        const bodies = Array.from({ length: 200 }, (_, index) => ask(`topic ${index}`, { model: `m${index % 3}` }));
        const buy = (missing: readonly object[]) => Promise.all(missing.map(desk.provider.answer));
        const bought = await desk.cache.wrapMany(bodies, buy);
        const again = await desk.reopened();
        same(await again.wrapMany(bodies, never), bought);
      });
    }
  });
}
