/** What a request may say besides its question: fields that nobody knows, how to keep the model, how to use the cache. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post, testServer } from "./support.ts";

const PATH = "/v1/completions";
const REQUEST = { model: "kjv-tiny", prompt: "And God said", max_tokens: 4, temperature: 0 };

let server: RunningServer;
before(async () => {
  server = await testServer({ cache: await temporaryFolder(), hub: false });
});
after(() => server.stop());

describe("a field that nobody knows", () => {
  it("is passed over, and the answer names it", async () => {
    const response = await post(server, PATH, { ...REQUEST, mystery: 1, "ü": 2, nothing: null });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("X-Warmcache-Ignored"), "mystery, %C3%BC");
    await response.body!.cancel();
  });

  it("is refused for whoever wants it so", async () => {
    const response = await post(server, PATH, { ...REQUEST, mystery: 1 }, null, { "X-Warmcache-Strict": "true" });
    assert.equal(response.status, 400);
    assert.partialDeepStrictEqual(await response.json(), { error: { param: "mystery", code: "unknown_parameter" } });
  });

  it("is refused when it looks like a known one spelled wrong, which is named", async () => {
    const slips = { maxTokens: "max_tokens", temperatur: "temperature", "top-p": "top_p", streem: "stream" };
    for (const [slip, meant] of Object.entries(slips)) {
      const response = await post(server, PATH, { ...REQUEST, [slip]: 1 });
      assert.equal(response.status, 400, slip);
      const { error } = await response.json();
      assert.deepEqual([error.param, error.code], [slip, "unknown_parameter"]);
      assert.match(error.message, new RegExp(`did you mean '${meant}'`));
    }
    const embeddings = await post(server, "/v1/embeddings", { model: "kjv-tiny", input: "a", dimension: 3 });
    assert.equal((await embeddings.json()).error.param, "dimension");
  });

  it("is named in the answer whatever its name", async () => {
    const request = JSON.stringify(REQUEST).replace("{", `{"\\ud800":1,`);
    const response = await post(server, PATH, request);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("X-Warmcache-Ignored"), "%EF%BF%BD");
    await response.body!.cancel();
  });

  it("is refused where there are more of them than anybody sends by mistake", async () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`mystery${at}`, at]));
    const response = await post(server, PATH, { ...REQUEST, ...many });
    assert.equal(response.status, 400);
    assert.partialDeepStrictEqual(await response.json(), { error: { param: null, code: "unknown_parameter" } });
  });

  it("is none of those that change no answer", async () => {
    const harmless = {
      user: "me",
      metadata: { a: "b" },
      store: false,
      service_tier: "auto",
      models: ["other"],
      top_a: 0,
    };
    const response = await post(server, PATH, { ...REQUEST, ...harmless });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("X-Warmcache-Ignored"), "models, top_a");
    await response.body!.cancel();
  });
});

describe("keep_alive and only_if_warm", () => {
  it("say how long a model stays, and are no part of the question", async () => {
    await using own = await testServer({ cache: await temporaryFolder(), hub: false });
    const first = await post(own, PATH, { ...REQUEST, keep_alive: 0 });
    const bytes = await first.text();
    while ((await getJson(own, "/health")).loaded_models.length > 0);
    for (const rest of [{}, { keep_alive: "10m" }, { only_if_warm: true }, { keep_alive: null, only_if_warm: null }]) {
      const again = await post(own, PATH, { ...REQUEST, ...rest });
      assert.match(again.headers.get("Cache-Status")!, /^warmcache; hit/, JSON.stringify(rest));
      assert.equal(await again.text(), bytes);
    }
    assert.deepEqual((await getJson(own, "/health")).loaded_models, []);
  });

  it("refuse what is not warm, and load nothing", async () => {
    await using cold = await testServer({ cache: await temporaryFolder(), hub: false });
    for (const rest of [{}, { stream: true }]) {
      const response = await post(cold, PATH, { ...REQUEST, ...rest, only_if_warm: true });
      assert.equal(response.status, 503);
      assert.equal(response.headers.get("x-should-retry"), "false");
      assert.equal((await response.json()).error.code, "not_warm");
    }
    const embeddings = await post(cold, "/v1/embeddings", { model: "kjv-tiny", input: "a", only_if_warm: true });
    assert.equal((await embeddings.json()).error.code, "not_warm");
    assert.deepEqual((await getJson(cold, "/health")).loaded_models, []);
  });

  it("are refused by name when they mean nothing", async () => {
    for (const [field, value] of [["keep_alive", "soon"], ["keep_alive", {}], ["only_if_warm", "yes"]] as const) {
      const response = await post(server, PATH, { ...REQUEST, [field]: value });
      assert.equal(response.status, 400, field);
      assert.equal((await response.json()).error.param, field);
    }
  });
});

describe("headers to the cache", () => {
  const ask = async (headers: Record<string, string>, body: object = REQUEST): Promise<Response> => {
    const response = await post(server, PATH, body, null, headers);
    await response.text();
    return response;
  };

  it("have the answer made anew, or made and not kept, or taken from the cache alone", async () => {
    const own = { ...REQUEST, prompt: "Let there be" };
    const missing = await post(server, PATH, own, null, { "Cache-Control": "only-if-cached" });
    assert.equal(missing.status, 504);
    assert.equal(missing.headers.get("x-should-retry"), "false");
    assert.equal((await missing.json()).error.code, "not_cached");
    const off = await ask({ "Cache-Control": "no-store" }, own);
    assert.match(off.headers.get("Cache-Status")!, /^warmcache; fwd=request/);
    assert.match((await ask({}, own)).headers.get("Cache-Status")!, /^warmcache; fwd=miss; stored/);
    assert.match((await ask({}, own)).headers.get("Cache-Status")!, /^warmcache; hit/);
    const anew = await ask({ "Cache-Control": "no-cache" }, own);
    assert.match(anew.headers.get("Cache-Status")!, /^warmcache; fwd=request; stored/);
    assert.equal((await ask({ "Cache-Control": "only-if-cached" }, own)).status, 200);
  });

  it("mean the same for a stream", async () => {
    const own = { ...REQUEST, prompt: "Let there be light", stream: true };
    const missing = await post(server, PATH, own, null, { "Cache-Control": "only-if-cached" });
    assert.deepEqual([missing.status, (await missing.json()).error.code], [504, "not_cached"]);
    assert.match(
      (await ask({ "Cache-Control": "no-store" }, own)).headers.get("Cache-Status")!,
      /^warmcache; fwd=request/,
    );
    assert.match((await ask({}, own)).headers.get("Cache-Status")!, /^warmcache; fwd=miss/);
    assert.match((await ask({}, own)).headers.get("Cache-Status")!, /^warmcache; hit/);
  });

  it("keep entries apart, as the callers' keys do", async () => {
    await using own = await testServer({ cache: await temporaryFolder(), hub: false, apiKey: ["a=one", "b=two"] });
    const status = async (key: string, rest: Record<string, string> = {}): Promise<string> => {
      const response = await post(own, PATH, REQUEST, null, { Authorization: `Bearer ${key}`, ...rest });
      await response.text();
      return response.headers.get("Cache-Status")!;
    };
    assert.match(await status("one"), /fwd=miss/);
    assert.match(await status("one"), /hit/);
    assert.match(await status("two"), /fwd=miss/);
    assert.match(await status("one", { "X-Warmcache-Namespace": "other" }), /fwd=miss/);
  });
});

describe("every answer", () => {
  it("says which request it answers, errors and streams too", async () => {
    for (const body of [REQUEST, { ...REQUEST, stream: true }, { ...REQUEST, model: "none" }]) {
      const response = await post(server, PATH, body);
      assert.ok(response.headers.get("X-Request-Id"));
      await response.body!.cancel();
    }
  });
});
