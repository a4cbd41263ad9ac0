/** What stays loaded: eviction really ends a Worker, leases come before loads, and nothing waits behind a model. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { gate } from "../support/gate.ts";
import { copyModel, copyModelWithOtherWeights } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post, testServer } from "./support.ts";

const PROMPT = { prompt: "And Moses said unto", max_tokens: 4, temperature: 0 };

/** The models' Workers, as the operating system sees them: Deno numbers their threads, Node and Bun name them. */
async function workerThreads(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const names = threads.map((id) => readFile(`/proc/${pid}/task/${id}/comm`, "utf8").catch(() => ""));
  return (await Promise.all(names)).filter((name) => /^(worker-|model )/.test(name)).length;
}

/** Waits for the operating system to have taken the thread of an ended Worker away. */
async function workerThreadsBecome(pid: number, count: number): Promise<void> {
  while (await workerThreads(pid) !== count) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A server in a process of its own: in this one other tests have Workers, too. */
async function serverProcess(...flags: string[]): Promise<{ url: string; pid: number } & AsyncDisposable> {
  const run = "Deno" in globalThis ? ["run", "-A"] : [];
  const program = fileURLToPath(new URL("../../server.ts", import.meta.url));
  const child = spawn(process.execPath, [...run, program, "--port", "0", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return {
    url: /listens on (\S+)/.exec(line)![1]!,
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      process.kill(child.pid!, "SIGTERM");
      await ended;
    },
  };
}

describe("with room for one model", () => {
  it("the least recently used one is evicted, its Worker is gone, and answers stay right", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    const flags = ["--models", models, "--cache", await temporaryFolder(), "--max-loaded-models", "1"];
    await using server = await serverProcess(...flags);

    const answers: Record<string, string> = {};
    for (const model of ["one", "two", "one"]) {
      const response = await post(server, "/v1/completions", { ...PROMPT, model, unknown_field: Math.random() });
      const text = (await response.json()).choices[0].text;
      assert.equal(answers[model] ??= text, text);
      const { loaded_models, max_loaded_models } = await getJson(server, "/health");
      assert.equal(max_loaded_models, 1);
      assert.deepEqual(loaded_models.map(({ base, state }: Record<string, string>) => [base, state]), [[
        model,
        "warm",
      ]]);
      await workerThreadsBecome(server.pid, 1);
    }
    assert.notEqual(answers.one, answers.two);
  });

  it("two names of one content share one backend", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModel(models, "same");
    await using server = await testServer({ models, cache: await temporaryFolder(), maxLoadedModels: 1 });
    const first = await (await post(server, "/v1/completions", { ...PROMPT, model: "one" })).json();
    const second = await (await post(server, "/v1/completions", { ...PROMPT, model: "same" })).json();
    assert.equal(first.system_fingerprint, second.system_fingerprint);
    assert.equal((await getJson(server, "/health")).loaded_models[0].identity.length, 64);
    assert.equal((await getJson(server, "/health")).loaded_models.length, 1);
  });

  it("health says how many requests wait for it, and they are served when it is free", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    await using server = await testServer({ models, cache: await temporaryFolder(), maxLoadedModels: 1 });
    const long = { model: "one", prompt: "And", max_tokens: 200, temperature: 1, seed: 5, stream: true };
    const reader = (await post(server, "/v1/completions", long)).body!.getReader();
    await reader.read();
    const waiting = [1, 2].map((seed) => post(server, "/v1/completions", { ...PROMPT, model: "two", seed }));
    while ((await getJson(server, "/health")).waiting_requests < 2);
    assert.deepEqual((await getJson(server, "/health")).loaded_models.map(({ base }: { base: string }) => base), [
      "one",
    ]);
    while (!(await reader.read()).done);
    for (const response of await Promise.all(waiting)) assert.equal((await response.json()).model, "two");
    const { waiting_requests, loaded_models: [two], bytes } = await getJson(server, "/health");
    assert.deepEqual([waiting_requests, two.base, two.bytes], [0, "two", bytes]);
  });
});

describe("while a model loads", () => {
  it("health and stats answer, the request holds its lease already, and a cached answer is served", async () => {
    const runtime = await loadRuntime();
    const cache = await temporaryFolder();
    await using warm = await testServer({ cache });
    await (await post(warm, "/v1/completions", { ...PROMPT, model: "kjv-tiny" })).text();
    await warm.stop();

    const held = gate();
    const load: LoadBackend = async (base, signal) => {
      await held.pass();
      return await loadOnnxBackend(runtime, base, { signal });
    };
    await using server = await testServer({ cache }, load);
    const waiting = post(server, "/v1/completions", { ...PROMPT, model: "kjv-tiny", max_tokens: 5 });
    await held.reached;

    const [loading] = (await getJson(server, "/health")).loaded_models;
    assert.equal(loading.state, "loading");
    assert.equal(loading.leases, 1);
    assert.equal((await getJson(server, "/stats")).run_count, 0);
    const cached = await post(server, "/v1/completions", { ...PROMPT, model: "kjv-tiny" });
    assert.equal(cached.headers.get("Cache-Status"), "warmcache; hit");
    await cached.body!.cancel();

    held.open();
    assert.equal((await waiting).status, 200);
    await (await waiting).body!.cancel();
  });
});

describe("while a model generates", () => {
  it("health and stats answer", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const long = { model: "kjv-tiny", prompt: "And", max_tokens: 200, temperature: 1, seed: 1, stream: true };
    const response = await post(server, "/v1/completions", long);
    const reader = response.body!.getReader();
    // What comes before the first chunk are comments.
    while (!new TextDecoder().decode((await reader.read()).value).includes("data: "));
    // The reader has stopped; the model is a few tokens ahead of it and waits, in the middle of its answer.
    const [generating] = (await getJson(server, "/health")).loaded_models;
    assert.equal(generating.state, "warm");
    assert.equal(generating.leases, 1);
    assert.equal((await getJson(server, "/stats")).cache.writes, 0);
    while (!(await reader.read()).done);
    assert.equal((await getJson(server, "/stats")).cache.writes, 1);
    assert.equal((await getJson(server, "/health")).loaded_models[0].leases, 0);
  });
});

describe("a client that goes away", () => {
  const LONG = { model: "kjv-tiny", prompt: "And", max_tokens: 200, temperature: 1 };
  const log: string[] = [];
  const start = async (load?: LoadBackend) => {
    log.length = 0;
    const cache = await temporaryFolder();
    return await testServer({ cache, log: (level, message) => level === "error" && log.push(message) }, load);
  };
  const untilFree = async (server: { url: string }) => {
    while ((await getJson(server, "/health")).loaded_models[0].leases > 0);
  };

  it("in the middle of a stream ends the work and leaves nothing in the cache", async () => {
    await using server = await start();
    const reader = (await post(server, "/v1/completions", { ...LONG, seed: 2, stream: true })).body!.getReader();
    await reader.read();
    await reader.cancel();
    await untilFree(server);
    assert.equal((await getJson(server, "/stats")).cache.writes, 0);
    assert.deepEqual(log, [], "that is no error of the server");
  });

  it("before a whole answer is there ends the work", async () => {
    await using server = await start();
    const client = new AbortController();
    const body = { ...LONG, n: 128, seed: 3 };
    const asking = post(server, "/v1/completions", body, client.signal);
    while ((await getJson(server, "/stats")).run_count === 0);
    client.abort();
    await assert.rejects(asking, { name: "AbortError" });
    await untilFree(server);
    assert.equal((await getJson(server, "/stats")).cache.writes, 0, "not generated to its end");
    assert.deepEqual(log, []);
  });

  for (const stream of [true, false]) {
    it(`while the model loads gives its lease back and the load goes on, stream: ${stream}`, async () => {
      const runtime = await loadRuntime();
      const held = gate();
      await using server = await start(async (base, signal) => {
        await held.pass();
        return await loadOnnxBackend(runtime, base, { signal });
      });
      const client = new AbortController();
      const asking = post(server, "/v1/completions", { ...LONG, stream }, client.signal);
      await held.reached;
      client.abort();
      await assert.rejects(asking, { name: "AbortError" });
      await untilFree(server);
      held.open();
      const other = await post(server, "/v1/completions", { ...LONG, max_tokens: 1 });
      assert.equal(other.status, 200);
      await other.body!.cancel();
      const { run_count } = await getJson(server, "/stats");
      assert.equal(run_count, 1, "nothing was generated for the one that left");
      assert.deepEqual(log, []);
    });
  }

  it("leaves those who share its answer with theirs", async () => {
    const runtime = await loadRuntime();
    const held = gate();
    await using server = await start(async (base, signal) => {
      await held.pass();
      return await loadOnnxBackend(runtime, base, { signal });
    });
    const client = new AbortController();
    const body = { ...LONG, max_tokens: 3, seed: 4 };
    const leader = post(server, "/v1/completions", body, client.signal);
    await held.reached;
    const followers = Array.from({ length: 3 }, () => post(server, "/v1/completions", body));
    while ((await getJson(server, "/stats")).request_count < 4);
    client.abort();
    await assert.rejects(leader, { name: "AbortError" });
    held.open();
    const answers = await Promise.all(followers.map(async (response) => await (await response).text()));
    assert.equal(new Set(answers).size, 1);
    assert.equal(JSON.parse(answers[0]!).usage.completion_tokens, 3);
    assert.equal((await getJson(server, "/stats")).run_count, 1);
  });
});
