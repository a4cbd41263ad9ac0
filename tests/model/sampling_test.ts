/** Distribution, LogitsProcessor, makeSampler, resolveSampling, seededRandom. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Distribution } from "../../src/model/generation/distribution.ts";
import { LogitsProcessor, type LogitsProcessorOptions } from "../../src/model/generation/logits_processor.ts";
import { seededRandom } from "../../src/model/generation/random.ts";
import { WholeRow } from "../../src/model/generation/row.ts";
import { makeSampler, type SamplerOptions } from "../../src/model/generation/sampler.ts";
import { resolveSampling } from "../../src/model/generation/sampling.ts";
import { greedy } from "./requests.ts";

/** Of probabilities 0.5, 0.25, 0.125, 0.125. */
const logits = new Float32Array([0.5, 0.25, 0.125, 0.125].map(Math.log));
const halves = new Distribution(new WholeRow(logits));
const PLAIN: SamplerOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 7 };

function shares(options: Partial<SamplerOptions>, from: Float32Array | Float64Array = logits): number[] {
  const sample = makeSampler({ ...PLAIN, ...options });
  const counts = new Array(from.length).fill(0);
  for (let draw = 0; draw < 20_000; draw++) counts[sample(from)]++;
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
    const distribution = new Distribution(new WholeRow(new Float32Array([3e38, 3e38])));
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
    const distribution = new Distribution(new WholeRow(logits));
    for (const count of [1, 2, 20, 500, 2_999, 3_000]) {
      assert.deepEqual(distribution.likeliest(count), sorted.slice(0, count));
    }
  });

  it("sums up the tail, null when nothing is left", () => {
    assert.ok(Math.abs(halves.tailLogprob([0, 1])! - Math.log(0.25)) < 1e-7);
    assert.equal(halves.tailLogprob([0, 1, 2, 3]), null);
  });

  it("sums up a tail that is too small for a number other than 0", () => {
    const distribution = new Distribution(new WholeRow(new Float32Array([0, -2000, -2000])));
    assert.ok(Math.abs(distribution.tailLogprob([0])! - (Math.log(2) - 2000)) < 1e-9);
  });

  it("leaves out tokens that cannot come, and gives nothing for a tail of such", () => {
    const distribution = new Distribution(new WholeRow(new Float32Array([1, -Infinity, 0])));
    assert.deepEqual(distribution.likeliest(3), [0, 2]);
    assert.equal(distribution.logprob(1), -Infinity);
    assert.equal(distribution.tailLogprob([0, 2]), null);
  });

  for (const broken of [[NaN, 1], [Infinity, 1], [-Infinity, -Infinity]]) {
    it(`refuses logits that are not numbers: ${broken}`, () => {
      assert.throws(() => new Distribution(new WholeRow(new Float32Array(broken))), { code: "invalid_request" });
    });
  }
});

describe("makeSampler", () => {
  it("takes the likeliest token at temperature 0, the lowest id of equals", () => {
    assert.equal(makeSampler({ ...PLAIN, temperature: 0 })(new Float32Array([1, 3, 3])), 1);
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

  it("draws from the top-k likeliest, the lower id first where they are equal; 0 is off", () => {
    assertNear(shares({ topK: 2 }), [2 / 3, 1 / 3, 0, 0], 0.012);
    assertNear(shares({ topK: 3 }), [4 / 7, 2 / 7, 1 / 7, 0], 0.012);
    assert.deepEqual(shares({ topK: 1 }), [1, 0, 0, 0]);
    for (const topK of [0, 4, 99]) assertNear(shares({ topK }), [0.5, 0.25, 0.125, 0.125], 0.012);
  });

  it("draws from those that are at least min-p times as likely as the likeliest", () => {
    assertNear(shares({ minP: 0.4 }), [2 / 3, 1 / 3, 0, 0], 0.012);
    assertNear(shares({ minP: 0.2 }), [0.5, 0.25, 0.125, 0.125], 0.012);
    assert.deepEqual(shares({ minP: 1 }), [1, 0, 0, 0]);
  });

  it("applies temperature, then top-k, then top-p of what is left, then min-p, as transformers does", () => {
    // Of the three that top-k leaves, 4/7 and 2/7 reach 0.8 together; of all four, 0.5 and 0.25 would not.
    assertNear(shares({ topK: 3, topP: 0.8 }), [2 / 3, 1 / 3, 0, 0], 0.012);
    // At temperature 0.5 the second is a quarter as likely as the first; at 1 it is half as likely.
    assert.deepEqual(shares({ temperature: 0.5, minP: 0.4 }), [1, 0, 0, 0]);
    assertNear(shares({ temperature: 0.5, topP: 0.9 }), [0.8, 0.2, 0, 0], 0.012);
  });

  it("never draws a token that cannot come, and refuses when none is left", () => {
    assertNear(shares({ temperature: 2 }, new Float64Array([0, -Infinity, 0])), [0.5, 0, 0.5], 0.012);
    for (const temperature of [0, 1]) {
      const sample = makeSampler({ ...PLAIN, temperature });
      assert.throws(() => sample(new Float64Array([-Infinity, -Infinity])), { code: "invalid_request" });
    }
  });

  it("draws these tokens for seed 5, on every runtime", () => {
    const random = seededRandom(1);
    const many = Float32Array.from({ length: 5_000 }, () => 12 * random() - 6);
    const draws = (options: Partial<SamplerOptions>): number[] => {
      const sample = makeSampler({ ...PLAIN, ...options });
      return Array.from({ length: 6 }, () => sample(many));
    };
    assert.deepEqual(draws({ seed: 5 }), [4103, 386, 2609, 3017, 4867, 2150]);
    assert.deepEqual(draws({ seed: 5, temperature: 0.7, topK: 50, topP: 0.9, minP: 0.05 }), [
      4444,
      1126,
      2811,
      3228,
      4953,
      2383,
    ]);
    assert.notDeepEqual(draws({ seed: 5 }), draws({ seed: 6 }));
  });
});

describe("LogitsProcessor", () => {
  const NEUTRAL: LogitsProcessorOptions = {
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    logitBias: [],
  };
  const NONE: ReadonlySet<number> = new Set();
  const processed = (
    options: Partial<LogitsProcessorOptions>,
    { prompt = [], answer = [], banned = NONE }: {
      prompt?: readonly number[];
      answer?: readonly number[];
      banned?: ReadonlySet<number>;
    } = {},
  ): number[] => {
    const processor = new LogitsProcessor({ ...NEUTRAL, ...options }, prompt);
    for (const id of answer) processor.took(id);
    return [...processor.process({ logits: new Float32Array([4, -4, 1, 0]) }, banned)];
  };

  it("leaves the model's logits alone when nothing is asked", () => {
    const logits = new Float32Array([1, 2]);
    assert.equal(new LogitsProcessor(NEUTRAL, [0]).process({ logits }, NONE), logits);
  });

  it("takes presence and frequency penalties from tokens of the answer alone, as OpenAI defines them", () => {
    const given = { prompt: [0, 2], answer: [1, 3, 3, 3] };
    assert.deepEqual(processed({ presencePenalty: 0.5 }, given), [4, -4.5, 1, -0.5]);
    assert.deepEqual(processed({ frequencyPenalty: 0.5 }, given), [4, -4.5, 1, -1.5]);
    assert.deepEqual(processed({ presencePenalty: -1, frequencyPenalty: 2 }, given), [4, -5, 1, -5]);
  });

  it("divides positive and multiplies negative logits of prompt and answer by the repetition penalty, once", () => {
    assert.deepEqual(processed({ repetitionPenalty: 2 }, { prompt: [0, 0], answer: [1, 1] }), [2, -8, 1, 0]);
    assert.deepEqual(processed({ repetitionPenalty: 0.5 }, { prompt: [0, 1, 3] }), [8, -2, 1, 0]);
  });

  it("stays among numbers however large a penalty is", () => {
    const changed = processed({ repetitionPenalty: 1e-308 }, { prompt: [0, 2] });
    assert.ok(changed.every(Number.isFinite), String(changed));
  });

  it("adds the bias first, so that the repetition penalty sees it", () => {
    assert.deepEqual(processed({ logitBias: [[0, -5], [3, 1.5]] }), [-1, -4, 1, 1.5]);
    assert.deepEqual(processed({ logitBias: [[0, -5]], repetitionPenalty: 2 }, { prompt: [0] }), [-2, -4, 1, 0]);
  });

  it("lets a banned token come under no circumstances, and knows that there may be none of its id", () => {
    const banned = new Set([0, 9]);
    assert.deepEqual(processed({ logitBias: [[0, 100]] }, { banned }), [-Infinity, -4, 1, 0]);
  });
});

describe("resolveSampling", () => {
  const unsaid = greedy({ temperature: undefined, topP: undefined });

  it("takes what the request says, then what the model recommends, then what changes nothing", () => {
    const recommended = { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.01, repetitionPenalty: 1.1 };
    const { temperature, topK, topP, minP, repetitionPenalty } = resolveSampling(
      { ...unsaid, temperature: 0, topK: 0 },
      recommended,
      10,
    );
    assert.deepEqual([temperature, topK, topP, minP, repetitionPenalty], [0, 0, 0.95, 0.01, 1.1]);
    assert.partialDeepStrictEqual(resolveSampling(unsaid, {}, 10), {
      ...PLAIN,
      seed: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      minTokens: 0,
    });
  });

  for (
    const [parameter, value] of [
      ["temperature", NaN],
      ["topP", 1.1],
      ["topK", -1],
      ["topK", 0.5],
      ["minP", 2],
      ["minP", NaN],
      ["repetitionPenalty", 0],
      ["repetitionPenalty", Infinity],
      ["presencePenalty", 2.5],
      ["frequencyPenalty", NaN],
      ["logitBias", [[10, 1]]],
      ["logitBias", [[1.5, 1]]],
      ["logitBias", [[1, 101]]],
      ["minTokens", -1],
    ] as const
  ) {
    it(`refuses ${parameter} ${JSON.stringify(value)} by name`, () => {
      assert.throws(() => resolveSampling({ ...unsaid, [parameter]: value }, {}, 10), {
        code: "invalid_request",
        parameter,
      });
    });
  }
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
