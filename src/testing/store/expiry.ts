/**
 * `expires`: what has expired is not served, and hides nothing.
 *
 * @module
 */

import { same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf } from "./values.ts";

/** Registers the tests. */
export function testExpiry({ describe, check }: StoreSuite): void {
  describe("expires", () => {
    check("is the first moment an entry is not served", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a", 1234)]);
      shelf.clock.advance(1233);
      same((await shelf.look(keyOf(1))).bodies, ["a"]);
      shelf.clock.advance(1);
      same(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: true, corrupt: false });
    });

    check("null is never", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      shelf.clock.advance(100 * 365 * 86_400_000);
      same((await shelf.look(keyOf(1))).bodies, ["a"]);
    });

    check("hides no other sample", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
      shelf.clock.advance(1000);
      const found = await shelf.look(keyOf(1), 3);
      same(found, { bodies: ["a", "c"], stale: false, expired: true, corrupt: false });
      same((await shelf.lookup([keyOf(1), 9]))[0]!.entries.map(({ sample }) => sample), [0, 1]);
      same((await shelf.look(keyOf(1), 2)).bodies, ["a", "c"]);
      same((await shelf.look(keyOf(1), 1)).expired, false, "a row nobody asked for is no news");
    });

    check("lets append take the place of an expired sample", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
      shelf.clock.advance(1000);
      await shelf.put(keyOf(1), [shelf.entry("new")], "append");
      const found = await shelf.look(keyOf(1));
      same(found, { bodies: ["new"], stale: false, expired: false, corrupt: false });
    });

    check("lets those that live keep their order, whatever is appended", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
      shelf.clock.advance(1000);
      await shelf.put(keyOf(1), [shelf.entry("d")], "append");
      const { bodies } = await shelf.look(keyOf(1), 9);
      same(bodies, ["a", "c", "d"]);
    });

    check("in front lets a living sample be found, replaced and appended to", async (shelf) => {
      const old = Array.from({ length: 9 }, (_, index) => shelf.entry(`old ${index}`, 1000));
      await shelf.put(keyOf(1), [...old, shelf.entry("a"), shelf.entry("b")]);
      shelf.clock.advance(1000);
      same((await shelf.look(keyOf(1), 1)).bodies, ["a"]);
      await shelf.put(keyOf(1), [shelf.entry("A")], "replace");
      await shelf.put(keyOf(1), [shelf.entry("c")], "append");
      for (const samples of [1, 2, 3]) {
        same((await shelf.look(keyOf(1), samples)).bodies, ["A", "b", "c"].slice(0, samples));
      }
      await shelf.put(keyOf(1), [shelf.entry("d"), shelf.entry("e")], "replace_all");
      same((await shelf.look(keyOf(1), 99)).bodies, ["d", "e"]);
    });

    check("lets replace take the place of an expired sample", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
      shelf.clock.advance(1000);
      await shelf.put(keyOf(1), [shelf.entry("new")], "replace");
      same((await shelf.look(keyOf(1))).bodies, ["new"]);
    });
  });
}
