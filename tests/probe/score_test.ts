import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bandOf, DEFAULT_WEIGHTS, type Scored, scoreOf } from "../../src/probe/score.ts";

function result(category: Scored["category"], score: number | null, more: Partial<Scored> = {}): Scored {
  return { name: category, kind: "any", category, verdict: "pass", score, weight: 1, message: "", ...more };
}

describe("scoreOf", () => {
  it("is the weighted mean of the categories that were judged", () => {
    const { overall, band, components } = scoreOf([result("adherence", 0.9), result("ablation", 0.3)], DEFAULT_WEIGHTS);
    assert.ok(Math.abs(overall! - (0.3 * 0.9 + 0.15 * 0.3) / 0.45) < 1e-15);
    assert.equal(band, "healthy");
    assert.deepEqual(components, {
      adherence: 0.9,
      attribution: null,
      calibration: null,
      ablation: 0.3,
      baseline: null,
    });
  });

  it("weighs the probes of a category by their own weights", () => {
    const probes = [result("adherence", 1, { weight: 3 }), result("adherence", 0)];
    assert.equal(scoreOf(probes, DEFAULT_WEIGHTS).components.adherence, 0.75);
    const silent = [result("adherence", 1, { weight: 0 }), result("adherence", 0.25)];
    assert.equal(scoreOf(silent, DEFAULT_WEIGHTS).overall, 0.25);
  });

  it("leaves out what was skipped or could not be run", () => {
    const probes = [
      result("adherence", 0.8),
      result("adherence", null, { verdict: "skip" }),
      result("calibration", 0, { verdict: "error" }),
    ];
    assert.equal(scoreOf(probes, DEFAULT_WEIGHTS).overall, 0.8);
  });

  it("has no score where nothing was judged: noise is not a verdict on what nobody measured", () => {
    for (const probes of [[], [result("baseline", 1)], [result("adherence", null, { verdict: "error" })]]) {
      const { overall, band } = scoreOf(probes, DEFAULT_WEIGHTS);
      assert.deepEqual([overall, band], [null, null]);
    }
  });

  it("follows other weights", () => {
    const weights = { ...DEFAULT_WEIGHTS, adherence: 0, ablation: 1 };
    assert.equal(scoreOf([result("adherence", 1), result("ablation", 0.5)], weights).overall, 0.5);
  });

  it("tells first what could not be run, then what failed, then what is low, five at most", () => {
    const { findings } = scoreOf([
      result("adherence", 0.1, { name: "a", verdict: "fail", message: "too little" }),
      result("ablation", null, { name: "b", verdict: "error", message: "broken" }),
      result("calibration", 0.9),
    ], DEFAULT_WEIGHTS);
    assert.deepEqual(findings, [
      "could not be run: b: broken",
      "failed: a: too little",
      "adherence is no better than noise: 0.10",
    ]);
    const many = Array.from({ length: 9 }, () => result("adherence", 0, { verdict: "fail" }));
    assert.equal(scoreOf(many, DEFAULT_WEIGHTS).findings.length, 5);
  });
});

describe("bandOf", () => {
  it("draws dlm-sway's lines", () => {
    const bands = [0, 0.299, 0.3, 0.599, 0.6, 0.85, 0.851, 1].map(bandOf);
    assert.deepEqual(bands, [
      "noise",
      "noise",
      "partial",
      "partial",
      "healthy",
      "healthy",
      "suspicious",
      "suspicious",
    ]);
  });
});
