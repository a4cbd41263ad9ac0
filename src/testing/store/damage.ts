/**
 * A broken row is never an answer, and never an error: it is a miss that says so, and the next answer takes its place.
 *
 * @module
 */

import { same, truth } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testDamage({ describe, check }: StoreSuite): void {
  describe("a broken answer", () => {
    check("is a miss, and is reported", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("the answer to the first")]);
      await shelf.underTest.damage!(MODEL, keyOf(1));
      const { bodies, corrupt, expired, stale } = await shelf.look(keyOf(1));
      same({ bodies, corrupt, expired, stale }, { bodies: [], corrupt: true, expired: false, stale: false });
    });

    check("takes no other request with it", async (shelf) => {
      for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry(`answer ${number}`)]);
      await shelf.underTest.damage!(MODEL, keyOf(2));
      same((await shelf.look(keyOf(1))).bodies, ["answer 1"]);
      same((await shelf.look(keyOf(3))).bodies, ["answer 3"]);
    });

    check("gives way to the next one", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("broken soon")]);
      await shelf.underTest.damage!(MODEL, keyOf(1));
      await shelf.put(keyOf(1), [shelf.entry("whole")], "append");
      const { bodies, corrupt } = await shelf.look(keyOf(1));
      same({ bodies, corrupt }, { bodies: ["whole"], corrupt: false });
    });

    check("can be removed", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("broken soon")]);
      await shelf.put(keyOf(2), [shelf.entry("whole")]);
      await shelf.underTest.damage!(MODEL, keyOf(1));
      await shelf.store.remove({ keys: [keyOf(1)] });
      const { bodies, corrupt } = await shelf.look(keyOf(1));
      same({ bodies, corrupt }, { bodies: [], corrupt: false });
      truth((await shelf.look(keyOf(2))).bodies.length === 1, "the other one is still found");
    });
  });
}
