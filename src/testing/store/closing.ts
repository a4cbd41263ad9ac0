/**
 * `close`: nothing works afterwards, and says so.
 *
 * @module
 */

import { rejects } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { isClosed, keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testClose({ describe, check }: StoreSuite): void {
  describe("close", () => {
    check("may be called twice", async ({ store }) => {
      await store.close();
      await store.close();
    });

    check("makes everything else fail with `closed`", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      await shelf.store.close();
      await rejects(async () => await shelf.lookup([keyOf(1), 1]), isClosed);
      await rejects(async () => await shelf.put(keyOf(1), [shelf.entry("b")]), isClosed);
      await rejects(async () => await shelf.store.size(), isClosed);
      await rejects(async () => await shelf.store.remove({}), isClosed);
      await rejects(async () => await shelf.store.nearest(new Uint8Array(16), 1), isClosed);
      const { claims, failures, ledger } = shelf.store;
      const failure = { last: 1, expires: null, error: new Uint8Array() };
      if (claims) await rejects(async () => await claims.claim(MODEL, keyOf(1), "one", 1), isClosed);
      if (failures) await rejects(async () => await failures.last(MODEL, keyOf(1)), isClosed);
      if (failures) await rejects(async () => await failures.record(MODEL, keyOf(1), failure), isClosed);
      if (ledger) await rejects(async () => await ledger.read(), isClosed);
    });
  });
}
