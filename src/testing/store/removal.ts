/**
 * `remove`: what fits everything that is said goes, and nothing else.
 *
 * @module
 */

import type { Selection } from "../../store/store.ts";
import { same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testRemove({ describe, check }: StoreSuite): void {
  describe("remove", () => {
    check("finds nothing in an empty store", async ({ store }) => {
      same({ ...await store.remove({}) }, { entries: 0, storedBytes: 0 });
    });

    check("of everything leaves nothing behind, and says how much went", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")]);
      await shelf.put(keyOf(2), [shelf.entry("c")], "append", "another");
      const { storedBytes } = await shelf.store.size();
      same({ ...await shelf.store.remove({}) }, { entries: 3, storedBytes });
      const { entries, bodyBytes } = await shelf.store.size();
      same({ entries, bodyBytes }, { entries: 0, bodyBytes: 0 });
      same(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: false, corrupt: false });
      same([...await shelf.store.nearest(new Uint8Array(16), 9)], []);
    });

    check("by model", async (shelf) => {
      for (const model of ["m", "M", "m2"]) await shelf.put(keyOf(1), [shelf.entry(model)], "append", model);
      same((await shelf.store.remove({ model: "m" })).entries, 1);
      same((await shelf.store.remove({ model: "nobody's" })).entries, 0);
      same((await shelf.look(keyOf(1), 1, "m")).bodies, []);
      for (const model of ["M", "m2"]) same((await shelf.look(keyOf(1), 1, model)).bodies, [model]);
    });

    check("by key, over all models", async (shelf) => {
      for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry("a"), shelf.entry("b")]);
      await shelf.put(keyOf(1), [shelf.entry("c")], "append", "another");
      same((await shelf.store.remove({ keys: [keyOf(1), keyOf(3), keyOf(9)] })).entries, 5);
      same(await shelf.kept(1, 2, 3), [2]);
      same((await shelf.look(keyOf(1), 1, "another")).bodies, []);
    });

    check("by no key removes nothing", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      same((await shelf.store.remove({ keys: [] })).entries, 0);
      same(await shelf.kept(1), [1]);
    });

    check("by namespace, and by no other that begins or looks like it", async (shelf) => {
      const namespaces = ["a", "ab", "A", "", "a ", "a%", "_", "a\0b", "á"];
      for (const [number, namespace] of namespaces.entries()) {
        await shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { namespace });
      }
      for (const [number, namespace] of namespaces.entries()) {
        same((await shelf.store.remove({ namespace })).entries, 1, JSON.stringify(namespace));
        same((await shelf.look(keyOf(number))).bodies, []);
      }
      same((await shelf.store.size()).entries, 0);
    });

    check("by tag: all that a request was ever given count, and only whole ones", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, {}, { tags: ["run", "day 1"] });
      await shelf.put(keyOf(1), [shelf.entry("y")], "append", MODEL, {}, { tags: ["day 2", "run"] });
      await shelf.put(keyOf(2), [shelf.entry("x")], "append", MODEL, {}, { tags: ["runs", "run ", "Run"] });
      await shelf.put(keyOf(3), [shelf.entry("x")]);
      await shelf.put(keyOf(4), [shelf.entry("x")], "append", MODEL, {}, { tags: ["night", "run 4"] });
      same((await shelf.store.remove({ tag: "day" })).entries, 0);
      same((await shelf.store.remove({ tag: "day 1" })).entries, 2);
      same((await shelf.store.remove({ tag: "run" })).entries, 0);
      same((await shelf.store.remove({ tag: "night" })).entries, 1);
      same(await shelf.kept(1, 2, 3, 4), [2, 3]);
    });

    check("by tag forgets the tags of what went: who puts it again starts anew", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, {}, { tags: ["run"] });
      await shelf.store.remove({ keys: [keyOf(1)] });
      await shelf.put(keyOf(1), [shelf.entry("y")]);
      same((await shelf.store.remove({ tag: "run" })).entries, 0);
      same((await shelf.look(keyOf(1))).bodies, ["y"]);
    });

    check("by outcome removes single samples, and loses no other", async (shelf) => {
      const short = { ...shelf.entry("a"), outcome: "length" as const };
      await shelf.put(keyOf(1), [shelf.entry("b"), short]);
      await shelf.put(keyOf(2), [short, shelf.entry("c")]);
      same((await shelf.store.remove({ outcome: "length" })).entries, 2);
      same((await shelf.look(keyOf(1), 9)).bodies, ["b"]);
      same((await shelf.look(keyOf(2), 1)).bodies, ["c"], "what was behind it is found");
      await shelf.put(keyOf(2), [shelf.entry("d")], "append");
      same((await shelf.look(keyOf(2), 9)).bodies, ["c", "d"]);
    });

    check("by age: what was created before, not at, that moment", async (shelf) => {
      for (const number of [1, 2, 3]) {
        await shelf.put(keyOf(number), [shelf.entry("x")]);
        shelf.clock.advance(1000);
      }
      const createdBefore = shelf.clock.now() - 2000;
      same((await shelf.store.remove({ createdBefore })).entries, 1);
      same(await shelf.kept(1, 2, 3), [2, 3]);
    });

    check("removes what fits everything that is said", async (shelf) => {
      const selections: Selection[] = [
        { model: MODEL },
        { keys: [keyOf(1)] },
        { namespace: "a" },
        { tag: "t" },
        { outcome: "stop" },
        { createdBefore: shelf.clock.now() + 1 },
      ];
      await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, { namespace: "a" }, { tags: ["t"] });
      const wrong: Selection[] = [
        { model: "another" },
        { keys: [keyOf(2)] },
        { namespace: "b" },
        { tag: "u" },
        { outcome: "length" },
        { createdBefore: shelf.clock.now() },
      ];
      const all: Selection = Object.assign({}, ...selections);
      for (const each of wrong) {
        same((await shelf.store.remove({ ...all, ...each })).entries, 0, JSON.stringify(each));
      }
      same((await shelf.store.remove(all)).entries, 1);
    });

    check("removes what has expired, too", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("x", 1000)], "append", MODEL, { namespace: "a" });
      shelf.clock.advance(1000);
      same((await shelf.store.remove({ namespace: "a" })).entries, 1);
      same((await shelf.look(keyOf(1))).expired, false);
    });

    check("of thousands takes all of them", async (shelf) => {
      const numbers = Array.from({ length: 3000 }, (_, number) => number);
      await Promise.all(
        numbers.map((number) =>
          shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { namespace: number % 3 === 0 ? "a" : "b" })
        ),
      );
      same((await shelf.store.remove({ namespace: "a" })).entries, 1000);
      same((await shelf.store.size()).entries, 2000);
      same((await shelf.store.remove({})).entries, 2000);
    });
  });
}
