/**
 * `nearest`: the requests whose sketches resemble one.
 *
 * @module
 */

import { isRangeError, rejects, same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL, sketchOf } from "./values.ts";

/** Registers the tests. */
export function testNearest({ describe, check }: StoreSuite): void {
  describe("nearest", () => {
    check("finds nothing in an empty store", async ({ store }) => {
      same([...await store.nearest(new Uint8Array(16), 5)], []);
    });

    check("gives the nearest first, whole, and at most as many as asked for", async (shelf) => {
      const bits = [40, 3, 128, 0, 7, 64];
      for (const count of bits) {
        await shelf.put(keyOf(count), [shelf.entry("x")], "append", MODEL, {
          sketch: sketchOf(count),
          identity: "model 1",
        });
      }
      const near = await shelf.store.nearest(new Uint8Array(16), 4);
      same(near.map(({ key }) => key), [0, 3, 7, 40].map(keyOf));
      same(near.map(({ sketch }) => sketch), [0, 3, 7, 40].map(sketchOf));
      const { key: _key, sketch: _sketch, ...rest } = shelf.request(keyOf(3));
      const { key: _found, sketch: _same, ...found } = near[1]!;
      same({ ...found, body: new Uint8Array(found.body) }, { ...rest, identity: "model 1" });
      same((await shelf.store.nearest(sketchOf(128), 1))[0]!.key[3], 128);
      same((await shelf.store.nearest(new Uint8Array(16), 99)).length, bits.length);
    });

    check("gives both of two that are equally near", async (shelf) => {
      for (const number of [1, 2]) {
        await shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { sketch: sketchOf(9) });
      }
      const near = await shelf.store.nearest(sketchOf(9), 5);
      same(near.map(({ key }) => key[3]).toSorted(), [1, 2]);
    });

    check("looks at all models, or at one", async (shelf) => {
      for (const [number, model] of ["m", "another"].entries()) {
        await shelf.put(keyOf(number), [shelf.entry("x")], "append", model, { sketch: sketchOf(number) });
      }
      const numbers = async (model?: string): Promise<number[]> =>
        (await shelf.store.nearest(new Uint8Array(16), 5, model)).map(({ key }) => key[3]!);
      same(await numbers(), [0, 1]);
      same(await numbers("another"), [1]);
      same(await numbers("nobody's"), []);
    });

    check("finds a request once, however many answers it has", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")]);
      await shelf.put(keyOf(1), [shelf.entry("c")], "append");
      same((await shelf.store.nearest(new Uint8Array(16), 5)).length, 1);
    });

    check("refuses a sketch that is none", async ({ store }) => {
      await rejects(async () => await store.nearest(new Uint8Array(15), 5), isRangeError);
    });
  });
}
