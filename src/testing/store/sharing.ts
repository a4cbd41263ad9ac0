/**
 * A store that several processes use at the same time: each sees what the others did, and none undoes it.
 *
 * @module
 */

import { same, truth } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testAnother({ describe, check, facets }: StoreSuite): void {
  describe("used by somebody else too", () => {
    check("finds what he put, and what he removed no longer", async (shelf) => {
      const other = await shelf.another();
      same((await shelf.look(keyOf(1))).bodies, []);
      await other.put(keyOf(1), [shelf.entry("a")]);
      same((await shelf.look(keyOf(1))).bodies, ["a"]);
      await other.put(keyOf(1), [shelf.entry("A")], "replace");
      same((await shelf.look(keyOf(1))).bodies, ["A"]);
      await other.store.remove({ keys: [keyOf(1)] });
      same((await shelf.look(keyOf(1))).bodies, []);
    });

    check("appends after what he appended", async (shelf) => {
      const other = await shelf.another();
      for (const body of ["a", "b", "c", "d"]) {
        await (body < "c" ? other : shelf).put(keyOf(1), [shelf.entry(body)], "append");
      }
      await other.put(keyOf(1), [shelf.entry("e")], "append");
      for (const each of [shelf, other]) same((await each.look(keyOf(1), 9)).bodies, ["a", "b", "c", "d", "e"]);
    });

    check("loses none of what both append at the same time", async (shelf) => {
      const both = [shelf, await shelf.another()];
      const bodies = Array.from({ length: 24 }, (_, writer) => `answer ${writer}`);
      await Promise.all(
        bodies.map((body, writer) => both[writer % 2]!.put(keyOf(writer % 3), [shelf.entry(body)], "append")),
      );
      for (const each of both) {
        const found = await each.lookup(...[0, 1, 2].map((number) => [keyOf(number), 99] as const));
        const read = found.flatMap(({ entries }) => entries.map((entry) => new TextDecoder().decode(entry.bytes())));
        same(read.toSorted(), bodies.toSorted());
      }
    });

    check("agrees with him about the order of samples", async (shelf) => {
      const other = await shelf.another();
      await Promise.all(
        Array.from(
          { length: 12 },
          (_, writer) => (writer % 2 ? shelf : other).put(keyOf(1), [shelf.entry(`${writer}`)], "append"),
        ),
      );
      same((await shelf.look(keyOf(1), 99)).bodies, (await other.look(keyOf(1), 99)).bodies);
    });

    check("never finds half of what he puts", async (shelf) => {
      const other = await shelf.another();
      const three = (letter: string) => [1, 2, 3].map((number) => shelf.entry(`${letter}${number}`));
      await other.put(keyOf(1), three("a"), "replace_all");
      const writing = Promise.all(
        ["b", "c", "d"].map((letter) => other.put(keyOf(1), three(letter), "replace_all")),
      );
      for (let time = 0; time < 30; time++) {
        const { bodies } = await shelf.look(keyOf(1), 9);
        const letters = new Set(bodies.map((body) => body[0]));
        truth(bodies.length === 3 && letters.size === 1, `three answers of one put (${bodies})`);
      }
      await writing;
    });

    check("lists and counts what he put", async (shelf) => {
      const other = await shelf.another();
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      await other.put(keyOf(2), [shelf.entry("b")], "append", "another");
      const listed = await Array.fromAsync(shelf.store.list());
      same(listed.map(({ model }) => model).toSorted(), ["another", MODEL].toSorted());
      same((await shelf.store.size()).entries, 2);
    });

    check("outlives his closing", async (shelf) => {
      const other = await shelf.another();
      await other.put(keyOf(1), [shelf.entry("a")]);
      await other.store.close();
      await shelf.put(keyOf(1), [shelf.entry("b")], "append");
      same((await shelf.look(keyOf(1), 9)).bodies, ["a", "b"]);
    });

    if (facets.includes("claims")) {
      check("grants a claim to one of both", async (shelf) => {
        const other = await shelf.another();
        const asked = [shelf, other].map(({ store }, index) => store.claims!.claim(MODEL, keyOf(1), `${index}`, 1000));
        const granted = (await Promise.all(asked)).filter((reply) => reply.granted);
        same(granted.length, 1, "how many were granted it");
      });

      check("hears that a claim of his was given up", async (shelf) => {
        const other = await shelf.another();
        await other.store.claims!.claim(MODEL, keyOf(1), "he", 1000);
        same((await shelf.store.claims!.claim(MODEL, keyOf(1), "I", 1000)).granted, false);
        await other.store.claims!.release(MODEL, keyOf(1), "he");
        same((await shelf.store.claims!.claim(MODEL, keyOf(1), "I", 1000)).granted, true);
      });
    }

    // Who waits for another's call hears from the store that it failed.
    if (facets.includes("failures") && facets.includes("claims")) {
      check("counts his failures with its own", async (shelf) => {
        const other = await shelf.another();
        const failure = { last: 1, expires: null, error: new Uint8Array([1]) };
        await Promise.all(
          Array.from(
            { length: 10 },
            (_, time) => (time % 2 ? shelf : other).store.failures!.record(MODEL, keyOf(1), failure),
          ),
        );
        same((await shelf.store.failures!.last(MODEL, keyOf(1)))!.count, 10);
      });
    }

    if (facets.includes("ledger")) {
      check("reads the amounts that he has written down", async (shelf) => {
        const other = await shelf.another();
        const daily = { model: MODEL, day: "2026-11-22", amounts: { hits: 1 } };
        await other.put(keyOf(1), [shelf.entry("a")]);
        other.store.ledger!.add(daily);
        await other.store.close();
        shelf.store.ledger!.add(daily);
        same([...await shelf.store.ledger!.read()], [{ ...daily, amounts: { hits: 2 } }]);
      });
    }
  });
}
