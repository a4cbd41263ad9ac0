/**
 * `lookup` with grace: what has expired is found for a while by those who say so.
 *
 * @module
 */

import { same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { bodiesOf, keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testGrace({ describe, check }: StoreSuite): void {
  describe("lookup with grace", () => {
    check("finds what expired less than that long ago, and says when it did", async (shelf) => {
      const expires = shelf.clock.now() + 1000;
      await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
      shelf.clock.advance(1499);
      const [found] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 500 }]);
      same(bodiesOf(found!), ["a"]);
      same(found!.expired, false);
      same(found!.entries[0]!.expires, expires);
      shelf.clock.advance(1);
      const [late] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 500 }]);
      same({ bodies: bodiesOf(late!), expired: late!.expired }, { bodies: [], expired: true });
    });

    check("gives those that have expired after those that have not", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("late", 1000), shelf.entry("a"), shelf.entry("b")]);
      shelf.clock.advance(1000);
      for (const [samples, bodies] of [[1, ["a"]], [2, ["a", "b"]], [3, ["a", "b", "late"]]] as const) {
        const [found] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples, grace: 500 }]);
        same(bodiesOf(found!), bodies);
      }
    });

    check("is each want's own", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
      shelf.clock.advance(1000);
      const wants = [undefined, 0, 1, Infinity].map((grace) => ({
        key: keyOf(1),
        samples: 1,
        ...(grace !== undefined && { grace }),
      }));
      const found = await shelf.store.lookup(MODEL, wants);
      same(found.map(bodiesOf), [[], [], ["a"], ["a"]]);
    });

    check("keeps append from overwriting nothing but what has expired without it", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
      shelf.clock.advance(1000);
      same(
        (await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 9 }]))[0]!.entries.length,
        1,
      );
      await shelf.put(keyOf(1), [shelf.entry("new")], "append");
      same((await shelf.look(keyOf(1), 9)).bodies, ["new"]);
    });
  });
}
