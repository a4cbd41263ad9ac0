/** Streams of warm models: shared while they run, alive while there is nothing to send, and each as its caller wishes. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { GRACE } from "../../src/http/answer.ts";
import type { Backend, GenerateEvent, View } from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock, Runtime } from "../../src/runtime/runtime.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { type Gate, gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, openai, post, testServer } from "./support.ts";

const CHAT = {
  model: "kjv-tiny",
  messages: [{ role: "user", content: "In the beginning" }],
  max_tokens: 12,
  temperature: 0,
  stream: true,
};

/** What comes of a stream: its events as JSON where they are, and its comments. */
async function readStream(response: Response): Promise<{ chunks: Chunk[]; comments: string[]; isDone: boolean }> {
  const parts = (await response.text()).split("\n\n").filter((part) => part !== "");
  const events = parts.filter((part) => part.startsWith("data: ")).map((part) => part.slice("data: ".length));
  return {
    chunks: events.filter((data) => data !== "[DONE]").map((data) => JSON.parse(data)),
    comments: parts.filter((part) => part.startsWith(": ")).map((part) => part.slice(2)),
    isDone: events.at(-1) === "[DONE]",
  };
}

// deno-lint-ignore no-explicit-any -- tests read what they know is there
type Chunk = any;

/** Loads that wait for the test. */
async function heldLoads(): Promise<{ readonly held: Gate; readonly load: LoadBackend }> {
  const runtime: Runtime = await loadRuntime();
  const held = gate();
  const load: LoadBackend = async (base, signal) => {
    await held.pass();
    return await loadOnnxBackend(runtime, base, { signal });
  };
  return { held, load };
}

/** A model that dies after some tokens. */
async function* dying(generation: AsyncIterable<GenerateEvent>): AsyncGenerator<GenerateEvent> {
  let events = 0;
  for await (const event of generation) {
    yield event;
    if (++events === 4) throw new ModelError("worker_failed", "The Worker died");
  }
}

/** A clock that waits for nothing of one length. */
async function impatientFor(...durations: number[]): Promise<Pick<Clock, "sleep">> {
  const { clock } = await loadRuntime();
  return {
    sleep: (duration, options) => durations.includes(duration) ? Promise.resolve() : clock.sleep(duration, options),
  };
}

describe("a stream", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
  });
  after(() => server.stop());

  it("has a chunk with the role, then text, then the reason of its end, then the usage if that is wished for, then [DONE]", async () => {
    const wish = { ...CHAT, stream_options: { include_usage: true } };
    for (const source of ["the model", "the cache"]) {
      const { chunks, isDone } = await readStream(await post(server, "/v1/chat/completions", wish));
      const [first] = chunks;
      assert.deepEqual(first.choices[0].delta, { role: "assistant", content: "", refusal: null }, source);
      assert.ok(chunks.every((chunk) => chunk.object === "chat.completion.chunk" && chunk.id === first.id));
      assert.ok(
        chunks.every(({ created, model, system_fingerprint: print }) =>
          created === first.created && model === "kjv-tiny" && print === first.system_fingerprint
        ),
      );
      const last = chunks.at(-1);
      assert.deepEqual(last.choices, []);
      assert.equal(last.usage.completion_tokens, 12);
      assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null), "named, and empty until the end");
      const [finish] = chunks.at(-2).choices;
      assert.deepEqual([finish.delta, finish.finish_reason], [{}, "length"]);
      assert.ok(chunks.slice(0, -2).every(({ choices }) => choices[0].finish_reason === null));
      assert.equal(isDone, true);
    }
  });

  it("has no word of the usage for whoever does not wish for it, though another one did", async () => {
    const { chunks } = await readStream(await post(server, "/v1/chat/completions", CHAT));
    assert.ok(chunks.every((chunk) => !("usage" in chunk)));
  });

  it("tells its usage to whoever asks for all at once afterwards", async () => {
    const request = { ...CHAT, max_tokens: 5 };
    await readStream(await post(server, "/v1/chat/completions", request));
    const whole = await post(server, "/v1/chat/completions", { ...request, stream: false });
    assert.match(whole.headers.get("Cache-Status")!, /^warmcache; hit/);
    assert.match(whole.headers.get("Age")!, /^\d+$/);
    assert.equal((await whole.json()).usage.completion_tokens, 5);
  });

  it("brings each choice under its index", async () => {
    const request = { ...CHAT, n: 3, temperature: 1, seed: 11 };
    const { chunks, isDone } = await readStream(await post(server, "/v1/chat/completions", request));
    const texts = ["", "", ""];
    const reasons: unknown[] = [];
    for (const { choices: [{ index, delta, finish_reason }] } of chunks) {
      texts[index] += delta.content ?? "";
      if (finish_reason !== null) reasons[index] = finish_reason;
    }
    assert.equal(isDone, true);
    assert.equal(reasons.length, 3);
    assert.equal(new Set(texts).size, 3);
    const whole = await (await post(server, "/v1/chat/completions", { ...request, stream: false })).json();
    assert.deepEqual(whole.choices.map(({ message }: Chunk) => message.content), texts);
  });

  it("is one run, whoever asks for it while it runs, and however", async () => {
    const { run_count: runs, request_count: requests } = await getJson(server, "/stats");
    const request = { ...CHAT, messages: [{ role: "user", content: "And the earth" }], max_tokens: 200 };
    const leader = (await post(server, "/v1/chat/completions", request)).body!.getReader();
    await leader.read();
    const usage = { stream_options: { include_usage: true } };
    const followers = [request, { ...request, ...usage }].map(async (body) =>
      await readStream(await post(server, "/v1/chat/completions", body))
    );
    const whole = post(server, "/v1/chat/completions", { ...request, stream: false });
    while ((await getJson(server, "/stats")).request_count < requests + 4);
    // Whoever began it leaves, and it goes on for the others.
    await leader.cancel();
    const [plain, withUsage] = await Promise.all(followers);
    const textOf = (chunks: Chunk[]): string => chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    const answer = await (await whole).json();
    assert.equal(textOf(plain!.chunks), answer.choices[0].message.content);
    assert.equal(textOf(withUsage!.chunks), answer.choices[0].message.content);
    assert.deepEqual(withUsage!.chunks.at(-1).usage, answer.usage);
    assert.equal((await getJson(server, "/stats")).run_count, runs + 1);
  });

  it("reports what goes wrong in its middle as an event with all four keys", async () => {
    const runtime = await loadRuntime();
    await using fragile = await testServer({ cache: await temporaryFolder(), hub: false }, async (base, signal) => {
      const backend = await loadOnnxBackend(runtime, base, { signal });
      const view = backend.baseView();
      const generate: View["generate"] = (...request) => dying(view.generate(...request));
      return new Proxy(backend, {
        get(target, name) {
          if (name === "baseView") return () => ({ generate });
          const value = target[name as keyof Backend];
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    });
    const { chunks, isDone } = await readStream(await post(fragile, "/v1/chat/completions", CHAT));
    assert.equal(isDone, false);
    assert.ok(chunks.length > 2);
    assert.deepEqual(chunks.at(-1), {
      error: { message: "The Worker died", type: "server_error", param: null, code: "worker_failed" },
    });
    assert.equal((await getJson(fragile, "/stats")).cache.writes, 0);
  });
});

describe("a stream of a model that loads", () => {
  it("begins at once and says how far it is, in comments that clients pass over", async () => {
    const { held, load } = await heldLoads();
    const cache = await temporaryFolder();
    await using server = await testServer({ cache, hub: false }, load, await impatientFor(GRACE));
    const response = await post(server, "/v1/chat/completions", CHAT);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("Content-Type"), "text/event-stream; charset=utf-8");
    assert.equal(response.headers.get("Cache-Status"), "warmcache; fwd=miss");
    assert.ok(response.headers.has("X-Request-Id"));
    await held.reached;
    const client = openai(server);
    const stream = client.chat.completions.stream({
      model: "kjv-tiny",
      messages: [{ role: "user", content: "In the beginning" }],
      max_tokens: 12,
      temperature: 0,
    });
    held.open();
    const { chunks, comments, isDone } = await readStream(response);
    assert.match(comments[0]!, /^(loading kjv-tiny|working)$/);
    assert.equal(isDone, true);
    const text = chunks.map(({ choices }) => choices[0].delta.content ?? "").join("");
    assert.equal((await stream.finalChatCompletion()).choices[0]!.message.content, text);
    assert.equal((await getJson(server, "/stats")).run_count, 1);
  });

  it("ends with an event for what would have been a status", async () => {
    const cache = await temporaryFolder();
    const { held, load } = await heldLoads();
    await using server = await testServer({ cache, hub: false }, load, await impatientFor(GRACE));
    const prompt = "word ".repeat(1000);
    const response = await post(server, "/v1/completions", { model: "kjv-tiny", prompt, stream: true });
    assert.equal(response.status, 200);
    held.open();
    const { chunks, isDone } = await readStream(response);
    assert.equal(isDone, false);
    assert.deepEqual(chunks.map(({ error }) => [error.code, error.param]), [["context_length_exceeded", "prompt"]]);
  });

  it("is given up when its client leaves, and the load goes on", async () => {
    const { held, load } = await heldLoads();
    const cache = await temporaryFolder();
    await using server = await testServer({ cache, hub: false }, load, await impatientFor(GRACE));
    const response = await post(server, "/v1/chat/completions", CHAT);
    await held.reached;
    await response.body!.cancel();
    while ((await getJson(server, "/health")).loaded_models[0].leases > 0);
    held.open();
    const other = await post(server, "/v1/chat/completions", { ...CHAT, stream: false, max_tokens: 1 });
    assert.equal(other.status, 200);
    await other.body!.cancel();
    assert.equal((await getJson(server, "/stats")).run_count, 1);
  });
});

describe("an answer that is to come whole from a model that loads", () => {
  it("is refused when its time is up, with what is known of the load, which goes on", async () => {
    const { held, load } = await heldLoads();
    const cache = await temporaryFolder();
    const { clock } = await loadRuntime();
    const sleep: Clock["sleep"] = (duration, options) =>
      duration === 4321 ? held.reached : clock.sleep(duration, options);
    const lines: string[] = [];
    const log = (level: string, message: string) => level === "error" && lines.push(message);
    await using server = await testServer({ cache, hub: false, loadTimeout: 4321, log }, load, { sleep });
    const request = { ...CHAT, stream: false };
    const asked = {
      "/v1/chat/completions": request,
      "/v1/completions": { model: "kjv-tiny", prompt: "In" },
      "/v1/embeddings": { model: "kjv-tiny", input: "In" },
    };
    for (const [path, body] of Object.entries(asked)) {
      const response = await post(server, path, body);
      assert.equal(response.status, 503, path);
      const seconds = Number(response.headers.get("Retry-After"));
      assert.ok(seconds >= 1 && seconds <= 60);
      assert.equal(response.headers.get("x-should-retry"), null, "it is worth asking again");
      const { error, loading } = await response.json();
      assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
      assert.equal(error.code, "model_loading");
      assert.deepEqual(loading, { state: "loading", eta_seconds: null });
    }
    await held.reached;
    held.open();
    while ((await getJson(server, "/health")).loaded_models[0].state !== "warm");
    const response = await post(server, "/v1/chat/completions", request);
    assert.equal(response.status, 200, "a model that is warm may take as long as it does");
    assert.deepEqual(lines, [], "that is no error of the server");
    await response.body!.cancel();
  });

  it("needs a time that is one", async () => {
    for (const loadTimeout of [0, -1, NaN, Infinity]) {
      await assert.rejects(testServer({ loadTimeout }), { name: "RangeError", message: /loadTimeout/ });
    }
  });
});
