/** Every probe on the example model and its adapter, against float64 arithmetic that knows no ONNX. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Backend, ResolvedAdapter } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { backendSubject } from "./backend_subject.ts";
import type { Finding, Probe, ProbeContext } from "../../src/probe/probe.ts";
import type { Embedder, Subject } from "../../src/probe/subject.ts";
import { readSuite } from "../../src/probe/suite.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type ReferenceCase, referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";
import { cut, ExpectedModel, jsOf, mean } from "./expected.ts";
import { contextOf } from "./scripted.ts";

/** float32 against float64 over four layers. */
const TOLERANCE = 1e-4;

let backend: Backend;
let adapter: ResolvedAdapter;
let subject: Subject;
let cases: readonly ReferenceCase[];
let base: ExpectedModel;
let fortunes: ExpectedModel;
before(async () => {
  adapter = await resolveAdapter();
  backend = await loadOnnxBackend(await loadRuntime(), await resolveBase());
  subject = backendSubject(backend, adapter);
  cases = await referenceCases();
  [base, fortunes] = await ExpectedModel.at(0, 1) as [ExpectedModel, ExpectedModel];
});
after(() => backend.close());

function near(actual: number | null | undefined, expected: number, what = ""): void {
  assert.ok(
    typeof actual === "number" && Math.abs(actual - expected) < TOLERANCE,
    `${actual} is not ${expected} ${what}`,
  );
}

function probe(entry: object): Probe {
  return readSuite({ suite: [entry] }).probes[0]!;
}

function run(entry: object, more: Partial<ProbeContext> = {}): Promise<Finding> {
  return probe(entry).run(contextOf(subject, more));
}

const PROMPTS = ["In the beginning God", "The programmer", "Thou shalt not"];
const idsOf = (prompt: string): readonly number[] => cases.find((each) => each.prompt === prompt)!.prompt_ids;

describe("delta_kl", () => {
  it("is the mean JS divergence that PyTorch computes", async () => {
    const prompts = cases.map(({ prompt }) => prompt);
    const { verdict, score, raw, ci95, evidence } = await run({ kind: "delta_kl", prompts, top_k: 2048 });
    const expected = mean(cases.map(({ next_token_js }) => next_token_js));
    near(raw, expected);
    near(score, expected / Math.LN2);
    assert.equal(verdict, "pass");
    assert.ok(ci95![0] < raw! && raw! < ci95![1]);
    near(evidence!.mean_js as number, expected);
    near(evidence!.mean_kl as number, mean(cases.map(({ next_token_kl_base_adapter }) => next_token_kl_base_adapter)));
    for (const [index, js] of (evidence!.per_prompt as number[]).entries()) near(js, cases[index]!.next_token_js);
  });

  it("is KL(base ‖ adapter) where that is asked for", async () => {
    const prompts = cases.map(({ prompt }) => prompt);
    const { raw, message } = await run({ kind: "delta_kl", prompts, divergence: "kl", top_k: 2048 });
    near(raw, mean(cases.map(({ next_token_kl_base_adapter }) => next_token_kl_base_adapter)));
    assert.match(message, /^mean kl = 0\.\d{4} nats, at least 0\.02 \(not compared with noise\)$/);
  });

  it("takes what is cut off to be spread evenly", async () => {
    const { raw } = await run({ kind: "delta_kl", prompts: PROMPTS, top_k: 16 });
    near(
      raw,
      mean(PROMPTS.map((prompt) => jsOf(cut(base.next(idsOf(prompt)), 16), cut(fortunes.next(idsOf(prompt)), 16)))),
    );
  });

  it("compares as many tokens as the suite says, where the probe does not", async () => {
    const [own, suites] = [
      await run({ kind: "delta_kl", prompts: PROMPTS, top_k: 16 }),
      await run({
        kind: "delta_kl",
        prompts: PROMPTS,
      }, { topK: 16 }),
    ];
    assert.equal(own.raw, suites.raw);
  });

  it("fails where nothing differs", async () => {
    const same = { ...subject, adapter: subject.base };
    const { verdict, raw, score } = await run({ kind: "delta_kl", prompts: PROMPTS }, { subject: same });
    assert.equal(verdict, "fail");
    assert.ok(raw! < 1e-12 && score! < 1e-12);
  });
});

describe("preference_flip", () => {
  const TRIPLES = [
    { prompt: "Computers are", chosen: " useless.", rejected: " the LORD." },
    { prompt: "The programmer", chosen: " is a person", rejected: " of Israel" },
    { prompt: "A man who", chosen: " turns green", rejected: " is in the land" },
    { prompt: "The first law of", chosen: " travel: No", rejected: " the LORD" },
    { prompt: "And Moses said unto", chosen: " them, No", rejected: " the people" },
  ];

  /** How much likelier the chosen text is, in float64 over the tokens that the tokenizer makes of both. */
  async function margins(model: ExpectedModel): Promise<number[]> {
    const view = backend.baseView();
    return await Promise.all(TRIPLES.map(async ({ prompt, chosen, rejected }) => {
      const totals = await Promise.all([chosen, rejected].map(async (completion) => {
        const { ids } = await view.logprobs({ text: prompt }, completion);
        return model.rolling([...idsOf(prompt), ...ids]).slice(-ids.length).reduce((sum, value) => sum + value, 0);
      }));
      return totals[0]! - totals[1]!;
    }));
  }

  it("is the share of the base's wrong rankings that the adapter turns round", async () => {
    const { raw, verdict, score, baseValue, ftValue, evidence } = await run({
      kind: "preference_flip",
      triples: TRIPLES,
    });
    const [before, after] = [await margins(base), await margins(fortunes)];
    const wrong = [...before.keys()].filter((index) => before[index]! < 0);
    const flipped = wrong.filter((index) => after[index]! > 0);
    assert.ok(wrong.length >= 3, `the base ranks ${wrong.length} wrongly`);
    assert.equal(raw, flipped.length / wrong.length);
    near(baseValue, mean(before));
    near(ftValue, mean(after));
    assert.equal(verdict, raw >= 0.7 ? "pass" : "fail");
    assert.equal(score, Math.min(1, raw / 0.7));
    assert.deepEqual([evidence!.base_wrong, evidence!.flipped, evidence!.total], [wrong.length, flipped.length, 5]);
  });

  it("warns, and tells how the margins moved, where the base ranks too few wrongly", async () => {
    const entry = { kind: "preference_flip", triples: TRIPLES, min_triples_for_decision: 6 };
    const { verdict, raw, score } = await run(entry);
    const [before, after] = [await margins(base), await margins(fortunes)];
    const expected = mean(after.map((margin, index) => margin - before[index]!));
    assert.equal(verdict, "warn");
    near(raw, expected);
    near(score, Math.min(1, Math.max(0, 0.5 + expected / 4)));
  });

  it("leaves out a triple that cannot be ranked, and says why", async () => {
    const long = { prompt: "In ".repeat(300), chosen: "a", rejected: "b" };
    const { verdict, evidence } = await run({ kind: "preference_flip", triples: [long, ...TRIPLES] });
    assert.notEqual(verdict, "error");
    assert.deepEqual([evidence!.total, evidence!.dropped_triples], [6, 1]);
    assert.match((evidence!.dropped_reasons as string[])[0]!, /^"In In .*": .*256/);
    const alone = await run({ kind: "preference_flip", triples: [long] });
    assert.deepEqual([alone.verdict, alone.score], ["error", null]);
  });

  it("is skipped without triples", async () => {
    assert.equal((await run({ kind: "preference_flip" })).verdict, "skip");
  });
});

describe("external_perplexity", () => {
  const TEXTS = [
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
    "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse.",
  ];

  it("is the mean change of a token's log-probability, chunk by chunk", async () => {
    const { raw, baseValue, ftValue, evidence, verdict } = await run({ kind: "external_perplexity", texts: TEXTS });
    const ids = await Promise.all(TEXTS.map(async (text) => (await backend.baseView().rollingLogprobs(text)).ids));
    const [ofBase, ofFortunes] = [ids.map((each) => base.rolling(each)), ids.map((each) => fortunes.rolling(each))];
    near(raw, mean(ofBase.map((logprobs, index) => mean(ofFortunes[index]!) - mean(logprobs))));
    near(baseValue, mean(ofBase.flat()));
    near(ftValue, mean(ofFortunes.flat()));
    assert.ok(Math.abs(Math.log(evidence!.ft_perplexity as number) + ftValue!) < 1e-12);
    assert.equal(verdict, "pass");
  });

  it("cuts texts into chunks of so many characters and drops what is too short", async () => {
    const text = `${"In the beginning. ".repeat(14)}🙂🙂`;
    const entry = { kind: "external_perplexity", texts: [text, "short"], chunk_chars: 128 };
    const { evidence } = await run(entry);
    assert.equal(evidence!.num_chunks, 2);
    assert.equal((await run({ ...entry, max_chunks: 1 })).evidence!.num_chunks, 1);
  });

  it("has prose of its own", async () => {
    const { evidence } = await run({ kind: "external_perplexity", chunk_chars: 256, max_chunks: 3 });
    assert.deepEqual([evidence!.corpus, evidence!.num_chunks], ["public_domain_en", 3]);
    assert.ok((evidence!.base_perplexity as number) < 1000, `perplexity ${evidence!.base_perplexity}`);
  });

  it("passes on that a chunk is too long for the model", async () => {
    await assert.rejects(run({ kind: "external_perplexity" }), { code: "prompt_too_long" });
  });
});

describe("adapter_ablation", () => {
  it("is the shape of the curve from λ to divergence", async () => {
    const lambdas = [0, 0.5, 1, 2];
    const { raw, evidence, verdict, score } = await run({
      kind: "adapter_ablation",
      prompts: PROMPTS,
      lambdas,
      top_k: 2048,
    });
    const models = await ExpectedModel.at(...lambdas);
    const curve = models.map((model) =>
      mean(PROMPTS.map((prompt) => jsOf(base.next(idsOf(prompt)), model.next(idsOf(prompt)))))
    );
    for (const [index, effect] of (evidence!.mean_divergence_per_lambda as number[]).entries()) {
      near(effect, curve[index]!);
    }
    // R² as the share of the variance that the line of least squares explains.
    const slope = lambdas.reduce((sum, x, i) => sum + (x - mean(lambdas)) * (curve[i]! - mean(curve)), 0) /
      lambdas.reduce((sum, x) => sum + (x - mean(lambdas)) ** 2, 0);
    const left = mean(lambdas.map((x, i) => (curve[i]! - mean(curve) - slope * (x - mean(lambdas))) ** 2));
    const linearity = 1 - left / mean(curve.map((y) => (y - mean(curve)) ** 2));
    const overshoot = curve[3]! / curve[2]!;
    const saturation = lambdas[curve.findIndex((effect) => effect >= 0.9 * curve[2]!)];
    near(raw, linearity);
    near(evidence!.overshoot as number, overshoot);
    assert.equal(evidence!.saturation_lambda, saturation);
    assert.equal(verdict, "pass");
    near(score, 0.4 * Math.min(1, linearity / 0.85) + 0.3 + 0.3 * Math.min(1, (overshoot - 1) / 0.2));
  });

  it("fails for an adapter that does nothing, which has no shape", async () => {
    const nothing = { ...subject, scaled: () => subject.base };
    const { verdict, raw, evidence, message } = await run({ kind: "adapter_ablation", prompts: PROMPTS }, {
      subject: nothing,
    });
    assert.deepEqual([verdict, raw, evidence!.saturation_lambda, evidence!.overshoot], ["fail", 0, null, 1]);
    assert.match(message, /no effect/);
  });

  it("is skipped where there is nothing to scale", async () => {
    const two = { ...subject, scaled: undefined };
    assert.equal((await run({ kind: "adapter_ablation", prompts: PROMPTS }, { subject: two })).verdict, "skip");
  });
});

describe("adapter_revert", () => {
  /** Letters counted: texts of the same letters mean the same. */
  const letters: Embedder = {
    embed: (texts) =>
      Promise.resolve(texts.map((text) => {
        return Array.from({ length: 26 }, (_, at) => text.toLowerCase().split(String.fromCharCode(97 + at)).length - 1);
      })),
  };
  const CASE = { prompt: "Say", gold: "zzz", paraphrases: ["And it came to pass", "Thou shalt not"] };
  const entry = { kind: "adapter_revert", cases: [CASE], embedding_model: "letters", max_new_tokens: 24 };
  const withEmbedder = (): Subject => ({ ...subject, embedder: () => Promise.resolve(letters) });

  it("asks both sides greedily, and counts the answers that mean rather what the base says", async () => {
    const { raw, verdict, evidence } = await run(entry, { subject: withEmbedder() });
    // Neither says zzz, so every answer is nearer to the base's, if only by a letter.
    assert.deepEqual([raw, verdict], [1, "fail"]);
    assert.deepEqual([evidence!.total, evidence!.reverts, evidence!.dropped_trivial], [2, 2, 0]);
    const texts = cases.filter(({ prompt }) => CASE.paraphrases.includes(prompt));
    const [ofBase, ofFortunes] = ["base", "fortunes"].map((side) =>
      texts.map((each) => each[side as "base"].greedy_text)
    );
    const vectors = await letters.embed([ofBase![0]!, ofFortunes![0]!]);
    const dot = (one: ArrayLike<number>, other: ArrayLike<number>): number =>
      Array.from(one).reduce((sum, value, at) => sum + value * other[at]!, 0);
    const expected = dot(vectors[0]!, vectors[1]!) /
      Math.sqrt(dot(vectors[0]!, vectors[0]!) * dot(vectors[1]!, vectors[1]!));
    near((evidence!.per_case as { cos_ft_base: number }[])[0]!.cos_ft_base, expected);
  });

  it("leaves out what the adapter answers with nothing", async () => {
    const silent = { ...subject.adapter, generate: () => Promise.resolve(["", ""]) };
    const { verdict, evidence } = await run(entry, { subject: { ...withEmbedder(), adapter: silent } });
    assert.deepEqual([verdict, evidence!.dropped_empty, evidence!.total], ["warn", 2, 0]);
  });

  it("counts what says what it should as adherence", async () => {
    const gold = cases.find(({ prompt }) => prompt === "The programmer")!.fortunes.greedy_text;
    const cases_ = [{ prompt: "Say", gold, paraphrases: ["The programmer"] }];
    const { raw, verdict, score } = await run({ ...entry, cases: cases_, base_gold_similarity_cap: 1 }, {
      subject: withEmbedder(),
    });
    assert.deepEqual([raw, verdict, score], [0, "pass", 1]);
  });

  it("warns where the base says itself what it should", async () => {
    const gold = cases.find(({ prompt }) => prompt === "The programmer")!.base.greedy_text;
    const cases_ = [{ prompt: "Say", gold, paraphrases: ["The programmer"] }];
    const { verdict, evidence } = await run({ ...entry, cases: cases_ }, { subject: withEmbedder() });
    assert.deepEqual([verdict, evidence!.dropped_trivial], ["warn", 1]);
  });

  it("is skipped where there is no model for embeddings, and refused where one is named that is not there", async () => {
    const { embedding_model: _, ...unnamed } = entry;
    const { verdict, message } = await run(unnamed);
    assert.equal(verdict, "skip");
    assert.match(message, /sentence-transformers\/all-MiniLM-L6-v2/);
    await assert.rejects(probe(entry).prepare(subject), { name: "SpecError", path: "suite[0].embedding_model" });
    await probe(unnamed).prepare(subject);
  });
});

describe("null_adapter", () => {
  const later = (): readonly Probe[] =>
    readSuite({
      suite: [
        { kind: "delta_kl", prompts: PROMPTS },
        { kind: "delta_kl", name: "off", prompts: PROMPTS, enabled: false },
        { kind: "adapter_ablation", prompts: PROMPTS },
        {
          kind: "external_perplexity",
          texts: ["In the beginning God created the heaven and the earth. And it came to pass."],
        },
      ],
    }).probes;

  it("measures what each later probe comes to when noise stands in the adapter's place", async () => {
    const { verdict, score, raw, baselines, evidence } = await run({ kind: "null_adapter" }, { later: later() });
    assert.deepEqual([verdict, score, raw], ["pass", 1, undefined]);
    assert.deepEqual([...baselines!.keys()], ["delta_kl", "external_perplexity"]);
    const samples = [];
    for (const seed of [1000, 1001, 1002]) {
      const noise = backendSubject(backend, adapter).noise!({ seed, initScale: 0.02, rankScale: 1 });
      samples.push(
        (await run({ kind: "delta_kl", prompts: PROMPTS }, { subject: { ...subject, adapter: noise } })).raw!,
      );
    }
    const [measured] = baselines!.get("delta_kl")!;
    assert.deepEqual(measured!.samples, samples);
    assert.equal(new Set(samples).size, 3, "every seed is other noise");
    near(measured!.mean, mean(samples));
    assert.deepEqual(evidence!.skipped_probes, [{
      name: "adapter_ablation",
      kind: "adapter_ablation",
      reason: "noise gives its number no meaning",
    }]);
  });

  it("gives the adapter a z-score, by which it is judged", async () => {
    const { baselines } = await run({ kind: "null_adapter", runs: 2 }, { later: later() });
    const measured = baselines!.get("delta_kl")!;
    const { zScore, raw, verdict, score } = await run({ kind: "delta_kl", prompts: PROMPTS }, { baselines: measured });
    const [one, other] = measured[0]!.samples as [number, number];
    const expected = (raw! - (one + other) / 2) / (Math.abs(one - other) / 2);
    assert.ok(Math.abs(zScore! / expected - 1) < 1e-9, `${zScore} is not ${expected}`);
    assert.equal(verdict, expected >= 3 ? "pass" : "fail");
    assert.equal(score, 1 / (1 + Math.exp(-zScore! / 3)));
  });

  it("measures several strengths of noise, and only the kinds it is asked for", async () => {
    const entry = { kind: "null_adapter", runs: 2, rank_multipliers: [1, 4], calibrate_kinds: ["delta_kl"] };
    const { baselines } = await run(entry, { later: later() });
    assert.deepEqual([...baselines!.keys()], ["delta_kl"]);
    const [as, stronger] = baselines!.get("delta_kl")!;
    assert.deepEqual([as!.rank, stronger!.rank], [1, 4]);
    assert.ok(stronger!.mean > as!.mean, "twice the deviation moves the model farther");
    const { evidence } = await run({ kind: "delta_kl", prompts: PROMPTS }, { baselines: [as!, stronger!] });
    assert.deepEqual(Object.keys(evidence!.z_by_rank as object), ["rank_1.00", "rank_4.00"]);
  });

  it("is skipped where noise has no shape to take", async () => {
    const two = { ...subject, noise: undefined };
    const { verdict, baselines } = await run({ kind: "null_adapter" }, { subject: two, later: later() });
    assert.deepEqual([verdict, baselines], ["skip", undefined]);
  });
});
