/**
 * Time: what has expired is not served, on whatever path it came in and is asked for.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import { same } from "../assertions.ts";
import { sourceOf, STREAMED, wordChunks } from "./chunks.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import { type CacheSuite, type Desk, turn } from "./suite.ts";

const KEEP = { ttl: 1000 } as const;

/** Ways to store an answer to {@link STREAMED} for a second. */
const WAYS: Readonly<Record<string, (desk: Desk) => Promise<unknown>>> = {
  put: ({ cache }) => cache.put(STREAMED, answerOf(["x"]), KEEP),
  wrap: ({ cache, provider }) => cache.wrap(whole(), provider.answer, KEEP),
  wrapEntry: ({ cache, provider }) => cache.wrapEntry(whole(), provider.answer, KEEP),
  wrapMany: ({ cache, provider }) =>
    cache.wrapMany([whole()], (missing) => Promise.all(missing.map(provider.answer)), KEEP),
  wrapSamples: ({ cache, provider }) => cache.wrapSamples(whole(), 1, provider.samples, KEEP),
  wrapStream: async ({ cache }) =>
    await Array.fromAsync(await cache.wrapStream(STREAMED, () => Promise.resolve(sourceOf(wordChunks("x"))), KEEP)),
};

/** Registers the tests. */
export function testExpiry({ describe, check }: CacheSuite): void {
  describe("an answer with a time to live", () => {
    for (const [way, store] of Object.entries(WAYS)) {
      check(`that was stored by ${way} is served until its time has come, by whatever way`, async (desk) => {
        const { cache, provider } = desk;
        await store(desk);
        desk.advance(999);
        await cache.wrap(whole(), never);
        await cache.wrapMany([whole()], never);
        desk.advance(1);
        same(await cache.get(whole()), undefined);
        same(await cache.getMany([whole()]), [undefined]);
        const before = provider.calls.length;
        await cache.wrapMany([whole()], (missing) => Promise.all(missing.map(provider.answer)));
        same(provider.calls.length, before + 1);
        desk.advance(1_000_000);
        await cache.wrap(whole(), never);
      });
    }

    check("hides no other sample, and only it is bought anew", async (desk) => {
      const { cache, provider } = desk;
      await cache.wrap(ask("cats"), provider.answer, KEEP);
      await cache.wrap(ask("cats", { n: 2 }), provider.answer);
      desk.advance(1000);
      same(saidBy(await cache.wrap(ask("cats"), never)), ["text 2"]);
      same(saidBy(await cache.wrap(ask("cats", { n: 2 }), provider.answer)), ["text 2", "text 3"]);
    });

    check("is served for a while longer by who says so, and bought anew behind it, once", async (desk) => {
      const { cache, provider } = desk;
      await cache.wrap(ask("cats"), provider.answer, KEEP);
      desk.advance(1400);
      const options = { staleWhileRevalidate: 500 };
      const served = await Promise.all([1, 2, 3].map(() => cache.wrap(ask("cats"), provider.answer, options)));
      for (const answer of served) same(saidBy(answer), ["text 1"]);
      await desk.passing(until(desk, "text 2"));
      same(provider.calls.length, 2);
    });

    check("is served for a while longer when no new one can be had", async (desk) => {
      const { cache, provider } = desk;
      await cache.wrap(ask("cats"), provider.answer, KEEP);
      desk.advance(1400);
      const fail = (): Promise<JsonObject> => Promise.reject(new Error("503"));
      same(saidBy(await cache.wrap(ask("cats"), fail, { staleIfError: 500 })), ["text 1"]);
    });

    check("is too old for who says so, before its time", async (desk) => {
      const { cache, provider } = desk;
      await cache.wrap(ask("cats"), provider.answer);
      desk.advance(1000);
      same(saidBy(await cache.wrap(ask("cats"), never, { maxAge: 1000 })), ["text 1"]);
      desk.advance(1);
      same(await cache.get(ask("cats"), { maxAge: 1000 }), undefined);
      same(saidBy(await cache.wrap(ask("cats"), provider.answer, { maxAge: 1000 })), ["text 2"]);
      same(saidBy(await cache.wrap(ask("cats"), never)), ["text 2"]);
    });

    check("goes by age, where that is said", async (desk) => {
      const { cache } = desk;
      await cache.put(ask("cats"), answerOf(["x"]));
      desk.advance(1000);
      await cache.put(ask("dogs"), answerOf(["x"]));
      same((await cache.prune({ olderThan: 500 })).entries, 1);
      same((await cache.getMany([ask("cats"), ask("dogs")])).map((entry) => entry !== undefined), [false, true]);
    });
  });
}

/** The request of {@link STREAMED}, for a value. */
function whole(): JsonObject {
  return { model: STREAMED.model!, messages: STREAMED.messages! };
}

async function until({ cache }: Desk, text: string): Promise<void> {
  while (saidBy((await cache.get(ask("cats")))?.json() ?? { choices: [] })[0] !== text) await turn();
}
