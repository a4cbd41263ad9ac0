/**
 * `ledger`: amounts by model and day, added up.
 *
 * @module
 */

import { same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testLedger({ describe, check }: StoreSuite): void {
  describe("the ledger", () => {
    const day = "2026-11-22";

    check("of an empty store is empty", async ({ store }) => {
      same([...await store.ledger!.read()], []);
    });

    check("adds amounts up by model, day and name", async (shelf) => {
      const ledger = shelf.store.ledger!;
      ledger.add({ model: MODEL, day, amounts: { hits: 1, dollars: 0.25 } });
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      ledger.add({ model: MODEL, day, amounts: { hits: 2, misses: 1 } });
      ledger.add({ model: MODEL, day: "2026-11-21", amounts: { hits: 5 } });
      ledger.add({ model: "another", day, amounts: { hits: 7 } });
      const read = await ledger.read();
      const byModelAndDay = read.toSorted((one, other) =>
        `${one.model} ${one.day}` < `${other.model} ${other.day}` ? -1 : 1
      );
      same(byModelAndDay, [
        { model: "another", day, amounts: { hits: 7 } },
        { model: MODEL, day: "2026-11-21", amounts: { hits: 5 } },
        { model: MODEL, day, amounts: { hits: 3, dollars: 0.25, misses: 1 } },
      ]);
    });

    check("does not mind what is no number, nor any name", async ({ store }) => {
      const ledger = store.ledger!;
      ledger.add({ model: MODEL, day, amounts: { hits: 1, nothing: NaN, all: Infinity, "größe '": 2, toString: 3 } });
      const [sums] = await ledger.read();
      same(Object.entries(sums!.amounts).toSorted(), [["größe '", 2], ["hits", 1], ["toString", 3]]);
    });

    check("is not touched when entries are removed", async (shelf) => {
      const ledger = shelf.store.ledger!;
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      ledger.add({ model: MODEL, day, amounts: { hits: 1 } });
      await shelf.store.remove({});
      same([...await ledger.read()], [{ model: MODEL, day, amounts: { hits: 1 } }]);
    });

    check("takes amounts once the store is closed, which go nowhere", async ({ store }) => {
      await store.close();
      store.ledger!.add({ model: MODEL, day, amounts: { hits: 1 } });
    });
  });
}
