/** Distribution, makeSampler, seededRandom. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Distribution } from "../../src/model/generation/distribution.ts";
import { seededRandom } from "../../src/model/generation/random.ts";
import { makeSampler } from "../../src/model/generation/sampler.ts";

/** Probabilities 0.5, 0.25, 0.125, 0.125. */
const halves = new Distribution(new Float32Array([0.5, 0.25, 0.125, 0.125].map(Math.log)));

function shares(options: Partial<Parameters<typeof makeSampler>[0]>, distribution = halves): number[] {
  const sample = makeSampler({ temperature: 1, topP: 1, seed: 7, ...options });
  const counts = new Array(distribution.vocabularySize).fill(0);
  for (let draw = 0; draw < 20_000; draw++) counts[sample(distribution)]++;
  return counts.map((count) => count / 20_000);
}

function assertNear(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.ok(actual.every((value, index) => Math.abs(value - expected[index]!) <= tolerance), `${actual}`);
}

describe("Distribution", () => {
  it("gives natural logarithms that sum to one", () => {
    assert.ok(Math.abs(halves.logprob(0) - Math.log(0.5)) < 1e-7);
    const total = [0, 1, 2, 3].reduce((sum, id) => sum + Math.exp(halves.logprob(id)), 0);
    assert.ok(Math.abs(total - 1) < 1e-12);
  });

  it("is not thrown off by large logits", () => {
    const distribution = new Distribution(new Float32Array([3e38, 3e38]));
    assert.ok(Math.abs(distribution.logprob(0) - Math.log(0.5)) < 1e-12);
  });

  it("lists the likeliest first, the lower id first where they are equal", () => {
    assert.deepEqual(halves.likeliest(3), [0, 1, 2]);
    assert.deepEqual(halves.likeliest(99), [0, 1, 2, 3]);
    assert.deepEqual(halves.likeliest(0), []);
  });

  it("lists the same as a full sort, for any count", () => {
    const random = seededRandom(1);
    const logits = Float32Array.from({ length: 3_000 }, () => Math.round(random() * 500));
    const sorted = [...logits.keys()].sort((one, other) => logits[other]! - logits[one]! || one - other);
    const distribution = new Distribution(logits);
    for (const count of [1, 2, 20, 500, 2_999, 3_000]) {
      assert.deepEqual(distribution.likeliest(count), sorted.slice(0, count));
    }
  });

  it("sums up the tail, null when nothing is left", () => {
    assert.ok(Math.abs(halves.tailLogprob([0, 1])! - Math.log(0.25)) < 1e-7);
    assert.equal(halves.tailLogprob([0, 1, 2, 3]), null);
  });

  for (const broken of [[NaN, 1], [Infinity, 1], [-Infinity, -Infinity]]) {
    it(`refuses logits that are not numbers: ${broken}`, () => {
      assert.throws(() => new Distribution(new Float32Array(broken)), { code: "invalid_request" });
    });
  }
});

describe("makeSampler", () => {
  it("takes the likeliest token at temperature 0, the lowest id of equals", () => {
    assert.equal(makeSampler({ temperature: 0, topP: 1, seed: 0 })(new Distribution(new Float32Array([1, 3, 3]))), 1);
  });

  it("draws in proportion to the probabilities", () => {
    assertNear(shares({}), [0.5, 0.25, 0.125, 0.125], 0.012);
  });

  it("sharpens below temperature 1 and flattens above", () => {
    assertNear(shares({ temperature: 0.5 }), [16 / 22, 4 / 22, 1 / 22, 1 / 22], 0.012);
    assertNear(shares({ temperature: 1e9 }), [0.25, 0.25, 0.25, 0.25], 0.012);
    assert.deepEqual(shares({ temperature: 1e-300 }), [1, 0, 0, 0]);
  });

  it("draws from the nucleus only, which holds the fewest tokens that reach top-p", () => {
    assertNear(shares({ topP: 0.7 }), [2 / 3, 1 / 3, 0, 0], 0.012);
    assert.deepEqual(shares({ topP: 0.4 }), [1, 0, 0, 0]);
    assert.deepEqual(shares({ topP: 1e-9 }), [1, 0, 0, 0]);
    assertNear(shares({ topP: 0.99 }), [0.5, 0.25, 0.125, 0.125], 0.012);
  });

  it("draws the same tokens from the same seed, others from another", () => {
    const draws = (seed: number): number[] => {
      const sample = makeSampler({ temperature: 1, topP: 1, seed });
      return Array.from({ length: 32 }, () => sample(halves));
    };
    assert.deepEqual(draws(5), draws(5));
    assert.notDeepEqual(draws(5), draws(6));
  });
});

describe("seededRandom", () => {
  it("gives these numbers for seed 42, on every runtime", () => {
    const random = seededRandom(42);
    assert.deepEqual([random(), random(), random()], [0.29131022954605823, 0.11133799525571064, 0.3166959684496662]);
  });

  it("tells all seeds apart, the largest and 0 too", () => {
    const firsts = [0, 1, 2 ** 31, 2 ** 32 - 1].map((seed) => seededRandom(seed)());
    assert.equal(new Set(firsts).size, 4);
    assert.ok(firsts.every((number) => number >= 0 && number < 1));
  });
});
