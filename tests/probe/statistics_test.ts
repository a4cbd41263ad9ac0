/** The arithmetic that verdicts rest on: noise, z-scores, bootstrap intervals, and names that were meant. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { baselineOf, baselinesBody, LEAST_DEVIATION, scoreOfZ, standing } from "../../src/probe/baseline.ts";
import { bootstrapInterval } from "../../src/probe/bootstrap.ts";
import { judge } from "../../src/probe/judge.ts";
import { nearestName } from "../../src/probe/nearest_name.ts";
import { sound } from "../../src/probe/sound.ts";

describe("baselineOf", () => {
  it("is mean and standard deviation of the whole population", () => {
    const { mean, std, n, degenerate } = baselineOf(1, [2, 4, 4, 4, 5, 5, 7, 9]);
    assert.deepEqual([mean, std, n, degenerate], [5, 2, 8, false]);
  });

  it("cannot be trusted with one seed, or with seeds that agree to the last digits", () => {
    assert.equal(baselineOf(1, [0.5]).degenerate, true);
    const alike = baselineOf(1, [0.5, 0.5 + 1e-9]);
    assert.deepEqual([alike.degenerate, alike.std], [true, LEAST_DEVIATION]);
  });
});

describe("standing", () => {
  const noise = baselineOf(1, [0, 2]);

  it("counts standard deviations in the direction that is better", () => {
    assert.equal(standing(4, [noise], "higher").zScore, 3);
    assert.equal(standing(4, [noise], "lower").zScore, -3);
  });

  it("is nothing without a baseline to trust", () => {
    assert.deepEqual(standing(4, [], "higher"), { zScore: null, byRank: null });
    assert.equal(standing(4, [baselineOf(1, [1])], "higher").zScore, null);
    assert.equal(standing(NaN, [noise], "higher").zScore, null);
    const degenerate = [baselineOf(1, [1]), baselineOf(2, [1])];
    assert.deepEqual(standing(4, degenerate, "higher"), { zScore: null, byRank: null });
  });

  it("tells each strength of noise apart, and goes by the first", () => {
    const measured = [noise, baselineOf(0.5, [0, 1]), baselineOf(2, [3])];
    assert.deepEqual(standing(4, measured, "higher"), { zScore: 3, byRank: { "rank_1.00": 3, "rank_0.50": 7 } });
    const body = baselinesBody(new Map([["probe", measured]]));
    assert.deepEqual(Object.keys((body.probe as { by_rank: object }).by_rank), ["rank_1.00", "rank_0.50", "rank_2.00"]);
  });
});

describe("judge", () => {
  const measured = {
    raw: 4,
    better: "higher",
    words: "it is 4",
    leastZ: 3,
    fixed: { passes: false, words: "below 5", score: 1.5 },
  } as const;

  it("goes by noise where there is some, and else by the threshold", () => {
    const against = judge(measured, { baselines: [baselineOf(1, [0, 2])] });
    assert.deepEqual([against.verdict, against.zScore, against.score], ["pass", 3, 1 / (1 + Math.exp(-1))]);
    assert.equal(against.message, "it is 4, z = +3.00 against noise (at least 3)");
    const alone = judge(measured, { baselines: [] });
    assert.deepEqual([alone.verdict, alone.zScore, alone.score], ["fail", null, 1]);
    assert.equal(alone.message, "it is 4, below 5 (not compared with noise)");
  });

  it("says when noise was measured and could not be used", () => {
    const { message } = judge(measured, { baselines: [baselineOf(1, [1])] });
    assert.match(message, /noise varies too little/);
  });

  it("gives a third of a deviation for each e-fold", () => {
    assert.equal(scoreOfZ(0), 0.5);
    assert.ok(Math.abs(Math.log(scoreOfZ(6) / (1 - scoreOfZ(6))) - 2) < 1e-12);
    assert.deepEqual([scoreOfZ(1e9), scoreOfZ(-1e9)], [1, 0]);
  });
});

describe("bootstrapInterval", () => {
  const interval = (values: readonly number[], seed: number) =>
    bootstrapInterval(values, seed, () => Promise.resolve());

  it("is the same for the same seed, and another for another", async () => {
    const values = [0.1, 0.4, 0.2, 0.9, 0.3];
    assert.deepEqual(await interval(values, 7), await interval(values, 7));
    assert.notDeepEqual(await interval(values, 7), await interval(values, 8));
  });

  it("agrees with the normal approximation where that holds", async () => {
    const values = Array.from({ length: 400 }, (_, index) => Math.sin(index * 12.9898) * 10);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const error = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0)) / values.length;
    const [low, high] = (await interval(values, 1))!;
    assert.ok(Math.abs(low - (mean - 1.96 * error)) < 0.15 * error, `${low}`);
    assert.ok(Math.abs(high - (mean + 1.96 * error)) < 0.15 * error, `${high}`);
  });

  it("has no width where all values are alike, and is none for fewer than two", async () => {
    assert.deepEqual(await interval([0.1, 0.1, 0.1], 1), [0.1, 0.1]);
    assert.equal(await interval([0.1], 1), null);
    assert.equal(await interval([], 1), null);
  });

  it("gives others their turn, and ends where a pause does", async () => {
    const left = new Error("left");
    let pauses = 0;
    const pause = (): Promise<void> => ++pauses === 3 ? Promise.reject(left) : Promise.resolve();
    await assert.rejects(bootstrapInterval([1, 2], 1, pause), left);
  });
});

describe("sound", () => {
  const finding = { verdict: "pass", score: 0.5, raw: 1, message: "fine" } as const;

  it("lets finite numbers pass, and makes an error of a number that is none", () => {
    assert.equal(sound(finding), finding);
    const { verdict, score, raw, evidence } = sound({ ...finding, raw: NaN, zScore: Infinity });
    assert.deepEqual([verdict, score, raw], ["error", null, undefined]);
    assert.deepEqual(evidence, { non_finite: { raw: "NaN", zScore: "Infinity" } });
  });

  it("leaves out other numbers that are none, and names them", () => {
    const { verdict, baseValue, evidence } = sound({ ...finding, baseValue: -Infinity });
    assert.deepEqual([verdict, baseValue, evidence], ["pass", null, { non_finite: { baseValue: "-Infinity" } }]);
  });
});

describe("nearestName", () => {
  it("finds what was meant, and nothing where nothing is near", () => {
    const known = ["prompts", "top_k", "divergence"];
    assert.equal(nearestName("prompt", known), "prompts");
    assert.equal(nearestName("topK", known), "top_k");
    assert.equal(nearestName("divergance", known), "divergence");
    assert.equal(nearestName("sede", ["spec", "seed"]), "seed", "neighbours swapped are one slip");
    assert.equal(nearestName("temperature", known), undefined);
  });
});
