/**
 * `claims`: one calls, the others wait.
 *
 * @module
 */

import { isRangeError, rejects, same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testClaims({ describe, check }: StoreSuite): void {
  describe("claims", () => {
    check("are granted to one, and refused to others until they expire", async (shelf) => {
      const claims = shelf.store.claims!;
      same({ ...await claims.claim(MODEL, keyOf(1), "one", 1000) }, { granted: true });
      if (await shelf.ownsAlone()) return;
      const expires = shelf.clock.now() + 1000;
      same(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
      shelf.clock.advance(999);
      same(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
      shelf.clock.advance(1);
      same({ ...await claims.claim(MODEL, keyOf(1), "two", 1000) }, { granted: true });
      same((await claims.claim(MODEL, keyOf(1), "one", 1000)).granted, false);
    });

    check("are renewed by who has them", async (shelf) => {
      const claims = shelf.store.claims!;
      const ownsAlone = await shelf.ownsAlone();
      for (let time = 0; time < 5; time++) {
        same((await claims.claim(MODEL, keyOf(1), "one", 1000)).granted, true);
        shelf.clock.advance(900);
        const expires = shelf.clock.now() + 100;
        if (!ownsAlone) same(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
      }
    });

    check("are free once given up, by who has them only", async (shelf) => {
      const claims = shelf.store.claims!;
      await claims.claim(MODEL, keyOf(1), "one", 1000);
      await claims.release(MODEL, keyOf(1), "two");
      if (await shelf.ownsAlone()) return;
      same((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, false);
      await claims.release(MODEL, keyOf(1), "one");
      same((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, true);
    });

    check("are apart by key and by model", async (shelf) => {
      const claims = shelf.store.claims!;
      await claims.claim(MODEL, keyOf(1), "one", 1000);
      same((await claims.claim(MODEL, keyOf(2), "two", 1000)).granted, true);
      same((await claims.claim("another", keyOf(1), "two", 1000)).granted, true);
    });

    check("of many at once go to one each", async (shelf) => {
      const claims = shelf.store.claims!;
      if (await shelf.ownsAlone()) return;
      const replies = await Promise.all(
        Array.from({ length: 60 }, (_, index) => claims.claim(MODEL, keyOf(index % 20), `${index}`, 1000)),
      );
      const granted = replies.flatMap((reply, index) => reply.granted ? [index] : []);
      same(granted, Array.from({ length: 20 }, (_, index) => index));
    });

    check("bind nobody for longer than a claim can last, whatever a clock said", async (shelf) => {
      const claims = shelf.store.claims!;
      await claims.claim(MODEL, keyOf(1), "one", 1000);
      shelf.clock.advance(-2 * 3_600_000);
      same((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, true);
    });

    check("of no time, or of more than an hour, are refused", async ({ store }) => {
      for (const duration of [0, -1, NaN, 3_600_001, Infinity]) {
        await rejects(async () => await store.claims!.claim(MODEL, keyOf(1), "one", duration), isRangeError);
      }
      same((await store.claims!.claim(MODEL, keyOf(1), "one", 3_600_000)).granted, true);
    });

    check("that nobody has can be given up", async ({ store }) => {
      await store.claims!.release(MODEL, keyOf(1), "one");
    });

    check("are no entries", async (shelf) => {
      await shelf.store.claims!.claim(MODEL, keyOf(1), "one", 1000);
      same((await shelf.look(keyOf(1))).bodies, []);
      same((await shelf.store.size()).entries, 0);
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      same((await shelf.look(keyOf(1))).bodies, ["a"]);
    });

    check("can be given up once the store is closed", async ({ store }) => {
      await store.claims!.claim(MODEL, keyOf(1), "one", 1000);
      await store.close();
      await store.claims!.release(MODEL, keyOf(1), "one");
    });
  });
}
