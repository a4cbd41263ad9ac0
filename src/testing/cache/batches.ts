/**
 * Many requests at once: every answer stays with its question, whatever was there and in whatever order it came.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import type { CacheStatus } from "../../cache/call_options.ts";
import { isTypeError, rejects, same } from "../assertions.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import { type CacheSuite, turn } from "./suite.ts";

const TOPICS = ["ants", "bees", "cats", "dogs"];
const MASKS = Array.from({ length: 2 ** TOPICS.length }, (_, mask) => mask);

/** Registers the tests. */
export function testBatches({ describe, check }: CacheSuite): void {
  describe("a batch", () => {
    check("keeps every answer with its question, for all patterns of hits and misses", async ({ cache }) => {
      for (const mask of MASKS) {
        const bodyOf = (index: number): JsonObject => ask(TOPICS[index]!, { of_pattern: mask });
        const [there, missing] = [1, 0].map((bit) =>
          TOPICS.flatMap((_, index) => (mask >> index & 1) === bit ? [index] : [])
        );
        for (const index of there!) await cache.put(bodyOf(index), answerOf([`stored ${TOPICS[index]}`]));
        const order = [2, 0, 1, 0, 3, 2, 2];
        const expected = order.map((index) => `${there!.includes(index) ? "stored" : "bought"} ${TOPICS[index]}`);
        const found = await cache.getMany(order.map(bodyOf));
        same(
          found.map((entry) => entry && saidBy(entry.json())[0]),
          expected.map((text) => text.startsWith("stored") ? text : undefined),
          `getMany of pattern ${mask}`,
        );
        const asked: unknown[] = [];
        const answers = await cache.wrapMany(order.map(bodyOf), (bodies) => {
          asked.push(...bodies.map(topicOf));
          // The last to be asked is the first to answer.
          const turns = bodies.map(async (body, index) => {
            for (let wait = index; wait < bodies.length; wait++) await turn();
            return answerOf([`bought ${topicOf(body)}`]);
          });
          return Promise.resolve(turns);
        });
        same(answers.map((answer) => saidBy(answer)[0]), expected, `wrapMany of pattern ${mask}`);
        const once = [2, 0, 1, 3].filter((index) => missing!.includes(index));
        same(asked, once.map((index) => TOPICS[index]), `what was asked for, of pattern ${mask}`);
        const again = await cache.wrapMany(order.map(bodyOf), never);
        same(again.map((answer) => saidBy(answer)[0]), expected, `the second time, of pattern ${mask}`);
      }
    });

    check("over several models keeps them apart", async ({ cache, provider }) => {
      const bodies = Array.from({ length: 30 }, (_, index) => ask(TOPICS[index % 2]!, { model: `m${index % 5}` }));
      const answers = await cache.wrapMany(bodies, (missing) => Promise.all(missing.map(provider.answer)));
      same(provider.calls.length, 10);
      const again = await cache.getMany(bodies);
      same(again.map((entry) => saidBy(entry?.json())[0]), answers.map((answer) => saidBy(answer)[0]));
    });

    check("of hundreds asks for the missing ones by one call", async ({ cache }) => {
      const bodies = Array.from({ length: 300 }, (_, index) => ask(`topic ${index}`));
      const buy = (missing: readonly object[]) =>
        Promise.resolve(missing.map((body) => answerOf([`${topicOf(body)}`])));
      const calls: number[] = [];
      const counted = (missing: readonly object[]) => {
        calls.push(missing.length);
        return buy(missing);
      };
      await cache.wrapMany(bodies.slice(100, 200), counted);
      const answers = await cache.wrapMany(bodies, counted);
      same(answers.map((answer) => saidBy(answer)[0]), bodies.map(topicOf));
      same(calls, [100, 200]);
    });

    check("of nothing is nothing", async ({ cache }) => {
      same(await cache.wrapMany([], never), []);
      same(await cache.getMany([]), []);
    });

    check("fails as its first failure does, once all others are stored", async ({ cache }) => {
      const [first, second] = [new Error("429"), new Error("503")];
      const bodies = TOPICS.map((topic) => ask(topic));
      const produce = () =>
        Promise.resolve([answerOf(["ants"]), Promise.reject(first), Promise.reject(second), answerOf(["dogs"])]);
      await rejects(() => cache.wrapMany(bodies, produce), (error) => error === first);
      const found = await cache.getMany(bodies);
      same(found.map((entry) => entry && saidBy(entry.json())[0]), ["ants", undefined, undefined, "dogs"]);
    });

    check("answered with too few or too many is not guessed about", async ({ cache }) => {
      const bodies = [ask("ants"), ask("bees")];
      for (const texts of [[], ["one"], ["one", "two", "three"]]) {
        const produce = () => Promise.resolve(texts.map((text) => answerOf([text])));
        await rejects(() => cache.wrapMany(bodies, produce), isTypeError);
        same(await cache.getMany(bodies), [undefined, undefined]);
      }
    });

    check("says of each how it fared", async ({ cache, provider }) => {
      await cache.put(ask("ants"), answerOf(["stored"]));
      const statuses: CacheStatus[] = [];
      const bodies = ["ants", "bees", "bees"].map((topic) => ask(topic));
      await cache.wrapMany(bodies, (missing) => Promise.all(missing.map(provider.answer)), { statuses });
      same(statuses.map(({ outcome, shared }) => ({ outcome, shared })), [
        { outcome: "hit", shared: false },
        { outcome: "miss", shared: false },
        { outcome: "miss", shared: true },
      ]);
    });
  });
}

function topicOf(body: object): unknown {
  return (body as { messages: { content: unknown }[] }).messages[0]!.content;
}
