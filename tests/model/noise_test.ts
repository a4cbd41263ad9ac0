import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { noiseOf } from "../../src/model/adapter/noise.ts";
import type { LoraMatrices } from "../../src/model/adapter/peft.ts";
import { seededNormal } from "../../src/model/generation/random.ts";

/** As an implementation in Python has them too, to 15 digits. */
const GOLDEN = [
  -0.33481742935697767,
  -0.6235610544501152,
  -1.488011313688838,
  1.0166278274290028,
  0.010204008555813732,
  -0.1658859058747469,
];

describe("seededNormal", () => {
  it("gives the same numbers to the bit on every runtime", () => {
    const normal = seededNormal(42);
    assert.deepEqual(Array.from({ length: 6 }, normal), GOLDEN);
    assert.notDeepEqual(Array.from({ length: 6 }, seededNormal(43)), GOLDEN);
  });

  it("is normal: its moments, and how many numbers are within so many deviations", () => {
    const count = 200_000;
    const numbers = Float64Array.from({ length: count }, seededNormal(1));
    const moment = (power: number): number => numbers.reduce((sum, value) => sum + value ** power, 0) / count;
    const within = (limit: number): number => numbers.filter((value) => Math.abs(value) < limit).length / count;
    // Five standard errors of each, for this count.
    for (
      const [what, actual, expected, tolerance] of [
        ["mean", moment(1), 0, 0.0112],
        ["variance", moment(2), 1, 0.0158],
        ["skewness", moment(3), 0, 0.0434],
        ["kurtosis", moment(4), 3, 0.11],
        ["one", within(1), 0.682689, 0.0053],
        ["two", within(2), 0.9545, 0.0024],
        ["three", within(3), 0.9973, 0.0006],
      ] as const
    ) {
      assert.ok(Math.abs(actual - expected) < tolerance, `${what}: ${actual}`);
    }
  });

  it("draws one after the other independently", () => {
    const normal = seededNormal(9);
    let product = 0;
    let last = normal();
    for (let count = 0; count < 100_000; count++) {
      const next = normal();
      product += last * next;
      last = next;
    }
    assert.ok(Math.abs(product / 100_000) < 5 / Math.sqrt(100_000));
  });
});

describe("noiseOf", () => {
  const shapes = new Map([
    ["net.b", { rank: 8, inputSize: 300, outputSize: 200, scale: 2 }],
    ["net.a", { rank: 4, inputSize: 200, outputSize: 300, scale: 0.5 }],
  ]);
  const deviationOf = (numbers: Float32Array): number => {
    return Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length);
  };
  const assertDeviations = (noise: ReadonlyMap<string, LoraMatrices>, expected: number): void => {
    for (const { a, b, scale } of noise.values()) {
      // Five standard errors for 800 numbers, of which the smallest matrix has more.
      assert.ok(Math.abs(deviationOf(a) / expected - 1) < 0.13, `${deviationOf(a)}`);
      assert.ok(Math.abs(deviationOf(b) / (expected * scale) - 1) < 0.13, `${deviationOf(b)}`);
    }
  };

  it("has the shapes of the adapter, and the scale that its B is multiplied by", () => {
    const noise = new Map(noiseOf(shapes, { seed: 1 }));
    assert.deepEqual([...noise.keys()], ["net.a", "net.b"]);
    for (const [module, { a, b, ...shape }] of noise) {
      assert.deepEqual(shape, shapes.get(module));
      assert.deepEqual([a.length, b.length], [shape.rank * shape.inputSize, shape.rank * shape.outputSize]);
    }
    assertDeviations(noise, 0.02);
  });

  it("has the standard deviation that is asked for, times the square root of the rank's scale", () => {
    assertDeviations(new Map(noiseOf(shapes, { seed: 1, initScale: 0.1, rankScale: 0.25 })), 0.05);
  });

  it("is the same for a seed, in whatever order modules come, and another for another", () => {
    const again = new Map(noiseOf(new Map([...shapes].reverse()), { seed: 1 }));
    const noise = new Map(noiseOf(shapes, { seed: 1 }));
    assert.deepEqual([...again], [...noise]);
    assert.notDeepEqual(new Map(noiseOf(shapes, { seed: 2 })), noise);
    assert.notDeepEqual(noise.get("net.a")!.a, noise.get("net.b")!.a.subarray(0, 800));
  });
});
