/**
 * Samples: as many answers as are asked for, each of them bought once, none of them given twice.
 *
 * @module
 */

import { isRangeError, present, rejects, same } from "../assertions.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import type { CacheSuite } from "./suite.ts";

/** Registers the tests. */
export function testSamples({ describe, check }: CacheSuite): void {
  describe("samples", () => {
    check("are bought once, and found again in their order", async ({ cache, provider }) => {
      const bought = await cache.wrapSamples(ask("cats"), 3, provider.samples);
      same(bought.map((answer) => saidBy(answer)[0]), ["text 1", "text 2", "text 3"]);
      same(await cache.wrapSamples(ask("cats"), 3, never), bought);
      same(await cache.wrapSamples(ask("cats"), 2, never), bought.slice(0, 2));
    });

    check("are topped up by the gap only", async ({ cache, provider }) => {
      await cache.wrapSamples(ask("cats"), 2, provider.samples);
      const five = await cache.wrapSamples(ask("cats"), 5, provider.samples);
      same(five.flatMap(saidBy), ["text 1", "text 2", "text 3", "text 4", "text 5"]);
      same(provider.calls.map(({ n }) => n), [2, 3]);
    });

    check("are topped up where the body asks for them, too", async ({ cache, provider }) => {
      await cache.wrap(ask("cats", { n: 2 }), provider.answer);
      const five = await cache.wrap(ask("cats", { n: 5 }), provider.answer);
      same(saidBy(five), ["text 1", "text 2", "text 3", "text 4", "text 5"]);
      same(provider.calls.map(({ n }) => n), [2, 3]);
      same(saidBy(await cache.wrap(ask("cats"), never)), ["text 1"]);
    });

    check("are a hit only when all are there", async ({ cache }) => {
      await cache.put(ask("cats", { n: 2 }), answerOf(["a", "b"]));
      same(await cache.get(ask("cats", { n: 3 })), undefined);
      same(saidBy(present(await cache.get(ask("cats", { n: 2 })), "both").json()), ["a", "b"]);
    });

    check("by writers at the same time are all kept, in one order", async ({ cache, provider }) => {
      const writers = Array.from({ length: 8 });
      await Promise.all(writers.map(() => cache.wrap(ask("cats"), provider.answer, { mode: "write-only" })));
      const read = async (): Promise<unknown[]> => saidBy((await cache.get(ask("cats", { n: 8 })))?.json());
      const texts = await read();
      same(texts.toSorted(), writers.map((_, writer) => `text ${writer + 1}`));
      same(await read(), texts);
      same(await cache.get(ask("cats", { n: 9 })), undefined);
    });

    check("wanted by many at the same time are bought once", async ({ cache, provider }) => {
      const wanted = [3, 1, 5, 5, 2, 4];
      const got = await Promise.all(wanted.map((n) => cache.wrapSamples(ask("cats"), n, provider.samples)));
      const all = got.find(({ length }) => length === 5)!.flatMap(saidBy);
      same(got.map((answers) => answers.flatMap(saidBy)), wanted.map((n) => all.slice(0, n)));
      same(provider.calls.reduce((sum, { n }) => sum + Number(n), 0), 5, "how many were bought");
    });

    check("of a seed, which the provider would repeat, are asked for all anew", async ({ cache, provider }) => {
      const body = ask("cats", { seed: 7 });
      await cache.wrap({ ...body, n: 2 }, provider.answer);
      same(saidBy(await cache.wrap({ ...body, n: 3 }, provider.answer)), ["text 3", "text 4", "text 5"]);
      same(provider.calls.map(({ n }) => n), [2, 3]);
    });

    check("that are errors are none, and others are asked for", async ({ cache, provider }) => {
      let isFirst = true;
      const answers = await cache.wrapSamples(ask("cats"), 3, (count) => {
        const samples = provider.texts(count).map((text) => answerOf([text]));
        if (isFirst) samples[0] = { error: { message: "overloaded" } };
        isFirst = false;
        return Promise.resolve(samples);
      });
      same(answers.flatMap(saidBy).toSorted(), ["text 2", "text 3", "text 4"]);
    });

    check("cannot be none, or half of one", async ({ cache }) => {
      for (const n of [0, -1, 1.5, NaN]) await rejects(() => cache.wrapSamples(ask("cats"), n, never), isRangeError);
    });
  });
}
