/** `/livez` and `/readyz`, as whoever sends servers requests asks them. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { PATIENCE_FACTOR } from "../../src/http/operations/probes.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { type Gate, gate } from "../support/gate.ts";
import { copyModel, copyModelWithOtherWeights } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

const PROMPT = { model: "kjv-tiny", prompt: "In", max_tokens: 2 };

async function probe({ url }: { readonly url: string }, path: string): Promise<[number, unknown]> {
  const response = await fetch(`${url}${path}`);
  return [response.status, await response.json()];
}

/** A clock whose durations the test can make longer. */
async function shiftedClock() {
  const { clock } = await loadRuntime();
  let shift = 0;
  return { monotonic: () => clock.monotonic() + shift, skip: (time: number) => void (shift += time) };
}

/** What a client that would keep its connection is told before the body; libraries hide that part. */
async function headOf({ url }: { readonly url: string }, path: string): Promise<string> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n\r\n`);
  let text = "";
  for await (const part of socket.setEncoding("utf8")) {
    text += part;
    if (text.includes("\r\n\r\n")) break;
  }
  socket.destroy();
  return text;
}

async function heldLoads(): Promise<{ readonly held: Gate; readonly load: LoadBackend }> {
  const runtime = await loadRuntime();
  const held = gate();
  const load: LoadBackend = async (base, signal) => {
    await held.pass();
    return await loadOnnxBackend(runtime, base, { signal });
  };
  return { held, load };
}

describe("a server", () => {
  it("is alive and ready before any model is warm", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), hub: false });
    for (const path of ["/livez", "/readyz"]) assert.deepEqual(await probe(server, path), [200, { status: "ok" }]);
  });

  it("answers anybody who probes it, whatever keys it has and however it is called", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), hub: false, apiKey: "secret" });
    for (const path of ["/livez", "/readyz"]) {
      const response = await fetch(`${server.url}${path}`, { headers: { Origin: "https://elsewhere.example" } });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Cache-Control"), "no-store");
      await response.body!.cancel();
    }
  });

  it("is ready while a model loads, until that takes far longer than requests wait for it", async () => {
    const { held, load } = await heldLoads();
    const { monotonic, skip } = await shiftedClock();
    const options = { cache: await temporaryFolder(), hub: false as const, loadTimeout: 600_000 };
    await using server = await testServer(options, load, { monotonic });
    const asking = post(server, "/v1/completions", PROMPT);
    await held.reached;
    skip(PATIENCE_FACTOR * 600_000 - 60_000);
    assert.deepEqual(await probe(server, "/readyz"), [200, { status: "ok" }]);
    skip(60_000);
    const [status, body] = await probe(server, "/readyz");
    assert.equal(status, 503);
    assert.match(
      JSON.stringify(body),
      /^\{"status":"not ready","reasons":\["a model has been loading for 30\d\d s"\]\}$/,
    );
    assert.deepEqual(
      await probe(server, "/livez"),
      [200, { status: "ok" }],
      "to start it again is for others to decide",
    );
    held.open();
    assert.equal((await asking).status, 200);
    assert.deepEqual(await probe(server, "/readyz"), [200, { status: "ok" }]);
  });

  it("is not ready when a request has waited for room for too long", async () => {
    const { held, load } = await heldLoads();
    const { monotonic, skip } = await shiftedClock();
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    const options = {
      cache: await temporaryFolder(),
      hub: false as const,
      models,
      maxLoadedModels: 1,
      loadTimeout: 600_000,
    };
    await using server = await testServer(options, load, { monotonic });
    const first = post(server, "/v1/completions", { ...PROMPT, model: "one" });
    await held.reached;
    const second = post(server, "/v1/completions", { ...PROMPT, model: "two" });
    const health = async () => await (await fetch(`${server.url}/health`)).json();
    while ((await health()).waiting_requests === 0);
    skip(PATIENCE_FACTOR * 600_000 + 1000);
    const [status, body] = await probe(server, "/readyz");
    assert.equal(status, 503);
    assert.match((body as { reasons: string[] }).reasons.join(), /a request has waited for room for 30\d\d s/);
    held.open();
    for (const each of [first, second]) assert.equal((await each).status, 200);
  });

  it("counts no probe among its requests", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), hub: false });
    for (const path of ["/livez", "/readyz"]) await probe(server, path);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.doesNotMatch(metrics, /livez|readyz/);
  });
});

describe("a server that is stopped", () => {
  it("says so and goes on serving for its drain delay, then takes no more", async () => {
    const { clock } = await loadRuntime();
    const delay = gate();
    const sleep: typeof clock.sleep = (duration, options) =>
      duration === 4321 ? delay.pass() : clock.sleep(duration, options);
    const options = { cache: await temporaryFolder(), hub: false as const, drainDelay: 4321 };
    const server = await testServer(options, undefined, { sleep });
    const warm = await post(server, "/v1/completions", PROMPT);
    assert.notEqual(warm.headers.get("Connection"), "close");
    await warm.text();
    const stopped = server.stop();
    await delay.reached;
    assert.deepEqual(await probe(server, "/readyz"), [503, { status: "not ready", reasons: ["draining"] }]);
    assert.deepEqual(await probe(server, "/livez"), [200, { status: "ok" }]);
    for (const stream of [false, true]) {
      const response = await post(server, "/v1/completions", { ...PROMPT, stream });
      assert.equal(response.status, 200);
      assert.match(await response.text(), stream ? /data: \[DONE\]/ : /"choices"/);
    }
    assert.match(await (await fetch(`${server.url}/metrics`)).text(), /^warmcache_draining 1$/m);
    assert.match(await headOf(server, "/v1/models"), /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/i);
    delay.open();
    await stopped;
    await assert.rejects(fetch(`${server.url}/readyz`));
  });

  for (const drainDelay of [-1, NaN, Infinity]) {
    it(`needs a delay that is one: ${drainDelay}`, async () => {
      await assert.rejects(testServer({ drainDelay }), { name: "RangeError", message: /drainDelay.*: / });
    });
  }
});
