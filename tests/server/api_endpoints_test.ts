/** `/run` with models behind endpoints: those that the server was given, through the response cache, and no others. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { dummyBackend, dummyBase } from "../../src/testing/testing.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { choice, endpoint } from "../support/endpoint.ts";
import { getJson, post, testServer } from "./support.ts";

const SUITE = [{ kind: "delta_kl", prompts: ["And Moses said unto", "The first law of"], top_k: 20 }];

describe("POST /run with models of other kinds", () => {
  let upstream: RunningServer;
  let server: RunningServer;
  before(async () => {
    upstream = await testServer({ cache: await temporaryFolder(), hub: false });
    server = await testServer({
      cache: await temporaryFolder(),
      hub: false,
      apiEndpoints: { lab: { url: `${upstream.url}/v1` } },
      kinds: {
        dummy: {
          resolve: ({ base }) => Promise.resolve({ base: dummyBase({ name: base }) }),
          load: ({ name }) => Promise.resolve(dummyBackend({ name })),
        },
      },
    });
  });
  after(async () => {
    await server.stop();
    await upstream.stop();
  });

  const side = (base: string, endpoint = "lab") => ({ kind: "api", base, endpoint });
  const run = (base: object, ft: object, defaults: object = {}): Promise<Response> =>
    post(server, "/run", { spec: { models: { base, ft }, suite: SUITE, defaults } });

  it("compares two models of an endpoint, and asks nobody the second time", async () => {
    const first = await (await run(side("kjv-tiny"), side("kjv-tiny+fortunes"))).json();
    assert.equal(first.probes[0].verdict, "pass", JSON.stringify(first.probes));
    assert.ok(first.probes[0].raw > 0);
    assert.equal(first.determinism.class, "best_effort");
    const asked = (await getJson(upstream, "/stats")).request_count;
    const again = await (await run(side("kjv-tiny"), side("kjv-tiny+fortunes"))).json();
    assert.equal((await getJson(upstream, "/stats")).request_count, asked);
    assert.deepEqual([again.probes[0].raw, again.backend_stats.cache_misses], [first.probes[0].raw, 0]);
    const ft = side("kjv-tiny+fortunes", `${upstream.url}/v1`);
    const byUrl = await (await run(side("kjv-tiny"), { ...ft, revision: null })).json();
    assert.equal(byUrl.backend_stats.cache_misses, 0);
    const newer = await (await run(side("kjv-tiny"), { ...ft, revision: "2" })).json();
    assert.ok(newer.backend_stats.cache_misses > 0 && newer.probes[0].raw === first.probes[0].raw);
  });

  it("compares models of a kind that the server was given in code", async () => {
    const ft = { kind: "dummy", base: "two" };
    const report = await (await run({ kind: "dummy", base: "one" }, ft, { differential: false })).json();
    assert.ok(report.probes[0].raw > 0);
  });

  it("refuses endpoints that it was not given, a model that is compared with itself, and kinds it has not", async () => {
    const cases = [
      [side("kjv-tiny"), side("kjv-tiny", "http://127.0.0.1:1/v1"), 404, "spec.models", /No such endpoint/],
      [side("kjv-tiny"), { kind: "api", base: "kjv-tiny" }, 404, "spec.models", /needs the endpoint/],
      [side("kjv-tiny"), side("kjv-tiny", `${upstream.url}/v1`), 400, "spec.models.ft", /nothing is measured/],
      [side("kjv-tiny"), { ...side("kjv-tiny"), adapter: "fortunes" }, 400, "spec.models.ft", /adapter/],
      [side("kjv-tiny"), { base: "kjv-tiny", adapter: "fortunes" }, 400, "spec.models.ft.base", /another model/],
      [{ base: "kjv-tiny" }, { kind: "custom", base: "kjv-tiny" }, 404, "spec.models", /known: onnx, api, dummy/],
    ] as const;
    for (const [base, ft, status, param, message] of cases) {
      const response = await run(base, ft);
      const { error } = await response.json();
      assert.deepEqual([response.status, error.param], [status, param], error.message);
      assert.match(error.message, message);
    }
  });

  it("tells of an endpoint that does not know the model", async () => {
    const response = await run(side("kjv-tiny"), side("gpt-9"));
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code], [404, "model_not_found"]);
    assert.match(error.message, /gpt-9/);
  });

  it("keeps the answers that were paid for when a later question fails", async () => {
    let isUp = false;
    await using paid = await endpoint(({ body }) => {
      if (!isUp && body.model === "two" && body.prompt === "5") return { status: 400, json: { message: "not today" } };
      const top = { a: body.model === "two" ? -1 : -2, b: -1.5 };
      return { json: { choices: [choice([["a", top.a, top]])] } };
    });
    await using other = await testServer({
      cache: await temporaryFolder(),
      hub: false,
      apiEndpoints: { paid: { url: paid.url, concurrency: 1 } },
    });
    const suite = [{ kind: "delta_kl", prompts: ["0", "1", "2", "3", "4", "5", "6", "7"], top_k: 2 }];
    const models = { base: side("one", "paid"), ft: side("two", "paid") };
    const ask = async () => (await (await post(other, "/run", { spec: { models, suite } })).json()).probes.at(-1);
    assert.equal((await ask()).verdict, "error");
    const before = paid.asked.length;
    isUp = true;
    assert.notEqual((await ask()).verdict, "error");
    const again = paid.asked.slice(before).map(({ body }) => `${body.model} ${body.prompt}`);
    assert.deepEqual(again, ["two 5", "two 6", "two 7"]);
  });
});
