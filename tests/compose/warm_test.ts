/** Warm models from code: files, endpoints and kinds of one's own by one door. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ApiEndpoints } from "../../src/compose/api_kind.ts";
import { type Backends, openBackends, type WarmEvent } from "../../src/compose/warm.ts";
import type { RunningServer } from "../../src/compose/server.ts";
import { dummyAdapter, dummyBackend, dummyBase } from "../../src/testing/testing.ts";
import type { BackendKind } from "../../src/warm/kinds.ts";
import { MODELS, referenceCases } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "../server/support.ts";

const cases = await referenceCases();
const DELTA = { suite: [{ kind: "delta_kl", prompts: cases.map(({ prompt }) => prompt), top_k: 2048 }] };

async function open(more: object = {}): Promise<Backends> {
  return await openBackends({ models: MODELS, hub: false, cache: await temporaryFolder(), ...more });
}

describe("openBackends", () => {
  it("lends models by name and by their parts, and keeps them warm", async () => {
    const events: string[] = [];
    await using backends = await open({ onEvent: ({ type }: WarmEvent) => events.push(type) });
    const { prompt, completion, base, fortunes } = cases[0]!;
    const ask = async (model: Parameters<Backends["lease"]>[0]): Promise<number> => {
      await using lease = await backends.lease(model);
      return (await lease.view.logprobs({ text: prompt }, completion)).total;
    };
    assert.ok(Math.abs(await ask("kjv-tiny") - base.completion_logprob) < 1e-3);
    assert.ok(Math.abs(await ask({ base: "kjv-tiny", adapter: "fortunes" }) - fortunes.completion_logprob) < 1e-3);
    assert.deepEqual(events, ["loading", "loaded"]);
    assert.deepEqual(backends.loaded().map(({ base, state }) => [base, state]), [["kjv-tiny", "warm"]]);
    assert.deepEqual((await backends.list()).map(({ id }) => id), ["kjv-tiny", "kjv-tiny+fortunes"]);
    assert.match((await backends.identify("kjv-tiny")).identity, /^[0-9a-f]{64}$/);
  });

  it("takes a model out of memory, and loads it again when it is asked for", async () => {
    const events: string[] = [];
    await using backends = await open({ onEvent: ({ type }: WarmEvent) => events.push(type) });
    assert.equal(await backends.unload("kjv-tiny"), false);
    await (await backends.lease("kjv-tiny"))[Symbol.asyncDispose]();
    assert.equal(await backends.unload({ base: "kjv-tiny", adapter: "fortunes" }), true);
    assert.deepEqual(backends.loaded(), []);
    await (await backends.lease("kjv-tiny"))[Symbol.asyncDispose]();
    assert.deepEqual(events, ["loading", "loaded", "draining", "evicted", "loading", "loaded"]);
    await assert.rejects(backends.unload("../x"), { code: "model_not_found" });
  });

  it("compares a base with its adapter", async () => {
    await using backends = await open();
    const heard: (string | undefined)[] = [];
    const { probes, seed } = await backends.runSuite({
      base: "kjv-tiny",
      ft: "kjv-tiny+fortunes",
      spec: DELTA,
      seed: 5,
      onProgress: ({ probe }) => heard.push(probe),
    });
    const js = cases.reduce((sum, { next_token_js }) => sum + next_token_js, 0) / cases.length;
    assert.ok(Math.abs(probes[0]!.raw! - js) < 1e-4);
    assert.deepEqual([seed, heard], [5, [undefined, "delta_kl"]]);
    const signal = AbortSignal.abort(new Error("enough"));
    const aborted = backends.runSuite({ base: "kjv-tiny", ft: "kjv-tiny+fortunes", spec: DELTA, signal });
    await assert.rejects(aborted, { message: "enough" });
  });

  it("runs models of kinds that a program brings along, and no others", async () => {
    const answers = { adapters: { night: { nextTokens: { The: { x: 0.9 } } } } };
    const dummy: BackendKind = {
      resolve: ({ adapter }) =>
        Promise.resolve({
          base: dummyBase(answers),
          ...(adapter === undefined ? {} : { adapter: dummyAdapter(adapter) }),
        }),
      load: () => Promise.resolve(dummyBackend(answers)),
    };
    await using backends = await open({ kinds: { dummy } });
    const model = { kind: "dummy", base: "dummy" };
    const { probes } = await backends.runSuite({
      base: model,
      ft: { ...model, adapter: "night" },
      spec: { suite: [{ kind: "null_adapter" }, { kind: "delta_kl", prompts: ["The"] }] },
    });
    assert.deepEqual(probes.map(({ verdict }) => verdict), ["pass", "pass"]);
    assert.deepEqual(backends.loaded().map(({ kind, adapters }) => [kind, adapters]), [["dummy", ["night"]]]);
    await assert.rejects(backends.lease({ kind: "mlx", base: "x" }), { code: "model_not_found", message: /mlx/ });
  });

  it("refuses options, models and suites that mean nothing", async () => {
    await assert.rejects(open({ model: "x" }), { name: "TypeError", message: /unknown option.*: model/ });
    await assert.rejects(open({ kinds: { api: {} } }), { name: "TypeError", message: /apiEndpoints/ });
    await assert.rejects(open({ maxLoadedModels: 0 }), { name: "RangeError" });
    for (const name of ["Lab", "local", ""]) {
      await assert.rejects(open({ apiEndpoints: { [name]: "http://h" } }), { name: "TypeError", message: /name/ });
    }
    const twice = { one: { url: "http://h/v1", apiKey: "k1" }, two: { url: "http://h/v1/", apiKey: "k2" } };
    await assert.rejects(open({ apiEndpoints: twice }), { name: "TypeError", message: /two names, one and two/ });
    await assert.rejects(open({ apiEndpoints: { lab: "ftp://h" } }), { name: "TypeError", message: /http:/ });
    await using backends = await open();
    await assert.rejects(backends.lease("../x"), { code: "model_not_found" });
    const same = { base: "kjv-tiny", ft: "kjv-tiny" };
    await assert.rejects(backends.runSuite({ ...same, spec: DELTA }), { name: "SpecError", message: /adapter/ });
    await assert.rejects(backends.runSuite({ ...same, spec: {}, sed: 1 } as never), { message: /unknown option.*sed/ });
    assert.deepEqual(backends.loaded(), []);
  });
});

describe("models of kind api", () => {
  let server: RunningServer;
  let backends: Backends;
  let apiEndpoints: ApiEndpoints;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
    apiEndpoints = { lab: `${server.url}/v1/` };
    backends = await open({ apiEndpoints, maxLoadedModels: 1 });
  });
  after(async () => {
    await backends.close();
    await server.stop();
  });

  for (const name of ["kjv-tiny", "kjv-tiny+fortunes"]) {
    it(`answer as the same models do here, to the bit: ${name}`, async () => {
      for (const { prompt, completion } of cases) {
        const ask = async (model: Parameters<Backends["lease"]>[0]): Promise<unknown[]> => {
          await using lease = await backends.lease(model);
          const { view } = lease;
          const next = await view.nextToken({ text: prompt }, { topK: 20 });
          const answers = [await view.logprobs({ text: prompt }, completion), await view.rollingLogprobs(completion)];
          const request = { prompt: { text: prompt }, maxTokens: 8, temperature: 0, seed: 0, stop: [], echo: false };
          const events = view.generate({ ...request, topLogprobs: undefined });
          const texts = (await Array.fromAsync(events)).map(({ text }) => text);
          return [...answers, next.logprobs, texts.join("")];
        };
        assert.deepEqual(await ask({ kind: "api", base: name, endpoint: "lab" }), await ask(name));
      }
    });
  }

  it("take no place from models in this machine's memory", async () => {
    await using _local = await backends.lease("kjv-tiny");
    await using lease = await backends.lease({ kind: "api", base: "kjv-tiny", endpoint: "lab" });
    assert.equal(lease.base.kind, "api");
  });

  it("are compared as two models of one endpoint, by its name or its URL", async () => {
    const side = (base: string, endpoint: string) => ({ kind: "api", base, endpoint });
    const spec = { suite: [{ ...DELTA.suite[0], top_k: 100 }] };
    const ft = side("kjv-tiny+fortunes", `${server.url}/v1`);
    const noise = [{ kind: "null_adapter" }, { kind: "adapter_ablation", prompts: ["The"] }];
    const { probes } = await backends.runSuite({
      base: side("kjv-tiny", "lab"),
      ft,
      spec: { suite: [...spec.suite, ...noise] },
    });
    assert.deepEqual(probes.slice(1).map(({ verdict }) => verdict), ["skip", "skip"]);
    const js = cases.reduce((sum, { next_token_js }) => sum + next_token_js, 0) / cases.length;
    // A lower bound, as nobody says how many tokens there are.
    assert.ok(probes[0]!.raw! > js / 2 && probes[0]!.raw! < js, `${probes[0]!.raw} of ${js}`);
    const same = { base: side("kjv-tiny", "lab"), ft: side("kjv-tiny", `${server.url}/v1`), spec };
    await assert.rejects(backends.runSuite(same), { name: "SpecError", message: /nothing is measured/ });
  });

  it("have an identity of endpoint, name and revision", async () => {
    const identify = async (more: object): Promise<string> => {
      return (await backends.identify({ kind: "api", base: "m", endpoint: "lab", ...more })).identity;
    };
    const identities = [await identify({}), await identify({ base: "n" }), await identify({ revision: "2" })];
    assert.equal(new Set(identities).size, 3);
    assert.equal(await identify({ endpoint: `${server.url}/v1` }), identities[0]);
  });

  it("are found at endpoints that were set up, and nowhere else", async () => {
    const cases = [{ endpoint: "http://127.0.0.1:1/v1" }, { endpoint: "nowhere" }, {}, { endpoint: "http://u:p@h" }];
    for (const more of cases) {
      const failed = backends.lease({ kind: "api", base: "m", ...more });
      await assert.rejects(failed, (error: Error & { code: string }) => {
        return error.code === "model_not_found" && !error.message.includes("u:p");
      });
    }
  });
});
