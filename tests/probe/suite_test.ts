import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROBE_KINDS } from "../../src/probe/registry.ts";
import { DEFAULT_WEIGHTS } from "../../src/probe/score.ts";
import { SpecError } from "../../src/probe/spec_error.ts";
import { readSuite, withProbes } from "../../src/probe/suite.ts";

const DELTA = { kind: "delta_kl", prompts: ["In the beginning"] };

/** Asserts that a suite is refused, where, and in which words. */
function refused(spec: unknown, path: string, words: RegExp): void {
  assert.throws(() => readSuite(spec), (error) => {
    assert.ok(error instanceof SpecError && error instanceof TypeError, String(error));
    assert.equal(error.path, path);
    assert.match(error.message, words);
    return true;
  });
}

describe("readSuite", () => {
  it("puts dlm-sway's defaults in place", () => {
    const suite = readSuite({});
    assert.deepEqual({ ...suite, models: null }, {
      seed: 0,
      topK: 256,
      isDifferential: true,
      weights: DEFAULT_WEIGHTS,
      probes: [],
      models: null,
    });
  });

  it("keeps the order of the probes, and calls one without a name after its kind", () => {
    const { probes } = readSuite({ suite: [{ kind: "null_adapter" }, { ...DELTA, name: "ours", weight: 2 }, DELTA] });
    assert.deepEqual(
      probes.map(({ name, kind, category, weight, enabled }) => [name, kind, category, weight, enabled]),
      [
        ["null_adapter", "null_adapter", "baseline", 1, true],
        ["ours", "delta_kl", "adherence", 2, true],
        ["delta_kl", "delta_kl", "adherence", 1, true],
      ],
    );
  });

  it("lets noise be measured for every kind but itself", () => {
    const kinds = [...PROBE_KINDS.keys()].filter((kind) => kind !== "null_adapter");
    assert.equal(readSuite({ suite: [{ kind: "null_adapter", calibrate_kinds: kinds }] }).probes.length, 1);
  });

  it("takes the weights that are said, and the others as they are", () => {
    const { weights } = readSuite({ defaults: { score_weights: { ablation: 1, adherence: 0 } } });
    assert.deepEqual(weights, { ...DEFAULT_WEIGHTS, ablation: 1, adherence: 0 });
  });

  it("names the nearest kind of probe when there is none of that name", () => {
    refused({ suite: [DELTA, { kind: "delta_lk" }] }, "suite[1].kind", /"delta_lk"; did you mean delta_kl\?/);
    refused(
      { suite: [{ kind: "leakage" }] },
      "suite[0].kind",
      /unknown kind of probe "leakage" \(known: null_adapter,/,
    );
  });

  it("names the nearest field when there is none of that name, however deep", () => {
    refused({ suites: [] }, "suites", /did you mean suite\?/);
    refused({ defaults: { sed: 1 } }, "defaults.sed", /did you mean seed\?/);
    refused({ suite: [{ ...DELTA, promts: [] }] }, "suite[0].promts", /did you mean prompts\?/);
    const triples = [{ prompt: "a", chosen: "b", rejectd: "c", rejected: "c" }];
    refused(
      { suite: [{ kind: "preference_flip", triples }] },
      "suite[0].triples[0].rejectd",
      /did you mean rejected\?/,
    );
  });

  const CASES: [title: string, spec: unknown, path: string, words: RegExp][] = [
    ["what is no object", [], "", /received \[\]/],
    ["another version", { version: 2 }, "version", /received 2/],
    ["a document that nobody here can read", { dlm_source: "a.dlm" }, "dlm_source", /a\.dlm/],
    ["an entry without a kind", { suite: [{ prompts: ["a"] }] }, "suite[0].kind", /it is missing/],
    ["an entry that is no object", { suite: ["delta_kl"] }, "suite[0]", /received "delta_kl"/],
    ["no prompts", { suite: [{ kind: "delta_kl" }] }, "suite[0].prompts", /it is missing/],
    ["an empty list of prompts", { suite: [{ ...DELTA, prompts: [] }] }, "suite[0].prompts", /received \[\]/],
    ["an empty prompt", { suite: [{ ...DELTA, prompts: ["a", ""] }] }, "suite[0].prompts[1]", /received ""/],
    ["another divergence", { suite: [{ ...DELTA, divergence: "tv" }] }, "suite[0].divergence", /received "tv"/],
    ["a top_k of 0", { suite: [{ ...DELTA, top_k: 0 }] }, "suite[0].top_k", /received 0/],
    ["two probes of one name", { suite: [DELTA, DELTA] }, "suite[1].name", /delta_kl/],
    ["a seed below 0", { defaults: { seed: -1 } }, "defaults.seed", /received -1/],
    ["a seed of more than 32 bits", { defaults: { seed: 2 ** 32 } }, "defaults.seed", /4294967296/],
    [
      "an unknown category",
      { defaults: { score_weights: { adherance: 1 } } },
      "defaults.score_weights.adherance",
      /adherence\?/,
    ],
    ["a weight below 0", { defaults: { score_weights: { ablation: -1 } } }, "defaults.score_weights.ablation", /-1/],
    [
      "noise for a kind that does not exist",
      {
        suite: [{ kind: "null_adapter", calibrate_kinds: ["delta_lk"] }],
      },
      "suite[0].calibrate_kinds[0]",
      /delta_kl.*received "delta_lk"/,
    ],
    ["no seeds for noise", { suite: [{ kind: "null_adapter", runs: 0 }] }, "suite[0].runs", /received 0/],
    [
      "more noise than there is time for",
      { suite: [{ kind: "null_adapter", runs: 11 }] },
      "suite[0].runs",
      /received 11/,
    ],
    ["noise of no strength", { suite: [{ kind: "null_adapter", init_scale: 0 }] }, "suite[0].init_scale", /received 0/],
    [
      "noise of no rank",
      { suite: [{ kind: "null_adapter", rank_multipliers: [1, 0] }] },
      "suite[0].rank_multipliers[1]",
      /0/,
    ],
    [
      "a case without paraphrases",
      {
        suite: [{ kind: "adapter_revert", cases: [{ prompt: "a", gold: "b", paraphrases: [] }] }],
      },
      "suite[0].cases[0].paraphrases",
      /\[\]/,
    ],
    [
      "weights that no sum can hold",
      { suite: [{ kind: "delta_kl", prompts: ["a"], weight: 1e308 }] },
      "suite[0].weight",
      /1e\+308/,
    ],
    [
      "weights of categories that no sum can hold",
      { defaults: { score_weights: { adherence: 1e308, ablation: 1e308 } } },
      "defaults.score_weights.adherence",
      /1e\+308/,
    ],
    [
      "more texts than there is time for",
      {
        suite: [{ kind: "external_perplexity", texts: Array(1001).fill("a") }],
      },
      "suite[0].texts",
      /1000/,
    ],
    ["an unknown corpus", { suite: [{ kind: "external_perplexity", corpus: "mine" }] }, "suite[0].corpus", /mine/],
    [
      "texts too short to say anything",
      {
        suite: [{ kind: "external_perplexity", texts: ["short"] }],
      },
      "suite[0].texts",
      /64 characters/,
    ],
    [
      "strengths that do not rise",
      {
        suite: [{ kind: "adapter_ablation", prompts: ["a"], lambdas: [0, 1, 0.5] }],
      },
      "suite[0].lambdas",
      /0, 1, 0\.5/,
    ],
    [
      "strengths without 1",
      {
        suite: [{ kind: "adapter_ablation", prompts: ["a"], lambdas: [0, 0.5, 1.5] }],
      },
      "suite[0].lambdas",
      /0, 0\.5, 1\.5/,
    ],
    [
      "strengths that end at 1",
      {
        suite: [{ kind: "adapter_ablation", prompts: ["a"], lambdas: [0, 0.5, 1] }],
      },
      "suite[0].lambdas",
      /one above it/,
    ],
  ];
  for (const [title, spec, path, words] of CASES) {
    it(`refuses ${title}`, () => refused(spec, path, words));
  }

  it("refuses weights that leave nothing to count", () => {
    const none = { adherence: 0, attribution: 0, calibration: 0, ablation: 0 };
    refused({ defaults: { score_weights: none } }, "defaults.score_weights", /more than 0/);
  });

  it("tells of what is megabytes long in few words, and compares it with nothing", () => {
    const long = "x".repeat(4_000_000);
    for (const entry of [{ kind: long }, { ...DELTA, [long]: 1 }, { ...DELTA, divergence: long }]) {
      assert.throws(() => readSuite({ suite: [entry] }), ({ message, path }: SpecError) => {
        assert.ok(message.length < 500 && path.length < 500, `${message.length}, ${path.length}`);
        return true;
      });
    }
  });

  it("says where in a request it stands", () => {
    assert.throws(() => readSuite({ version: 3 }, ["spec"]), { path: "spec.version" });
  });
});

describe("withProbes", () => {
  const suite = readSuite({
    suite: [{ kind: "null_adapter" }, { ...DELTA, name: "one" }, { ...DELTA, name: "two" }, {
      kind: "null_adapter",
      name: "late",
    }],
  });
  const names = (some: readonly string[]): string[] => withProbes(suite, some, []).probes.map(({ name }) => name);

  it("keeps what is named, and the noise that was to be measured for it", () => {
    assert.deepEqual(names(["two"]), ["null_adapter", "two"]);
    assert.deepEqual(names(["two", "one"]), ["null_adapter", "one", "two"]);
    assert.deepEqual(names(["null_adapter"]), ["null_adapter"]);
  });

  it("refuses a name that no probe has, with the nearest", () => {
    assert.throws(() => withProbes(suite, ["one", "twoo"], ["probe_names"]), {
      name: "SpecError",
      path: "probe_names[1]",
      message: /"twoo"; did you mean two\?/,
    });
  });
});
