import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { narrowed, widened } from "../../src/model/adapter/float16.ts";
import { fromHalf, halfBits } from "../support/onnx_builder.ts";
import { seededRandom } from "../support/random.ts";

const narrow = (value: number): number => narrowed(Float32Array.of(value), "x")[0]!;

describe("widened and narrowed", () => {
  it("are each other's opposite for every finite number of 16 bits", () => {
    for (let bits = 0; bits < 2 ** 16; bits++) {
      const value = widened(bits);
      assert.ok(Object.is(value, fromHalf(bits)), `${bits}`);
      if (Number.isFinite(value)) assert.equal(narrow(value), bits);
    }
  });
});

describe("narrowed", () => {
  it("takes the nearest number, the even one of two", () => {
    assert.equal(widened(narrow(1 + 2 ** -11)), 1);
    assert.equal(widened(narrow(1 + 3 * 2 ** -11)), 1 + 2 ** -9);
    assert.equal(widened(narrow(2047.6)), 2048);
    assert.equal(widened(narrow(-65519)), -65504);
  });

  it("goes on below the smallest normal number, down to nothing", () => {
    assert.equal(widened(narrow(2 ** -24)), 2 ** -24);
    assert.equal(widened(narrow(1.5 * 2 ** -24)), 2 ** -23);
    assert.ok(Object.is(widened(narrow(2 ** -25)), 0));
    assert.equal(widened(narrow(1.01 * 2 ** -25)), 2 ** -24);
    assert.ok(Object.is(widened(narrow(-(2 ** -149))), -0));
    assert.equal(widened(narrow(2 ** -14 - 2 ** -26)), 2 ** -14);
  });

  it("agrees with rounding by division, for numbers of every size", () => {
    const random = seededRandom(3);
    for (let count = 0; count < 20_000; count++) {
      const value = Math.fround((2 * random() - 1) * 2 ** (random() * 42 - 27));
      if (Math.abs(value) < 65520) assert.equal(narrow(value), halfBits(value), `${value}`);
    }
  });

  it("refuses a number beyond the largest, and none at all, by whose it is", () => {
    assert.throws(() => narrowed(Float32Array.of(1, 65520), "q_proj"), /a weight of q_proj is beyond float16: 65520/);
    assert.throws(() => narrowed(Float32Array.of(-1e30), "q_proj"), /beyond float16: -1/);
    assert.throws(() => narrowed(Float32Array.of(NaN), "q_proj"), /beyond float16: NaN/);
  });
});
