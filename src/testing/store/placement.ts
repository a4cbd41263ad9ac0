/**
 * `put`: where new answers go, and what becomes of those that were there.
 *
 * @module
 */

import { isRangeError, rejects, same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

const encoder = new TextEncoder();

/** Registers the tests. */
export function testPut({ describe, check }: StoreSuite): void {
  describe("put", () => {
    check("append goes after what is there", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")], "append");
      await shelf.put(keyOf(1), [shelf.entry("c")], "append");
      same((await shelf.look(keyOf(1), 9)).bodies, ["a", "b", "c"]);
    });

    check("append by writers at the same time loses none of them", async (shelf) => {
      await Promise.all(
        Array.from({ length: 8 }, (_, writer) => shelf.put(keyOf(1), [shelf.entry(`${writer}`)], "append")),
      );
      const { bodies } = await shelf.look(keyOf(1), 99);
      same(bodies.toSorted(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    });

    check("replace begins at the first and leaves those beyond", async (shelf) => {
      await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)), "replace");
      await shelf.put(keyOf(1), [shelf.entry("A"), shelf.entry("B")], "replace");
      same((await shelf.look(keyOf(1), 9)).bodies, ["A", "B", "c"]);
    });

    check("replace may add samples", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")], "replace");
      await shelf.put(keyOf(1), [shelf.entry("A"), shelf.entry("B")], "replace");
      same((await shelf.look(keyOf(1), 9)).bodies, ["A", "B"]);
    });

    check("replace brings the new fields with the new bytes", async (shelf) => {
      await shelf.put(keyOf(1), [{ ...shelf.entry("a"), outcome: "length", fingerprint: "old" }]);
      await shelf.put(keyOf(1), [{ ...shelf.entry("a"), outcome: "stop", fingerprint: null }], "replace");
      const { outcome, fingerprint } = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
      same({ outcome, fingerprint }, { outcome: "stop", fingerprint: null });
    });

    check("replace_all begins at the first and removes those beyond", async (shelf) => {
      await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)));
      await shelf.put(keyOf(2), [shelf.entry("x"), shelf.entry("y")]);
      await shelf.put(keyOf(1), [shelf.entry("A")], "replace_all");
      same((await shelf.look(keyOf(1), 9)).bodies, ["A"]);
      same((await shelf.look(keyOf(2), 9)).bodies, ["x", "y"]);
      same((await shelf.store.size()).entries, 3);
      await shelf.put(keyOf(1), [shelf.entry("B"), shelf.entry("C")], "replace_all");
      same((await shelf.look(keyOf(1), 9)).bodies, ["B", "C"]);
    });

    check("of no answers adds none, and replaces all there are by none where that is said", async (shelf) => {
      await shelf.put(keyOf(1), []);
      same((await shelf.store.size()).entries, 0);
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      for (const placement of ["append", "replace"] as const) await shelf.put(keyOf(1), [], placement);
      same((await shelf.look(keyOf(1))).bodies, ["a"]);
      await shelf.put(keyOf(1), [], "replace_all");
      same((await shelf.look(keyOf(1))).bodies, []);
    });

    check("refuses a sketch that is none, and stores nothing", async (shelf) => {
      const odd = { ...shelf.request(keyOf(1)), sketch: new Uint8Array(15) };
      await rejects(async () => await shelf.store.put(MODEL, odd, [shelf.entry("a")], "append"), isRangeError);
      same((await shelf.look(keyOf(1))).bodies, []);
    });

    check("keeps the bytes it was given, whatever the caller does to them later", async (shelf) => {
      const body = encoder.encode("mine");
      const key = keyOf(1);
      await shelf.put(key, [{ ...shelf.entry(""), body }]);
      body.fill(0);
      key.fill(0);
      same((await shelf.look(keyOf(1))).bodies, ["mine"]);
    });

    check("gives bytes away that are the caller's to change", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("mine")]);
      (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!.bytes().fill(0);
      same((await shelf.look(keyOf(1))).bodies, ["mine"]);
    });
  });
}
