/**
 * Many calls at the same time on one store: all or nothing, and nothing lost.
 *
 * @module
 */

import { same, truth } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { bodiesOf, keyOf } from "./values.ts";

/** Registers the tests. */
export function testRacing({ describe, check }: StoreSuite): void {
  describe("at the same time", () => {
    check("appends of several answers stay together and in order", async (shelf) => {
      const letters = ["a", "b", "c", "d", "e", "f"];
      await Promise.all(
        letters.map((letter) => shelf.put(keyOf(1), [shelf.entry(`${letter}1`), shelf.entry(`${letter}2`)], "append")),
      );
      const { bodies } = await shelf.look(keyOf(1), 99);
      same(bodies.toSorted(), letters.flatMap((letter) => [`${letter}1`, `${letter}2`]));
      for (const letter of letters) same(bodies.indexOf(`${letter}2`), bodies.indexOf(`${letter}1`) + 1, letter);
    });

    check("a lookup finds all of a put or nothing of it", async (shelf) => {
      const three = (letter: string) => [1, 2, 3].map((number) => shelf.entry(`${letter}${number}`));
      await shelf.put(keyOf(1), three("a"), "replace_all");
      const writing = ["b", "c", "d", "e"].map((letter) => shelf.put(keyOf(1), three(letter), "replace_all"));
      const lookups = Array.from({ length: 20 }, () => shelf.look(keyOf(1), 9));
      for (const { bodies } of await Promise.all(lookups)) {
        const letters = new Set(bodies.map((body) => body[0]));
        truth(bodies.length === 3 && letters.size === 1, `three answers of one put (${bodies})`);
      }
      await Promise.all(writing);
    });

    check("puts and lookups of many requests do not get in each other's way", async (shelf) => {
      const numbers = Array.from({ length: 60 }, (_, number) => number);
      const modelOf = (number: number): string => `m${number % 4}`;
      const found = await Promise.all(numbers.map(async (number) => {
        await shelf.put(keyOf(number), [shelf.entry(`answer ${number}`)], "append", modelOf(number));
        return bodiesOf((await shelf.store.lookup(modelOf(number), [{ key: keyOf(number), samples: 1 }]))[0]!);
      }));
      same(found, numbers.map((number) => [`answer ${number}`]));
    });

    check("a removal takes what was put before it, and leaves what is put after it", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("before")]);
      await shelf.store.remove({ keys: [keyOf(1)] });
      await Promise.all([shelf.put(keyOf(1), [shelf.entry("after")]), shelf.store.remove({ keys: [keyOf(2)] })]);
      same((await shelf.look(keyOf(1))).bodies, ["after"]);
    });

    check("closing waits for what was begun", async (shelf) => {
      const puts = [1, 2, 3].map((number) => shelf.put(keyOf(number), [shelf.entry("x")]));
      await shelf.store.close();
      const settled = await Promise.allSettled(puts);
      same(settled.map(({ status }) => status), ["fulfilled", "fulfilled", "fulfilled"]);
    });
  });
}
