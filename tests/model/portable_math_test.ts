/** exp and log: near the truth, and the same bits on every runtime. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { exp, log } from "../../src/model/generation/portable_math.ts";
import { seededRandom } from "../../src/model/generation/random.ts";

/** A digest of the bits of numbers. */
function digest(numbers: Float64Array): string {
  const words = new Uint32Array(numbers.buffer);
  return words.reduce((sum, word) => Math.imul(sum ^ word, 16_777_619) >>> 0, 2_166_136_261).toString(16);
}

function manyNumbers(make: (random: number) => number): Float64Array {
  const random = seededRandom(3);
  return Float64Array.from({ length: 100_000 }, () => make(random()));
}

describe("exp", () => {
  it("is e to the power of a number that is not positive, to 2 units in the last place", () => {
    for (const x of manyNumbers((random) => -708 * random)) {
      const error = Math.abs(exp(x) - Math.exp(x)) / Math.exp(x);
      assert.ok(error <= 2 * 2 ** -52, `${x}: ${error}`);
    }
    assert.equal(exp(0), 1);
    assert.equal(exp(-0), 1);
  });

  it("is 0 where that is no normal number", () => {
    for (const x of [-709, -1e300, -Infinity]) assert.equal(exp(x), 0);
    assert.ok(exp(-708) > 0);
  });

  it("has these bits on every runtime, which Math.exp has not", () => {
    assert.equal(digest(manyNumbers((random) => exp(-40 * random))), "141d3430");
  });
});

describe("log", () => {
  it("is the natural logarithm of numbers from 1 on, to 2^-52 of the larger of it and 1", () => {
    for (const x of [...manyNumbers((random) => 1 + random), ...manyNumbers((random) => 1 + random * (2 ** 32 - 2))]) {
      const error = Math.abs(log(x) - Math.log(x)) / Math.max(1, Math.log(x));
      assert.ok(error <= 2 * 2 ** -52, `${x}: ${error}`);
    }
    assert.equal(log(1), 0);
    assert.equal(log(2), Math.LN2);
  });

  it("has these bits on every runtime, which Math.log has not", () => {
    assert.equal(digest(manyNumbers((random) => log(1 + 1e5 * random))), "786ef8ec");
  });
});
