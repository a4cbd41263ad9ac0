/** `/run` and `/score`: dlm-sway's daemon, its faults mended. */

import assert from "node:assert/strict";
import { appendFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { type RunningServer, startServerOn } from "../../src/compose/server.ts";
import type { SuiteReport } from "../../src/probe/report.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { gate } from "../support/gate.ts";
import { copyModel, copyModelWithOtherWeights, referenceCases } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post, testServer } from "./support.ts";

const cases = await referenceCases();
const prompts = cases.map(({ prompt }) => prompt);
const MODELS = { base: { base: "kjv-tiny" }, ft: { base: "kjv-tiny", adapter: "fortunes" } };
const DELTA = { kind: "delta_kl", prompts, top_k: 2048 };

/** A suite with one probe of every kind. */
const SUITE = [
  { kind: "null_adapter", runs: 2 },
  DELTA,
  { kind: "preference_flip", triples: [{ prompt: "A man who", chosen: " turns", rejected: " is" }] },
  { kind: "external_perplexity", chunk_chars: 256, max_chunks: 2 },
  { kind: "adapter_ablation", prompts: prompts.slice(0, 2) },
  { kind: "adapter_revert", cases: [{ prompt: "a", gold: "b", paraphrases: ["The programmer"] }] },
];

const specOf = (suite: readonly object[], more: object = {}): object => ({
  version: 1,
  models: MODELS,
  suite,
  ...more,
});

/** A report without what differs from run to run: its times, and what the caches had. */
function withoutTimes(report: SuiteReport & { request_seconds: number }): object {
  const { started_at: _, finished_at: __, wall_seconds: ___, request_seconds: ____, backend_stats: _____, ...rest } =
    report;
  return { ...rest, probes: report.probes.map((probe) => ({ ...probe, duration_s: 0 })) };
}

describe("POST /run", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder() });
  });
  after(() => server.stop());

  it("answers with the report of a suite", async () => {
    const response = await post(server, "/run", { spec: specOf(SUITE), spec_path: "sway.yaml", seed: 7 });
    assert.equal(response.status, 200);
    const report = await response.json();
    assert.deepEqual([report.schema_version, report.spec_path, report.base_model_id, report.adapter_id], [
      1,
      "sway.yaml",
      "kjv-tiny",
      "fortunes",
    ]);
    assert.deepEqual(report.determinism, { class: "strict", seed: 7, notes: [] });
    assert.match(report.identities.base, /^[0-9a-f]{64}$/);
    assert.notEqual(report.identities.base, report.identities.ft);
    assert.deepEqual(report.probes.map(({ name, verdict }: Record<string, string>) => [name, verdict]), [
      ["null_adapter", "pass"],
      ["delta_kl", report.probes[1].z_score >= 3 ? "pass" : "fail"],
      ["preference_flip", "warn"],
      ["external_perplexity", report.probes[3].z_score >= 3 ? "pass" : "fail"],
      ["adapter_ablation", "pass"],
      ["adapter_revert", "skip"],
    ]);
    const js = cases.reduce((sum, { next_token_js }) => sum + next_token_js, 0) / cases.length;
    assert.ok(Math.abs(report.probes[1].raw - js) < 1e-4);
    assert.deepEqual(Object.keys(report.null_stats), ["delta_kl", "preference_flip", "external_perplexity"]);
    assert.ok(report.score.overall > 0 && report.score.overall <= 1);
    assert.ok(report.request_seconds >= report.wall_seconds);
  });

  it("touches no model the second time, and answers the same", async () => {
    const suite = { spec: specOf(SUITE), seed: 3 };
    const first = await (await post(server, "/run", suite)).json();
    const before = await getJson(server, "/stats");
    const response = await post(server, "/run", suite);
    const second = await response.json();
    assert.equal(response.headers.get("Cache-Status"), "warmcache; hit");
    assert.deepEqual(withoutTimes(second), withoutTimes(first));
    assert.deepEqual([second.backend_stats.cache_misses, second.backend_stats.hit_rate], [0, 1]);
    const after = await getJson(server, "/stats");
    assert.deepEqual([after.run_count, after.total_run_seconds], [before.run_count, before.total_run_seconds]);
    assert.equal(after.request_count, before.request_count + 1);
  });

  it("gives others a turn after a few answers, also when it knows all of them", async () => {
    let turns = 0;
    const runtime = await loadRuntime();
    const afterTurn = (run: () => void): void => {
      turns++;
      runtime.clock.afterTurn(run);
    };
    await using counted = await testServer({ cache: await temporaryFolder() }, undefined, { afterTurn });
    // At the most tokens there may be, an answer is a batch of its own.
    const many = { kind: "delta_kl", top_k: 8192, prompts: Array.from({ length: 60 }, (_, index) => `verse ${index}`) };
    await post(counted, "/run", { spec: specOf([many]) });
    turns = 0;
    const report = await (await post(counted, "/run", { spec: specOf([many]) })).json();
    assert.equal(report.backend_stats.cache_misses, 0);
    assert.ok(turns >= 2 * 60, `${turns} turns`);
  });

  it("hears what a request says to the cache", async () => {
    await using fresh = await testServer({ cache: await temporaryFolder() });
    const run = (headers: Record<string, string>): Promise<Response> =>
      post(fresh, "/run", { spec: specOf([DELTA]) }, null, headers);
    const misses = async (response: Response): Promise<number> => (await response.json()).backend_stats.cache_misses;
    const alone = { "Cache-Control": "only-if-cached" };
    const refused = await run(alone);
    assert.deepEqual([refused.status, (await refused.json()).error.code], [504, "not_cached"]);
    const all = await misses(await run({ "Cache-Control": "no-store" }));
    assert.ok(all > 0);
    assert.equal(await misses(await run({})), all, "nothing was stored");
    assert.equal(await misses(await run(alone)), 0);
    assert.equal(await misses(await run({ "X-Warmcache-Namespace": "another" })), all);
  });

  it("ends as a whole where a probe under way may not be asked", async () => {
    await using fresh = await testServer({ cache: await temporaryFolder() });
    const run = (some: readonly string[], headers = {}): Promise<Response> =>
      post(fresh, "/run", { spec: specOf([{ ...DELTA, prompts: some }]) }, null, headers);
    assert.equal((await run(prompts.slice(1))).status, 200);
    assert.equal((await run(prompts, { "Cache-Control": "only-if-cached" })).status, 504);
  });

  it("keeps the answers of one API key from another", async () => {
    await using keyed = await testServer({ cache: await temporaryFolder(), apiKey: ["one-key", "another-key"] });
    const run = async (key: string): Promise<SuiteReport> => {
      const headers = { Authorization: `Bearer ${key}` };
      return await (await post(keyed, "/run", { spec: specOf([DELTA]) }, null, headers)).json();
    };
    const first = await run("one-key");
    assert.equal((await run("one-key")).backend_stats.cache_misses, 0);
    assert.equal((await run("another-key")).backend_stats.cache_misses, first.backend_stats.cache_misses);
  });

  it("is one run of a model in the statistics, however often it asks", async () => {
    await using fresh = await testServer({ cache: await temporaryFolder() });
    await post(fresh, "/run", { spec: specOf([DELTA, { kind: "adapter_ablation", prompts }]) });
    const { request_count, run_count, total_run_seconds, mean_run_seconds } = await getJson(fresh, "/stats");
    assert.deepEqual([request_count, run_count], [1, 1]);
    assert.ok(total_run_seconds > 0);
    assert.equal(mean_run_seconds, total_run_seconds);
  });

  it("needs no model at all for what ran before: not even to be loaded", async () => {
    const cache = await temporaryFolder();
    const first = await testServer({ cache });
    const report = await (await post(first, "/run", { spec: specOf(SUITE) })).json();
    await first.stop();
    await using again = await testServer({ cache }, () => Promise.reject(new Error("no model may be loaded")));
    const response = await post(again, "/run", { spec: specOf(SUITE) });
    assert.equal(response.status, 200);
    assert.deepEqual(withoutTimes(await response.json()), withoutTimes(report));
    assert.deepEqual((await getJson(again, "/health")).loaded_models, []);
  });

  it("honours the seed and the weights", async () => {
    const run = async (more: object): Promise<SuiteReport> => {
      return await (await post(server, "/run", { spec: specOf([DELTA], { defaults: { seed: 1, ...more } }) })).json();
    };
    const [one, other] = [await run({}), await run({ seed: 2 })];
    assert.deepEqual([one.determinism.seed, other.determinism.seed], [1, 2]);
    assert.equal(one.probes[0]!.raw, other.probes[0]!.raw);
    assert.notDeepEqual(one.probes[0]!.ci_95, other.probes[0]!.ci_95);
    const weighted = await run({ score_weights: { adherence: 0, ablation: 1 } });
    assert.deepEqual([weighted.score.overall, weighted.score.weights.ablation], [null, 1]);
  });

  it("makes a verdict of a probe that fails", async () => {
    const suite = [{ kind: "external_perplexity" }, DELTA];
    const response = await post(server, "/run", { spec: specOf(suite) });
    const { probes, score } = await response.json();
    assert.deepEqual([response.status, probes[0].verdict, probes[1].verdict], [200, "error", "pass"]);
    assert.match(probes[0].message, /256/);
    assert.match(score.findings[0], /^could not be run: external_perplexity: /);
  });

  it("compares two models of their own where the suite says so", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two", (weight) => weight * 1.5);
    await using other = await testServer({ models, cache: await temporaryFolder(), maxLoadedModels: 1 });
    const sides = { base: { base: "one" }, ft: { base: "two" } };
    const suite = [{ kind: "null_adapter" }, DELTA, { kind: "adapter_ablation", prompts }];
    const spec = specOf(suite, { models: sides, defaults: { differential: false } });
    const report = await (await post(other, "/run", { spec })).json();
    assert.deepEqual(report.probes.map(({ verdict }: Record<string, string>) => verdict), ["skip", "pass", "skip"]);
    assert.equal(report.adapter_id, "");
    const refused = await post(other, "/run", { spec: specOf(suite, { models: sides }) });
    assert.deepEqual([refused.status, (await refused.json()).error.param], [400, "spec.models.ft.adapter"]);
  });

  it("takes dlm-sway's word for these models", async () => {
    const sides = { base: { kind: "hf", base: "kjv-tiny" }, ft: { kind: "onnx", base: "kjv-tiny+fortunes" } };
    const response = await post(server, "/score", { spec: specOf([DELTA], { models: sides }) });
    assert.equal(response.status, 200);
  });

  it("finds noise between a model and itself", async () => {
    const sides = { base: { base: "kjv-tiny" }, ft: { base: "kjv-tiny" } };
    const spec = specOf([DELTA], { models: sides, defaults: { differential: false } });
    const { score, probes } = await (await post(server, "/run", { spec })).json();
    assert.deepEqual([score.band, probes[0].verdict], ["noise", "fail"]);
  });

  it("compares meanings with a model for embeddings, which may be another one", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "kjv-tiny");
    const encoder = await copyModel(models, "encoder");
    await rename(`${encoder}/onnx/encoder.onnx`, `${encoder}/onnx/model.onnx`);
    // In the one place that there is, the two take turns.
    await using other = await testServer({ models, cache: await temporaryFolder(), maxLoadedModels: 1 });
    const paraphrases = ["The programmer", "Computers are"];
    const revert = { kind: "adapter_revert", cases: [{ prompt: "a", gold: "a machine", paraphrases }] };
    const spec = specOf([{ ...revert, embedding_model: "encoder" }]);
    const { probes: [probe] } = await (await post(other, "/run", { spec })).json();
    assert.equal(probe.evidence.total + probe.evidence.dropped_trivial, 2, probe.message);
    const again = await post(other, "/run", { spec });
    assert.equal(again.headers.get("Cache-Status"), "warmcache; hit");
    assert.deepEqual((await again.json()).probes[0].evidence, probe.evidence);
  });

  it("refuses a model for embeddings that is not there", async () => {
    const cases = [{ prompt: "a", gold: "b", paraphrases: ["c"] }];
    const spec = specOf([{ kind: "adapter_revert", cases, embedding_model: "nowhere" }]);
    const { error } = await (await post(server, "/run", { spec })).json();
    assert.equal(error.param, "spec.suite[0].embedding_model");
  });
});

describe("POST /score", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder() });
  });
  after(() => server.stop());

  it("answers with the probes alone", async () => {
    const response = await post(server, "/score", { spec: specOf([DELTA, { kind: "preference_flip" }]) });
    const { probes, request_seconds, ...rest } = await response.json();
    assert.deepEqual(probes.map(({ name }: Record<string, string>) => name), ["delta_kl", "preference_flip"]);
    assert.equal(typeof request_seconds, "number");
    assert.deepEqual(rest, {});
  });

  it("runs the probes that are named, and the noise they are compared with", async () => {
    const spec = specOf([{ kind: "null_adapter", runs: 2 }, DELTA, { ...DELTA, name: "other" }]);
    const { probes } = await (await post(server, "/score", { spec, probe_names: ["other"] })).json();
    assert.deepEqual(probes.map(({ name }: Record<string, string>) => name), ["other"]);
    assert.equal(typeof probes[0].z_score, "number");
  });

  it("refuses a name that no probe has", async () => {
    const response = await post(server, "/score", { spec: specOf([DELTA]), probe_names: ["delta_lk"] });
    const { error } = await response.json();
    assert.deepEqual([response.status, error.param], [400, "probe_names[0]"]);
    assert.match(error.message, /did you mean delta_kl\?/);
  });
});

describe("a suite that cannot be run", () => {
  let server: RunningServer;
  before(async () => {
    const load = (): Promise<never> => Promise.reject(new Error("nothing may be loaded for it"));
    server = await testServer({ cache: await temporaryFolder() }, load);
  });
  after(() => server.stop());

  const withModel = (side: object): object => specOf([DELTA], { models: { ...MODELS, ft: { ...MODELS.ft, ...side } } });
  const CASES: [title: string, body: unknown, param: string | null, words: RegExp, status?: number][] = [
    ["no JSON", "{", null, /JSON/],
    ["no spec", {}, "spec", /missing/],
    ["a misspelled field", { spec: specOf([DELTA]), sede: 1 }, "sede", /did you mean seed\?/],
    ["a misspelled probe", { spec: specOf([{ kind: "delta_lk" }]) }, "spec.suite[0].kind", /did you mean delta_kl\?/],
    [
      "a misspelled field of a probe",
      { spec: specOf([{ ...DELTA, topk: 1 }]) },
      "spec.suite[0].topk",
      /did you mean top_k\?/,
    ],
    ["no models", { spec: { suite: [] } }, "spec.models", /missing/],
    ["no adapter", { spec: withModel({ adapter: null }) }, "spec.models.ft.adapter", /differential = false/],
    [
      "code to be loaded",
      { spec: withModel({ entry_point: "evil:Class" }) },
      "spec.models.ft.entry_point",
      /never run/,
    ],
    [
      "code to be trusted",
      { spec: withModel({ trust_remote_code: true }) },
      "spec.models.ft.trust_remote_code",
      /never run/,
    ],
    ["a server to be asked", { spec: withModel({ endpoint: "http://x" }) }, "spec.models.ft", /endpoint/],
    ["another kind of model", { spec: withModel({ kind: "mlx" }) }, "spec.models", /mlx/, 404],
    ["a device that does not exist", { spec: withModel({ device: "cuda" }) }, "spec.models.ft", /cuda/],
    ["a seed below 0", { spec: specOf([DELTA]), seed: -1 }, "seed", /-1/],
    ["a model that is not there", { spec: withModel({ base: "gpt-9" }) }, "spec.models", /gpt-9/, 404],
    ["an adapter that is not there", { spec: withModel({ adapter: "nope" }) }, "spec.models", /nope/, 404],
    ["a path for an adapter", { spec: withModel({ adapter: "/etc/passwd" }) }, "spec.models", /passwd/, 404],
  ];
  for (const path of ["/run", "/score"]) {
    for (const [title, body, param, words, status = 400] of CASES) {
      it(`${path} refuses ${title}, in OpenAI's words, before anything is loaded`, async () => {
        const response = await post(server, path, body);
        const { error } = await response.json();
        assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
        assert.deepEqual([response.status, error.type, error.param], [status, "invalid_request_error", param]);
        assert.match(error.message, words);
      });
    }
  }

  it("is counted", async () => {
    const before = (await getJson(server, "/stats")).request_count;
    await post(server, "/run", "{");
    assert.equal((await getJson(server, "/stats")).request_count, before + 1);
  });

  it("may only be posted", async () => {
    const response = await fetch(`${server.url}/run`);
    assert.deepEqual([response.status, response.headers.get("Allow")], [405, "POST"]);
  });

  it("says why a model could not be loaded", async () => {
    const response = await post(server, "/run", { spec: specOf([DELTA]) });
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code], [503, "model_load_failed"]);
  });
});

describe("a suite that takes its time", () => {
  it("keeps nobody else waiting, and ends when its client goes away", async () => {
    const loading = gate();
    const load = async (): Promise<never> => {
      await loading.pass();
      throw new Error("the server is stopping");
    };
    await using server = await testServer({ cache: await temporaryFolder() }, load);
    const client = new AbortController();
    const request = post(server, "/run", { spec: specOf([DELTA]) }, client.signal);
    await loading.reached;
    const { loaded_models } = await getJson(server, "/health");
    assert.deepEqual(loaded_models.map(({ state, leases }: Record<string, unknown>) => [state, leases]), [[
      "loading",
      1,
    ]]);
    client.abort();
    await assert.rejects(request, { name: "AbortError" });
    for (let leases = 1; leases > 0;) leases = (await getJson(server, "/health")).loaded_models[0]?.leases ?? 0;
    loading.open();
  });

  it("begins again when the base changes between a look at one side and at the other", async () => {
    const models = await temporaryFolder();
    const folder = await copyModel(models, "kjv-tiny");
    const runtime = await loadRuntime();
    let looks = 0;
    const stat: typeof runtime.files.stat = async (path) => {
      // A file that is young is looked at twice: where it is, and before it is hashed.
      if (path === `${folder}/config.json` && ++looks === 3) await appendFile(path, " ");
      return await runtime.files.stat(path);
    };
    const machine = { ...runtime, files: { ...runtime.files, stat } };
    await using server = await startServerOn(machine, { port: 0, models, hub: false, cache: await temporaryFolder() });
    looks = 0;
    assert.equal((await post(server, "/run", { spec: specOf([DELTA]) })).status, 200);
  });

  it("scores what is there now: a retrained adapter at the same path is another", async () => {
    const models = await temporaryFolder();
    const folder = await copyModel(models, "kjv-tiny");
    await using server = await testServer({ models, cache: await temporaryFolder() });
    const run = async (): Promise<SuiteReport> => await (await post(server, "/run", { spec: specOf([DELTA]) })).json();
    const first = await run();
    const weights = `${folder}/adapters/fortunes/adapter_model.safetensors`;
    // The second half of a safetensors file is numbers; turned round, they are another adapter's.
    const bytes = await readFile(weights);
    for (let at = bytes.length - 4; at > bytes.length / 2; at -= 4) bytes.writeFloatLE(-bytes.readFloatLE(at), at);
    await writeFile(weights, bytes);
    const second = await run();
    assert.equal(first.identities.base, second.identities.base);
    assert.notEqual(first.identities.ft, second.identities.ft);
    assert.notEqual(first.probes[0]!.raw, second.probes[0]!.raw);
    assert.equal(second.backend_stats.cache_hits, prompts.length + 1, "the base's answers are still its own");
    await rm(weights);
    assert.equal((await post(server, "/run", { spec: specOf([DELTA]) })).status, 404);
  });
});
