/** The numbers of a run, taken out of its tensors. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Logits, takeFloats, wholeRows } from "../../src/model/generation/logits.ts";
import type { Ort } from "../../src/model/worker/ort.ts";
import { halfBits } from "../support/onnx_builder.ts";

describe("Logits", () => {
  it("has a row after each token, and the last one by name", () => {
    const logits = new Logits(wholeRows(Float32Array.of(1, 2, 3, 4, 5, 6), 2));
    assert.deepEqual(logits.after(0).whole(), Float32Array.of(1, 2));
    assert.deepEqual(logits.after(2).whole(), Float32Array.of(5, 6));
    assert.deepEqual(logits.last().whole(), Float32Array.of(5, 6));
  });

  it("counts tokens from the first, also where there are logits of the last ones alone", () => {
    const logits = new Logits(wholeRows(Float32Array.of(1, 2, 3, 4), 2), 10);
    assert.deepEqual(logits.after(8).whole(), Float32Array.of(1, 2));
    assert.deepEqual(logits.last().whole(), Float32Array.of(3, 4));
  });

  it("refuses tokens that it has none of", () => {
    const logits = new Logits(wholeRows(Float32Array.of(1, 2, 3, 4), 2), 10);
    for (const index of [-1, 7, 10]) assert.throws(() => logits.after(index), /no logits after token -?\d+: of 10/);
  });
});

describe("takeFloats", () => {
  const NUMBERS = [1, -2.5, 0.1, 65504, -0, 2 ** -24, Infinity];

  /** What onnxruntime gives: numbers to be asked for once. */
  function tensor(type: string, data: Float32Array | Uint16Array | Int32Array, isLeft: () => void): Ort.Tensor {
    const given = { type, size: data.length, getData: () => Promise.resolve(data), dispose: isLeft };
    return given as unknown as Ort.Tensor;
  }

  it("takes all of them, or the last ones, and lets go of the tensor", async () => {
    for (const count of [undefined, 2]) {
      let left = 0;
      const data = Float32Array.from(NUMBERS);
      const taken = await takeFloats(tensor("float32", data, () => left++), count);
      assert.deepEqual(taken, data.slice(count === undefined ? 0 : -count));
      assert.equal(left, 1);
    }
  });

  it("keeps nothing of a large tensor but what was asked for", async () => {
    const taken = await takeFloats(tensor("float32", new Float32Array(1000), () => {}), 10);
    assert.equal(taken.buffer.byteLength, 40);
  });

  it("widens float16, exactly, where the engine has no arrays of it", async () => {
    const data = Uint16Array.from(NUMBERS, halfBits);
    const taken = await takeFloats(tensor("float16", data, () => {}));
    assert.deepEqual([...taken], [1, -2.5, 0.0999755859375, 65504, -0, 2 ** -24, Infinity]);
  });

  it("refuses numbers that are no floats", async () => {
    const integers = tensor("int32", Int32Array.of(1), () => {});
    await assert.rejects(takeFloats(integers), /no floating-point numbers: int32/);
  });
});
