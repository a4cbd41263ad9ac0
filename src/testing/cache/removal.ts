/**
 * Removal: what is said to go goes, and nothing else.
 *
 * @module
 */

import { isTypeError, rejects, same } from "../assertions.ts";
import { answerOf, ask } from "./provider.ts";
import type { CacheSuite, Desk } from "./suite.ts";

const NAMESPACES = ["", "a", "ab", "A", "a ", "a%", "á"];

/** Registers the tests. */
export function testRemoval({ describe, check }: CacheSuite): void {
  describe("removal", () => {
    check("of a namespace leaves those that look like it", async ({ cache }) => {
      for (const namespace of NAMESPACES) await cache.put(ask("cats"), answerOf(["x"]), { namespace });
      for (const [index, namespace] of NAMESPACES.entries()) {
        same((await cache.clear(namespace)).entries, 1, JSON.stringify(namespace));
        const left: string[] = [];
        for (const each of NAMESPACES) if (await cache.get(ask("cats"), { namespace: each })) left.push(each);
        same(left, NAMESPACES.slice(index + 1));
      }
    });

    check("of a request takes all its samples, and no other request", async (desk) => {
      await desk.cache.put(ask("cats", { n: 2 }), answerOf(["a", "b"]));
      await putTopics(desk, "dogs");
      same((await desk.cache.delete(ask("cats"))).entries, 2);
      same(await kept(desk, "cats", "dogs"), ["dogs"]);
      same((await desk.cache.delete(ask("cats"))).entries, 0);
    });

    check("of a tag takes what has it, in its namespace", async (desk) => {
      const { cache } = desk;
      await cache.put(ask("cats"), answerOf(["x"]), { tags: ["run 1", "run"] });
      await cache.put(ask("dogs"), answerOf(["x"]), { tags: ["run 2"] });
      await cache.put(ask("ants"), answerOf(["x"]), { tags: ["run"], namespace: "a" });
      await putTopics(desk, "bees");
      same((await cache.invalidateTag("run")).entries, 1);
      same(await kept(desk, "cats", "dogs", "bees"), ["dogs", "bees"]);
      same((await cache.invalidateTag("run", "a")).entries, 1);
    });

    check("of all that fits everything that is said", async (desk) => {
      const { cache } = desk;
      await cache.put(ask("cats", { model: "m" }), answerOf(["x"]), { tags: ["t"], namespace: "a" });
      await cache.put(ask("cats", { model: "n" }), answerOf(["x"]), { tags: ["t"], namespace: "a" });
      await putTopics(desk, "dogs");
      same((await cache.prune({ model: "m", tag: "t", namespace: "b" })).entries, 0);
      same((await cache.prune({ model: "m", tag: "t", namespace: "a", outcome: "stop" })).entries, 1);
      same((await cache.prune({})).entries, 2);
      same(await kept(desk, "dogs"), []);
    });

    check("that means nothing is refused before it means everything", async (desk) => {
      const { cache } = desk;
      await putTopics(desk, "cats");
      await rejects(() => cache.prune({ namespace: undefined } as never), isTypeError);
      await rejects(() => cache.prune({ modle: "m" } as never), isTypeError);
      await rejects(() => cache.clear(7 as never), isTypeError);
      await rejects(() => cache.invalidateTag(""), isTypeError);
      same(await kept(desk, "cats"), ["cats"]);
    });

    check("leaves room for the next answer", async (desk) => {
      await putTopics(desk, "cats");
      await desk.cache.prune();
      await desk.cache.wrap(ask("cats"), desk.provider.answer);
      same(await kept(desk, "cats"), ["cats"]);
    });
  });
}

async function putTopics({ cache }: Desk, ...topics: string[]): Promise<void> {
  for (const topic of topics) await cache.put(ask(topic), answerOf([topic]));
}

async function kept({ cache }: Desk, ...topics: string[]): Promise<string[]> {
  const found = await cache.getMany(topics.map((topic) => ask(topic)));
  return topics.filter((_, index) => found[index] !== undefined);
}
