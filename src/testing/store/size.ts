/**
 * `size`: how much is there.
 *
 * @module
 */

import { same, truth } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, noise } from "./values.ts";

/** Registers the tests. */
export function testSize({ describe, check }: StoreSuite): void {
  describe("size", () => {
    check("of an empty store is zero", async ({ store }) => {
      same({ ...await store.size() }, { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 });
    });

    check("counts answers over all models, and the bytes they are returned with", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("12345"), shelf.entry("123")]);
      await shelf.put(keyOf(2), [shelf.entry("12")], "append", "another");
      const { entries, bodyBytes, storedBytes } = await shelf.store.size();
      same({ entries, bodyBytes }, { entries: 3, bodyBytes: 10 });
      truth(storedBytes > 0, "answers take bytes where they are stored");
    });

    check("counts a replaced answer once", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("12345")], "replace");
      await shelf.put(keyOf(1), [shelf.entry("1")], "replace");
      const { entries, bodyBytes } = await shelf.store.size();
      same({ entries, bodyBytes }, { entries: 1, bodyBytes: 1 });
    });

    check("tells models apart, where it can", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("12345"), shelf.entry("123")]);
      await shelf.put(keyOf(2), [shelf.entry("12")], "append", "another");
      const sizes = await shelf.store.modelSizes?.();
      if (sizes === undefined) return;
      const { entries, bodyBytes } = sizes.get("another")!;
      same({ entries, bodyBytes }, { entries: 1, bodyBytes: 2 });
      same([...sizes.values()].reduce((sum, size) => sum + size.entries, 0), (await shelf.store.size()).entries);
    });

    check("takes in all of what is stored", async (shelf) => {
      await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: noise(50_000) }]);
      const { storedBytes, totalBytes } = await shelf.store.size();
      truth(storedBytes >= 50_000, `bytes that cannot be compressed are all counted (${storedBytes})`);
      truth(totalBytes > storedBytes, `the request is counted too (${totalBytes} bytes over ${storedBytes})`);
    });
  });
}
