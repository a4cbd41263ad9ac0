/** Rows into one, as Sentence Transformers' Pooling does it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { normalise, pool, type PoolingMode, readPooling } from "../../src/model/embedding/pooling.ts";

const ROWS = Float32Array.of(1, -2, 3, 8, 2, 6);

describe("readPooling", () => {
  it("reads the switches, in the order in which Sentence Transformers joins what they give", () => {
    const config = {
      word_embedding_dimension: 2,
      pooling_mode_lasttoken: true,
      pooling_mode_mean_tokens: true,
      pooling_mode_cls_token: true,
      pooling_mode_max_tokens: false,
      include_prompt: false,
    };
    assert.deepEqual(readPooling(config), { modes: ["cls", "mean", "lasttoken"], includePrompt: false, width: 2 });
  });

  it("takes the mean, with the prompt, where nothing is said", () => {
    assert.deepEqual(readPooling({}), { modes: ["mean"], includePrompt: true, width: undefined });
    assert.deepEqual(readPooling({ pooling_mode_mean_tokens: false }).modes, ["mean"]);
    assert.deepEqual(readPooling({ pooling_mode_max_tokens: true }).modes, ["max"]);
  });

  it("reads modes by name, in their own order, which beat the switches", () => {
    assert.deepEqual(readPooling({ pooling_mode: "cls", pooling_mode_mean_tokens: true }).modes, ["cls"]);
    assert.deepEqual(readPooling({ pooling_mode: ["mean", "max"], embedding_dimension: 2 }).modes, ["mean", "max"]);
  });

  for (
    const [what, config, message] of [
      ["no mode", { pooling_mode: [] }, /no mode: pooling_mode is empty/],
      ["an unknown mode", { pooling_mode_attention: true }, /pooling is not supported: pooling_mode_attention/],
      ["an unknown mode by name", { pooling_mode: "attention" }, /pooling is not supported: "attention"/],
      ["a switch in words", { pooling_mode_cls_token: "yes" }, /pooling_mode_cls_token is not true or false: "yes"/],
      ["an include_prompt in numbers", { include_prompt: 0 }, /include_prompt is not true or false: 0/],
      ["rows of no width", { word_embedding_dimension: -1 }, /word_embedding_dimension is not a positive integer: -1/],
    ] as const
  ) it(`refuses ${what}`, () => assert.throws(() => readPooling(config), message));
});

describe("pool", () => {
  for (
    const [mode, expected, withoutPrompt] of [
      ["cls", [1, -2], [1, -2]],
      ["lasttoken", [2, 6], [2, 6]],
      ["max", [3, 8], [3, 8]],
      ["mean", [2, 4], [2.5, 7]],
      ["mean_sqrt_len_tokens", [6 / Math.sqrt(3), 12 / Math.sqrt(3)], [5 / Math.SQRT2, 14 / Math.SQRT2]],
      ["weightedmean", [(1 + 2 * 3 + 3 * 2) / 6, (-2 + 2 * 8 + 3 * 6) / 6], [(2 * 3 + 3 * 2) / 5, (2 * 8 + 3 * 6) / 5]],
    ] as const
  ) {
    it(`takes ${mode}, with a prompt and without`, () => {
      assert.deepEqual([...pool(ROWS, 2, [mode], 0)], expected);
      assert.deepEqual([...pool(ROWS, 2, [mode], 1)], withoutPrompt);
    });
  }

  it("joins what several give", () => {
    assert.deepEqual([...pool(ROWS, 2, ["cls", "max"], 0)], [1, -2, 3, 8]);
  });

  it("adds up in float64: what float32 would swallow is there", () => {
    assert.deepEqual([...pool(Float32Array.of(2 ** 24, 1, 1), 1, ["mean"], 0)], [(2 ** 24 + 2) / 3]);
  });

  it("shows what is not a number, whichever token has it", () => {
    const modes: PoolingMode[] = ["max", "mean", "weightedmean", "mean_sqrt_len_tokens"];
    for (const at of [0, 1, 2]) {
      const rows = Float32Array.of(1, 2, 3);
      rows[at] = NaN;
      assert.ok(pool(rows, 1, modes, 0).every(Number.isNaN), String(at));
    }
  });
});

describe("normalise", () => {
  it("makes a vector's length 1", () => {
    assert.deepEqual([...normalise(Float64Array.of(3, -4))], [0.6, -0.8]);
  });

  it("leaves zeros as they are", () => {
    assert.deepEqual([...normalise(new Float64Array(2))], [0, 0]);
  });
});
