/** The response cache in front of warm models: the same request is answered once by the model, then from disk. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type RunningServer, startServer } from "../../src/compose/server.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post, testServer } from "./support.ts";

const REQUEST = { model: "kjv-tiny", prompt: "And it came to pass", max_tokens: 12, temperature: 0 };

describe("a repeated request", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder() });
  });
  after(() => server.stop());

  it("is a hit with the same bytes, and the model does not run", async () => {
    const first = await post(server, "/v1/completions", REQUEST);
    assert.equal(first.headers.get("Cache-Status"), "warmcache; fwd=miss; stored");
    const bytes = await first.text();
    const second = await post(server, "/v1/completions", REQUEST);
    assert.equal(second.headers.get("Cache-Status"), "warmcache; hit");
    assert.equal(await second.text(), bytes);

    const stats = await getJson(server, "/stats");
    assert.equal(stats.request_count, 2);
    assert.equal(stats.run_count, 1);
    assert.equal(stats.cache.hits, 1);
    assert.equal(stats.cache.misses, 1);
    assert.equal(stats.cache.writes, 1);
    assert.equal(
      stats.cache.saved.prompt_tokens + stats.cache.saved.completion_tokens,
      JSON.parse(bytes).usage.total_tokens,
    );
  });

  it("is a hit however its JSON is written", async () => {
    const spelled = `{ "temperature": 0.0, "max_tokens":12,"prompt":"And it came to p\\u0061ss","model":"kjv-tiny" }`;
    const response = await post(server, "/v1/completions", spelled);
    assert.equal(response.headers.get("Cache-Status"), "warmcache; hit");
    await response.body!.cancel();
  });

  it("is a miss for the adapter, for another endpoint, for any other field", async () => {
    for (
      const [path, request] of [
        ["/v1/completions", { ...REQUEST, model: "kjv-tiny+fortunes" }],
        ["/v1/completions", { ...REQUEST, max_tokens: 13 }],
        ["/v1/completions", { ...REQUEST, unknown_field: 1 }],
        ["/v1/chat/completions", { model: "kjv-tiny", messages: [{ role: "user", content: "x" }], max_tokens: 4 }],
      ] as const
    ) {
      const response = await post(server, path, request);
      assert.match(response.headers.get("Cache-Status")!, /fwd=miss/, JSON.stringify(request));
      await response.body!.cancel();
    }
  });

  it("makes concurrent callers share one run", async () => {
    const before = (await getJson(server, "/stats")).run_count;
    const request = { ...REQUEST, prompt: "Thou shalt not" };
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => (await post(server, "/v1/completions", request)).text()),
    );
    assert.equal(new Set(answers).size, 1);
    assert.equal((await getJson(server, "/stats")).run_count, before + 1);
  });

  it("bypasses the cache when its JSON cannot be keyed safely", async () => {
    const ambiguous = `{"model":"kjv-tiny","prompt":"Behold","prompt":"Behold","max_tokens":1}`;
    for (let i = 0; i < 2; i++) {
      const response = await post(server, "/v1/completions", ambiguous);
      assert.equal(response.status, 200);
      assert.equal(
        response.headers.get("Cache-Status"),
        `warmcache; fwd=bypass; detail="the name \\"prompt\\" appears twice"`,
      );
      await response.body!.cancel();
    }
  });
});

describe("a restarted server", () => {
  it("still answers from the cache, with no model loaded", async () => {
    const cache = await temporaryFolder();
    const first = await startServer({ port: 0, models: MODELS, cache });
    const answer = await (await post(first, "/v1/completions", REQUEST)).text();
    await first.stop();

    await using second = await testServer({ cache });
    const response = await post(second, "/v1/completions", REQUEST);
    assert.equal(response.headers.get("Cache-Status"), "warmcache; hit");
    assert.equal(await response.text(), answer);
    assert.deepEqual((await getJson(second, "/health")).loaded_models, []);
  });
});
