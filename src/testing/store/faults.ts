/**
 * `onFault`: who listens hears of what went wrong, and of nothing else. How a store goes wrong is its own; its own tests
 * provoke it.
 *
 * @module
 */

import { rejects, same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { isClosed, keyOf } from "./values.ts";

/** Registers the tests. */
export function testFaults({ describe, check }: StoreSuite): void {
  describe("onFault", () => {
    check("hears nothing while nothing goes wrong", async (shelf) => {
      const heard: unknown[] = [];
      shelf.store.onFault!((fault) => heard.push(fault));
      await shelf.look(keyOf(1));
      await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
      shelf.clock.advance(1000);
      await shelf.look(keyOf(1));
      await shelf.store.remove({});
      await shelf.store.close();
      same(heard, [], "the faults");
    });

    check("does not hear of what failed for the caller himself", async (shelf) => {
      const heard: unknown[] = [];
      shelf.store.onFault!((fault) => heard.push(fault));
      await shelf.store.close();
      await rejects(() => shelf.look(keyOf(1)), isClosed);
      await rejects(() => shelf.put(keyOf(1), [shelf.entry("a")]), isClosed);
      same(heard, [], "the faults");
    });
  });
}
