/**
 * A store that outlives its process: what it acknowledged is there when it is opened again.
 *
 * @module
 */

import { same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { everyByte, keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testReopening({ describe, check, facets }: StoreSuite): void {
  describe("opened again", () => {
    check("finds what was put, whole and in order", async (shelf) => {
      await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: everyByte() }, shelf.entry("b")]);
      await shelf.put(keyOf(1), [shelf.entry("c")], "append", "another");
      const again = await shelf.reopened();
      const [found] = await again.lookup([keyOf(1), 9]);
      same(found!.entries.map((entry) => entry.bytes()), [everyByte(), shelf.entry("b").body]);
      same((await again.look(keyOf(1), 9, "another")).bodies, ["c"]);
      same((await again.store.size()).entries, 3);
    });

    check("has what was asked, and what was said of it", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")], "append", MODEL, { namespace: "ns" }, { tags: ["run"] });
      const again = await shelf.reopened();
      const listed = await Array.fromAsync(again.store.list());
      same(listed.map(({ model, request }) => [model, request.namespace]), [[MODEL, "ns"]]);
      same((await again.store.remove({ tag: "run", namespace: "ns" })).entries, 1);
    });

    check("finds nothing that was removed", async (shelf) => {
      for (const number of [1, 2]) await shelf.put(keyOf(number), [shelf.entry("x")]);
      await shelf.store.remove({ keys: [keyOf(1)] });
      const again = await shelf.reopened();
      same(await again.kept(1, 2), [2]);
    });

    check("goes on where it was: a put appends", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      const again = await shelf.reopened();
      await again.put(keyOf(1), [shelf.entry("b")], "append");
      same((await again.look(keyOf(1), 9)).bodies, ["a", "b"]);
    });

    check("knows when answers expire", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
      shelf.clock.advance(1000);
      const again = await shelf.reopened();
      same((await again.look(keyOf(1))).bodies, []);
    });

    // Where the ledger outlives the process, so does what failed.
    if (facets.includes("failures") && facets.includes("ledger")) {
      check("remembers failures", async (shelf) => {
        const failure = { last: shelf.clock.now(), expires: null, error: everyByte() };
        await shelf.store.failures!.record(MODEL, keyOf(1), failure);
        const again = await shelf.reopened();
        same({ ...await again.store.failures!.last(MODEL, keyOf(1)) }, { ...failure, count: 1 });
      });
    }

    if (facets.includes("ledger")) {
      check("goes on adding up", async (shelf) => {
        const daily = { model: MODEL, day: "2026-11-22", amounts: { hits: 1 } };
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        shelf.store.ledger!.add(daily);
        const again = await shelf.reopened();
        again.store.ledger!.add(daily);
        same([...await again.store.ledger!.read()], [{ ...daily, amounts: { hits: 2 } }]);
      });
    }
  });
}
