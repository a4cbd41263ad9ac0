import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import { reportOf } from "../../src/probe/report.ts";
import { runSuite, type RunSuiteOptions, type SuiteProgress, type SuiteResult } from "../../src/probe/run_suite.ts";
import type { Subject } from "../../src/probe/subject.ts";
import { readSuite } from "../../src/probe/suite.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { constant, distribution, scripted, twoSides } from "./scripted.ts";

const DELTA = { kind: "delta_kl", prompts: ["one", "two"] };
const TWO = twoSides(constant(0.5, 0.3, 0.2), constant(0.2, 0.3, 0.5));

function run(
  entries: readonly object[],
  subject: Subject = TWO,
  options: Partial<RunSuiteOptions> = {},
): Promise<SuiteResult> {
  return runSuite(subject, readSuite({ suite: entries }), { clock: new ManualClock(), ...options });
}

const verdicts = ({ probes }: SuiteResult): string[][] => probes.map(({ name, verdict }) => [name, verdict]);

describe("runSuite", () => {
  it("runs the probes in the order of the suite, and times them", async () => {
    const clock = new ManualClock();
    const slow = scripted(() => {
      clock.advance(250);
      return distribution(0.9, 0.1);
    });
    const { probes, duration, startedAt, finishedAt } = await run(
      [DELTA, { ...DELTA, name: "again" }],
      twoSides(slow, slow),
      { clock },
    );
    // Two questions for each side, and before them one for each side.
    assert.deepEqual(probes.map(({ name, duration }) => [name, duration]), [["delta_kl", 1000], ["again", 1000]]);
    assert.equal(duration, 2500);
    assert.equal(finishedAt - startedAt, 2500);
  });

  it("hands what noise came to to the probes after it, and to none before", async () => {
    const seen: number[] = [];
    const noise = ({ seed }: { readonly seed: number }) => {
      seen.push(seed);
      return constant(0.5, 0.3 - (seed - 999) / 100, 0.2 + (seed - 999) / 100);
    };
    const result = await run([{ ...DELTA, name: "before" }, { kind: "null_adapter" }, { ...DELTA, name: "after" }], {
      ...TWO,
      noise,
    });
    assert.deepEqual(seen, [1000, 1001, 1002]);
    assert.deepEqual([...result.baselines.keys()], ["after"]);
    assert.deepEqual(result.probes.map(({ zScore }) => typeof zScore), ["object", "undefined", "number"]);
    const { mean, std } = result.baselines.get("after")![0]!;
    assert.equal(result.probes[2]!.zScore, (result.probes[2]!.raw! - mean) / std);
  });

  it("finds no more than noise between a model and itself", async () => {
    const { score, probes } = await run([DELTA], twoSides(constant(0.5, 0.3, 0.2), constant(0.5, 0.3, 0.2)));
    assert.deepEqual([score.overall, score.band, probes[0]!.verdict], [0, "noise", "fail"]);
  });

  it("makes a verdict of a probe that fails, and goes on", async () => {
    const rejecting = scripted(({ kind }) => {
      if (kind === "rollingLogprobs") throw new ModelError("prompt_too_long", "Cannot read 700 tokens");
      return distribution(0.2, 0.8);
    });
    const result = await run([{ kind: "external_perplexity" }, DELTA], twoSides(TWO.base, rejecting));
    assert.deepEqual(verdicts(result)[0], ["external_perplexity", "error"]);
    assert.equal(result.probes[0]!.message, "ModelError: Cannot read 700 tokens");
    assert.match(result.probes[1]!.message, /the vocabularies differ in size/);
    assert.deepEqual(result.score.overall, null);
  });

  it("makes an error of a number that is none", async () => {
    const odd = scripted(({ kind }) =>
      kind === "nextToken" ? distribution(0.2, 0.8) : { ids: [0, 1], logprobs: [NaN], total: NaN }
    );
    const { probes: [probe] } = await run([{ kind: "external_perplexity" }], twoSides(odd, odd));
    assert.deepEqual([probe!.verdict, probe!.score, probe!.raw], ["error", null, undefined]);
  });

  it("skips what is switched off, without asking", async () => {
    const result = await run([{ ...DELTA, enabled: false }]);
    assert.deepEqual(verdicts(result), [["delta_kl", "skip"]]);
    assert.equal(result.score.overall, null);
  });

  it("tells how far it is", async () => {
    const heard: SuiteProgress[] = [];
    await run([DELTA, { ...DELTA, name: "two" }], TWO, { onProgress: (progress) => heard.push(progress) });
    assert.deepEqual(heard, [
      { probe: undefined, done: 0, of: 2 },
      { probe: "delta_kl", done: 0, of: 2 },
      { probe: "two", done: 1, of: 2 },
    ]);
  });

  it("gives the same result for the same seed, and other intervals for another", async () => {
    let turn = 0;
    const varying = (): Subject =>
      twoSides(TWO.base, scripted(() => distribution(0.2 + (turn++ % 5) / 50, 0.3, 0.5 - ((turn - 1) % 5) / 50)));
    const prompts = ["a", "b", "c", "d", "e"];
    const results = [];
    for (const seed of [7, 7, 8]) {
      turn = 0;
      results.push(await run([{ ...DELTA, prompts }], varying(), { seed }));
    }
    assert.deepEqual(results[0]!.probes, results[1]!.probes);
    assert.notDeepEqual(results[0]!.probes[0]!.ci95, results[2]!.probes[0]!.ci95);
    assert.deepEqual(results.map(({ seed }) => seed), [7, 7, 8]);
  });

  it("takes the suite's own seed where none is given", async () => {
    const suite = readSuite({ defaults: { seed: 5 }, suite: [DELTA] });
    assert.equal((await runSuite(TWO, suite, { clock: new ManualClock() })).seed, 5);
  });

  it("refuses a misspelled option and a seed of more than 32 bits", async () => {
    await assert.rejects(run([], TWO, { sed: 1 } as object), { name: "TypeError", message: /sed/ });
    await assert.rejects(run([], TWO, { seed: 2 ** 32 }), { name: "RangeError", message: /4294967296/ });
  });

  it("refuses a model for embeddings that is not there, before anybody is asked", async () => {
    const silent = scripted(() => {
      throw new Error("nobody may ask");
    });
    const cases = [{ prompt: "a", gold: "b", paraphrases: ["c"] }];
    const entry = { kind: "adapter_revert", cases, embedding_model: "nowhere" };
    await assert.rejects(run([DELTA, entry], twoSides(silent, silent)), { path: "suite[1].embedding_model" });
  });
});

describe("the look at both sides", () => {
  const BROKEN: readonly [title: string, side: Subject["base"], words: RegExp][] = [
    ["whose numbers are none", scripted(() => distribution(NaN, 0.5)), /A log-probability is not finite: NaN/],
    ["that finds every token equally likely", constant(0.25, 0.25, 0.25, 0.25), /Every token is equally likely/],
    [
      "that refuses to answer with what is no number",
      scripted(() => {
        throw new ModelError("invalid_request", "The model's answer to this request is not a number: NaN");
      }),
      /is not a number: NaN/,
    ],
  ];
  for (const [title, side, words] of BROKEN) {
    it(`ends the suite at a model ${title}, with one result that says so`, async () => {
      for (
        const [subject, name] of [[twoSides(side, TWO.adapter), "base"], [twoSides(TWO.base, side), "adapter"]] as const
      ) {
        const result = await run([DELTA], subject);
        assert.deepEqual(verdicts(result), [["__preflight__", "error"]]);
        assert.equal(result.probes[0]!.kind, "preflight");
        assert.match(result.probes[0]!.message, words);
        assert.match(String(result.probes[0]!.evidence!.preflight_reason), new RegExp(`^${name}: `));
        assert.deepEqual([result.score.overall, result.score.band], [null, null]);
      }
    });
  }

  it("passes on that a model cannot be loaded", async () => {
    const error = new ModelError("model_load_failed", "Cannot load it");
    const missing = scripted(() => {
      throw error;
    });
    await assert.rejects(run([DELTA], twoSides(TWO.base, missing)), error);
  });
});

describe("a suite that ends early", () => {
  it("ends with the reason of its signal, at the question that is being asked", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let asked = 0;
    const side = scripted(() => {
      if (++asked === 3) controller.abort(reason);
      return distribution(0.1, 0.9);
    });
    await assert.rejects(
      run([DELTA, DELTA].map((entry, at) => ({ ...entry, name: `${at}` })), twoSides(side, side), {
        signal: controller.signal,
      }),
      reason,
    );
    assert.ok(asked < 6, `${asked} questions`);
  });

  for (const code of ["identity_changed", "model_not_found", "closed"] as const) {
    it(`ends when a model reports ${code}: nothing after it would be about the same`, async () => {
      let asked = 0;
      const side = scripted(() => {
        if (++asked > 3) throw new ModelError(code, "gone");
        return distribution(0.1, 0.9);
      });
      await assert.rejects(run([DELTA], twoSides(side, side)), { code });
      await assert.rejects(
        run([{ kind: "null_adapter" }, DELTA], twoSides(TWO.base, TWO.adapter, { noise: () => side })),
        {
          code,
        },
      );
    });
  }
});

describe("reportOf", () => {
  it("has dlm-sway's shape", async () => {
    const clock = new ManualClock();
    const result = await run([{ kind: "null_adapter" }, DELTA], TWO, { clock });
    const report = reportOf(result, {
      version: "1.2.3",
      specPath: "suite.yaml",
      baseModel: "base",
      adapter: "adapter",
      identities: { base: "b", ft: "f" },
      isExact: true,
      backendStats: { cache_hits: 1 },
    });
    assert.deepEqual(Object.keys(report), [
      "schema_version",
      "warmcache_version",
      "spec_path",
      "base_model_id",
      "adapter_id",
      "identities",
      "started_at",
      "finished_at",
      "wall_seconds",
      "determinism",
      "backend_stats",
      "score",
      "null_stats",
      "probes",
    ]);
    assert.deepEqual(Object.keys(report.score), ["overall", "band", "components", "weights", "findings"]);
    assert.deepEqual(Object.keys(report.probes[1]!), [
      "name",
      "kind",
      "verdict",
      "score",
      "raw",
      "z_score",
      "base_value",
      "ft_value",
      "evidence",
      "message",
      "duration_s",
      "ci_95",
    ]);
    assert.equal(report.started_at, new Date(clock.now()).toISOString());
    assert.deepEqual(report.determinism, { class: "strict", seed: 0, notes: [] });
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
  });
});
