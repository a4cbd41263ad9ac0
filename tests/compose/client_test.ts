/** The client of the server's own routes, against the real server, and against what is none. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ClientError, WarmcacheClient } from "../../src/compose/client.ts";
import type { RunningServer } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "../server/support.ts";

const machine = await loadRuntime();
const SPEC = {
  version: 1,
  models: { base: { base: "kjv-tiny" }, ft: { base: "kjv-tiny", adapter: "fortunes" } },
  suite: [
    { kind: "delta_kl", name: "delta", prompts: ["A man who"] },
    { kind: "preference_flip", name: "flip", triples: [{ prompt: "A man who", chosen: " turns", rejected: " is" }] },
  ],
};

/** What a client throws, when it throws one of its own. */
async function errorOf(call: Promise<unknown>): Promise<ClientError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** A client of something that answers like this, and what it was asked. */
function clientOf(
  answer: (url: string, init: RequestInit) => Response | Promise<Response>,
  url = "http://127.0.0.1:1",
): { client: WarmcacheClient; asked: { url: string; init: RequestInit }[] } {
  const asked: { url: string; init: RequestInit }[] = [];
  const client = new WarmcacheClient(url, {
    apiKey: "sesame",
    fetch: (url, init) => {
      asked.push({ url, init });
      return Promise.resolve(answer(url, init));
    },
  });
  return { client, asked };
}

describe("WarmcacheClient at a server", () => {
  let server: RunningServer;
  let client: WarmcacheClient;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), apiKey: "me=sesame" });
    client = new WarmcacheClient(`${server.url}//`, { apiKey: "sesame" });
  });
  after(() => server.stop());

  it("asks for health, with and without a key", async () => {
    for (const each of [client, new WarmcacheClient(server.url)]) assert.equal((await each.health()).status, "ok");
  });

  it("asks for statistics", async () => {
    assert.equal((await client.stats()).cached_backends, 0);
  });

  it("lists models", async () => {
    const models = await client.models();
    const adapter = models.find(({ id }) => id === "kjv-tiny+fortunes");
    assert.equal(adapter?.parent, "kjv-tiny");
  });

  it("runs a suite", async () => {
    const report = await client.run(SPEC, { specPath: "suite.yaml" });
    assert.equal(report.spec_path, "suite.yaml");
    assert.deepEqual(report.probes.map(({ name }) => name), ["delta", "flip"]);
    assert.ok(report.request_seconds > 0);
  });

  it("runs some of its probes", async () => {
    const { probes } = await client.score(SPEC, { probeNames: ["flip"] });
    assert.deepEqual(probes.map(({ name }) => name), ["flip"]);
    assert.equal((await client.score(SPEC)).probes.length, 2);
  });

  it("says what is wrong with a suite, in the server's words", async () => {
    const error = await errorOf(client.run({ ...SPEC, version: 7 }));
    assert.deepEqual([error.method, error.path, error.status], ["POST", "/run", 400]);
    assert.match(error.message, /^POST \/run was answered 400: .*version/);
    assert.equal((error.body as { error: { param: string } }).error.param, "spec.version");
  });

  it("says that a model is not there, as a word programs can test", async () => {
    const models = { base: { base: "nobody" }, ft: { base: "nobody", adapter: "none" } };
    const error = await errorOf(client.score({ ...SPEC, models }));
    assert.deepEqual([error.status, error.code], [404, "model_not_found"]);
  });

  it("says that its key is wrong, and does not repeat it", async () => {
    const error = await errorOf(new WarmcacheClient(server.url, { apiKey: "wrong-secret" }).stats());
    assert.deepEqual([error.status, error.code], [401, "invalid_api_key"]);
    assert.doesNotMatch(error.message, /wrong-secret/);
  });
});

describe("WarmcacheClient", () => {
  it("sends its key, its paths without a double slash, and only what was said", async () => {
    const { client, asked } = clientOf(() => Response.json({ probes: [] }), "http://127.0.0.1:1/base/");
    await client.score(SPEC);
    await client.score(SPEC, { probeNames: ["a"], seed: 3 });
    await client.run(SPEC);
    assert.deepEqual(asked.map(({ url }) => url.slice(18)), ["/base/score", "/base/score", "/base/run"]);
    assert.deepEqual(asked.map(({ init }) => JSON.parse(init.body as string)), [
      { spec: SPEC },
      { spec: SPEC, probe_names: ["a"], seed: 3 },
      { spec: SPEC, spec_path: "<client>" },
    ]);
    assert.equal((asked[0]!.init.headers as Record<string, string>).Authorization, "Bearer sesame");
  });

  it("calls fetch as a function: a browser's own takes no other `this`", async () => {
    let owner: unknown = "nobody";
    const fetch = function (this: unknown): Promise<Response> {
      owner = this;
      return Promise.resolve(Response.json({}));
    };
    await new WarmcacheClient("http://127.0.0.1:1", { fetch }).health();
    assert.equal(owner, undefined);
  });

  it("refuses a suite that is no JSON as misuse, and asks nobody", async () => {
    const { client, asked } = clientOf(() => Response.json({}));
    const endless: { spec?: object } = {};
    endless.spec = endless;
    await assert.rejects(client.run(endless), TypeError);
    assert.equal(asked.length, 0);
  });

  it("does not repeat its key where an answer does", async () => {
    for (
      const answer of [
        () => Response.json({ error: { message: "No such key: sesame" } }, { status: 401 }),
        () => new Response("<p>sesame</p>"),
        () => Response.json(["sesame"]),
        () => Promise.reject(new Error("sesame?")),
      ]
    ) {
      const { message } = await errorOf(clientOf(answer).client.health());
      assert.doesNotMatch(message, /sesame/);
    }
    const { client } = clientOf(() => Response.json({ status: "sesame" }));
    assert.equal((await client.health()).status, "sesame");
  });

  it("says that nobody is there", async () => {
    const listener = await machine.serveHttp({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    await listener.shutdown();
    const error = await errorOf(new WarmcacheClient(`http://127.0.0.1:${listener.port}`).health());
    assert.deepEqual([error.code, error.status], ["unreachable", undefined]);
    assert.match(error.message, /^GET \/health failed: /);
    assert.ok(error.cause instanceof Error);
  });

  it("says that it took too long", async () => {
    const client = new WarmcacheClient("http://127.0.0.1:1", {
      timeout: 5,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
    });
    const error = await errorOf(client.health());
    assert.deepEqual([error.code, error.message], ["timeout", "GET /health failed: it took longer than 5 ms"]);
  });

  it("ends early with the signal's own reason", async () => {
    const { client } = clientOf((_, { signal }) => Promise.reject(signal!.reason));
    const reason = new Error("enough");
    await assert.rejects(client.health({ signal: AbortSignal.abort(reason) }), reason);
  });

  it("says that an answer is no JSON, and shows its beginning, whatever its status", async () => {
    for (const status of [200, 500]) {
      const { client } = clientOf(() => new Response(`<html>${"x".repeat(999)}`, { status }));
      const error = await errorOf(client.health());
      assert.deepEqual([error.code, error.status], ["unreadable", status]);
      assert.match(error.message, /no JSON: <html>x{194}$/);
    }
  });

  it("says that an answer is JSON, but no object", async () => {
    for (const body of [[1], 3, null, "hi"]) {
      const { client } = clientOf(() => Response.json(body));
      assert.match((await errorOf(client.stats())).message, /JSON that is no object/);
    }
    const { client } = clientOf(() => Response.json({ object: "list" }));
    assert.match((await errorOf(client.models())).message, /with no list of models$/);
  });

  it("reads what dlm-sway's daemon says of an error", async () => {
    const { client } = clientOf(() => Response.json({ detail: "bad probe" }, { status: 400 }));
    assert.equal((await errorOf(client.run(SPEC))).message, "POST /run was answered 400: bad probe");
  });

  it("refuses what is no address, no time, no key or no option, and repeats no secret", () => {
    const refused: readonly [string, object, RegExp][] = [
      ["redis://sesame", {}, /url has to be/],
      ["http://me:sesame@127.0.0.1", {}, /without a credential/],
      ["http://127.0.0.1/?key=sesame", {}, /no \? and no #/],
      ["http://127.0.0.1/#sesame", {}, /no \? and no #/],
      ["http://127.0.0.1", { fetch: "sesame" }, /fetch has to be a function/],
      ["http://127.0.0.1", { timeout: 0 }, /timeout/],
      ["http://127.0.0.1", { apiKey: "se\nsame" }, /apiKey/],
      ["http://127.0.0.1", { key: "x" }, /unknown option .*: key/],
    ];
    for (const [url, options, message] of refused) {
      assert.throws(() => new WarmcacheClient(url, options), (error: Error) => {
        assert.match(error.message, message);
        return !error.message.includes("sesame");
      });
    }
  });
});
