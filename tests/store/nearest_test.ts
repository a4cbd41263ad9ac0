import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NearestSketches, packSketch, RECORD_BYTES, SKETCH_BYTES } from "../../src/store/nearest.ts";

/** A sketch with the first `bits` bits set. */
function sketch(bits: number): Uint8Array {
  return Uint8Array.from({ length: SKETCH_BYTES }, (_, byte) => {
    const set = Math.min(8, Math.max(0, bits - 8 * byte));
    return 2 ** set - 1;
  });
}

/** Sketches that look random and are the same every time. */
function sketches(count: number): Uint8Array[] {
  let state = 1;
  const byte = (): number => (state = Math.imul(state, 48271) >>> 0) >>> 24;
  return Array.from({ length: count }, () => Uint8Array.from({ length: SKETCH_BYTES }, byte));
}

describe("NearestSketches", () => {
  it("counts the bits that differ", () => {
    for (let bits = 0; bits <= 128; bits++) {
      const search = new NearestSketches(sketch(0), 1);
      search.offer(7, sketch(bits));
      assert.deepEqual(search.best(), [{ id: 7, distance: bits }]);
    }
  });

  it("keeps the nearest, the nearest first", () => {
    const search = new NearestSketches(sketch(40), 3);
    for (const bits of [90, 41, 10, 38, 128, 40]) search.offer(bits, sketch(bits));
    assert.deepEqual(search.best(), [{ id: 40, distance: 0 }, { id: 41, distance: 1 }, { id: 38, distance: 2 }]);
  });

  it("prefers lower ids among those equally near, in whatever order they come", () => {
    for (const ids of [[1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2]]) {
      const search = new NearestSketches(sketch(0), 2);
      for (const id of ids) search.offer(id, sketch(5));
      assert.deepEqual(search.best().map(({ id }) => id), [1, 2]);
    }
  });

  it("has fewer when it was shown fewer", () => {
    const search = new NearestSketches(sketch(0), 10);
    assert.deepEqual(search.best(), []);
    search.offer(1, sketch(128));
    assert.equal(search.best().length, 1);
  });

  it("hands out a list that stays as it is", () => {
    const search = new NearestSketches(sketch(0), 2);
    search.offer(1, sketch(5));
    const before = search.best();
    search.offer(2, sketch(1));
    assert.deepEqual(before, [{ id: 1, distance: 5 }]);
  });

  it("reads a sketch inside other bytes", () => {
    const bytes = new Uint8Array(40);
    bytes.set(sketch(9), 5);
    const search = new NearestSketches(sketch(9), 1);
    search.offer(1, bytes, 5);
    assert.deepEqual(search.best(), [{ id: 1, distance: 0 }]);
  });

  it("finds in blocks what comparing one by one finds", () => {
    const all = sketches(3000);
    const ids = all.map((_, index) => index + 2 ** 40);
    const [asked] = sketches(1);
    const [inBlocks, oneByOne] = [new NearestSketches(asked!, 25), new NearestSketches(asked!, 25)];
    for (let from = 0; from < all.length; from += 700) {
      inBlocks.scan(packSketch(ids.slice(from, from + 700), all.slice(from, from + 700)));
    }
    for (const [index, one] of all.entries()) oneByOne.offer(ids[index]!, one);
    assert.deepEqual(inBlocks.best(), oneByOne.best());
    assert.deepEqual(inBlocks.best()[0], { id: 2 ** 40, distance: 0 });
  });

  it("scans a block that does not begin on a multiple of four bytes", () => {
    const block = packSketch([1, 2], [sketch(3), sketch(4)]);
    const moved = new Uint8Array(block.byteLength + 1);
    moved.set(block, 1);
    const search = new NearestSketches(sketch(4), 1);
    search.scan(moved.subarray(1));
    assert.deepEqual(search.best(), [{ id: 2, distance: 0 }]);
  });

  it("refuses a sketch of another length", () => {
    assert.throws(() => new NearestSketches(new Uint8Array(15), 1), /RangeError: .*16 bytes.*15 bytes/);
    const search = new NearestSketches(sketch(0), 1);
    assert.throws(() => search.offer(1, new Uint8Array(15)), /RangeError: .*15 bytes/);
    assert.throws(() => search.offer(1, new Uint8Array(20), 5), RangeError);
    assert.throws(() => search.offer(1, new Uint8Array(32), -16), RangeError);
  });

  it("refuses a limit that is no positive integer", () => {
    for (const limit of [0, -1, 1.5, NaN, Infinity]) {
      assert.throws(() => new NearestSketches(sketch(0), limit), /RangeError: .*positive integer/);
    }
  });

  it("refuses a block that ends inside a record", () => {
    const search = new NearestSketches(sketch(0), 1);
    assert.throws(() => search.scan(new Uint8Array(RECORD_BYTES + 1)), /RangeError: .*24 bytes.*25 bytes/);
    search.scan(new Uint8Array(0));
    assert.deepEqual(search.best(), []);
  });
});

describe("packSketch", () => {
  it("writes an id of 64 bits, little-endian, and the sketch", () => {
    const block = packSketch([2 ** 32 + 5], [sketch(128)]);
    assert.deepEqual([...block.subarray(0, 8)], [5, 0, 0, 0, 1, 0, 0, 0]);
    assert.deepEqual(block.subarray(8), sketch(128));
  });

  it("keeps every id a number can hold", () => {
    const ids = [0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
    const search = new NearestSketches(sketch(0), ids.length);
    search.scan(packSketch(ids, ids.map(() => sketch(0))));
    assert.deepEqual(search.best().map(({ id }) => id), ids);
  });

  it("refuses ids that are none", () => {
    for (const id of [-1, 1.5, NaN, 2 ** 53]) assert.throws(() => packSketch([id], [sketch(0)]), /RangeError: .*id/);
  });

  it("refuses a sketch too few, or of another length", () => {
    assert.throws(() => packSketch([1, 2], [sketch(0)]), /RangeError: .*2 ids, 1 sketches/);
    assert.throws(() => packSketch([1], [new Uint8Array(17)]), /RangeError: .*17 bytes/);
  });
});
