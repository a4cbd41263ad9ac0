/**
 * `stamp`: as long as it is the same, a lookup finds the same. Who keeps a copy in front of the store relies on it.
 *
 * @module
 */

import { present, same, truth } from "../assertions.ts";
import type { Shelf, StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testStamps({ describe, check, facets }: StoreSuite): void {
  describe("stamp", () => {
    check("is there, and the same, while nothing changes", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      const first = await stampOf(shelf);
      present(first, "the stamp of what was just looked up");
      same(await stampOf(shelf), first);
    });

    check("is another after whatever changes what is found", async (shelf) => {
      const changes: Record<string, () => unknown> = {
        "the first answer": () => shelf.put(keyOf(1), [shelf.entry("a")]),
        "append": () => shelf.put(keyOf(1), [shelf.entry("b")], "append"),
        "replace": () => shelf.put(keyOf(1), [shelf.entry("A")], "replace"),
        "the same again": () => shelf.put(keyOf(1), [{ ...shelf.entry("A"), outcome: "length" }], "replace"),
        "replace_all": () => shelf.put(keyOf(1), [shelf.entry("c")], "replace_all"),
        "remove by key": () => shelf.store.remove({ keys: [keyOf(1)] }),
        "an answer anew": () => shelf.put(keyOf(1), [shelf.entry("a")]),
        "remove of everything": () => shelf.store.remove({}),
      };
      for (const [name, change] of Object.entries(changes)) await isAnotherAfter(change, shelf, name);
    });

    check("comes never back to one it had", async (shelf) => {
      const seen = new Set<string | number>();
      for (let time = 0; time < 20; time++) {
        await shelf.put(keyOf(1), [shelf.entry(`answer ${time % 2}`)], "replace_all");
        const stamp = await stampOf(shelf);
        if (stamp === undefined) continue;
        truth(!seen.has(stamp), `the stamp ${stamp} is new`);
        seen.add(stamp);
      }
    });

    check("is apart by model, where it is of one request at all", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      await shelf.put(keyOf(1), [shelf.entry("a")], "append", "another");
      await isAnotherAfter(() => shelf.put(keyOf(1), [shelf.entry("b")], "append"), shelf, "a put to its model");
    });

    if (facets.includes("another")) {
      check("is another after somebody else's change", async (shelf) => {
        const other = await shelf.another();
        const put = (body: string) => other.put(keyOf(1), [shelf.entry(body)], "replace_all");
        await isAnotherAfter(() => put("a"), shelf, "his first answer");
        await isAnotherAfter(() => put("b"), shelf, "his second answer");
        await isAnotherAfter(() => other.store.remove({ keys: [keyOf(1)] }), shelf, "his removal");
      });
    }
  });
}

/** The stamp of a request that was just looked up. */
async function stampOf(shelf: Shelf): Promise<string | number | undefined> {
  await shelf.look(keyOf(1));
  return shelf.store.stamp!(MODEL, keyOf(1));
}

/** A stamp that cannot be told is no promise, before or after. */
async function isAnotherAfter(change: () => unknown, shelf: Shelf, what: string): Promise<void> {
  const before = await stampOf(shelf);
  await change();
  const after = shelf.store.stamp!(MODEL, keyOf(1));
  truth(before === undefined || before !== after, `the stamp is another after ${what} (${after})`);
}
