/** Requests and files that cannot be used: each gets the answer OpenAI's clients understand, and the server lives on. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import type { RunningServer } from "../../src/compose/server.ts";
import { copyModel } from "../support/models.ts";
import { makeReadOnly, onSmallDisk } from "../support/small_disk.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, openai, post, testServer } from "./support.ts";

describe("a request that cannot be followed", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder() });
  });
  after(() => server.stop());

  const completion = { model: "kjv-tiny", prompt: "In", max_tokens: 1 };
  const chat = { model: "kjv-tiny", messages: [{ role: "user", content: "In" }], max_tokens: 1 };
  const long = Array.from({ length: 300 }, () => 5);
  const DEEP = "[".repeat(20_000) + "]".repeat(20_000);
  const CASES: [
    title: string,
    path: string,
    body: unknown,
    status: number,
    param: string | null,
    code: string | null,
  ][] = [
    ["unknown model", "/v1/completions", { ...completion, model: "gpt-9" }, 404, "model", "model_not_found"],
    ["unknown adapter", "/v1/completions", { ...completion, model: "kjv-tiny+nope" }, 404, "model", "model_not_found"],
    [
      "a path for a model",
      "/v1/completions",
      { ...completion, model: "../models/kjv-tiny" },
      404,
      "model",
      "model_not_found",
    ],
    ["malformed JSON", "/v1/completions", `{"model": "kjv-tiny",`, 400, null, null],
    ["a JSON array", "/v1/completions", "[]", 400, null, null],
    ["no model", "/v1/completions", { prompt: "In" }, 400, "model", null],
    ["no prompt", "/v1/completions", { model: "kjv-tiny" }, 400, "prompt", null],
    ["a wrong type", "/v1/completions", { ...completion, temperature: "hot" }, 400, "temperature", null],
    ["a value out of range", "/v1/completions", { ...completion, top_p: 2 }, 400, "top_p", null],
    ["a token id out of range", "/v1/completions", { ...completion, prompt: [1, 99999] }, 400, "prompt", null],
    ["an empty prompt", "/v1/completions", { ...completion, prompt: "" }, 400, "prompt", null],
    [
      "a prompt that is too long",
      "/v1/completions",
      { ...completion, prompt: long },
      400,
      "prompt",
      "context_length_exceeded",
    ],
    ["what it cannot do", "/v1/completions", { ...completion, suffix: "end" }, 400, "suffix", "unsupported_parameter"],
    [
      "a wrong role",
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "king", content: "" }] },
      400,
      "messages[0].role",
      null,
    ],
    [
      "tools",
      "/v1/chat/completions",
      { ...chat, tools: [{ type: "function" }] },
      400,
      "tools",
      "unsupported_parameter",
    ],
    [
      "a message that says nothing",
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "assistant", content: null }] },
      400,
      "messages[0].content",
      null,
    ],
    [
      "a variable that its template has already",
      "/v1/chat/completions",
      { ...chat, chat_template_kwargs: { messages: [] } },
      400,
      "chat_template_kwargs.messages",
      null,
    ],
    ["more tokens at least than at most", "/v1/completions", { ...completion, min_tokens: 2 }, 400, "min_tokens", null],
    [
      "a bias for a token that is not there",
      "/v1/completions",
      { ...completion, logit_bias: { 99999: 1 } },
      400,
      "logit_bias",
      null,
    ],
    [
      "what vLLM can do and this cannot",
      "/v1/completions",
      { ...completion, guided_regex: "a*" },
      400,
      "guided_regex",
      "unsupported_parameter",
    ],
    [
      "more text than could ever fit",
      "/v1/completions",
      { ...completion, prompt: "word ".repeat(100_000) },
      400,
      "prompt",
      "context_length_exceeded",
    ],
    [
      "a conversation that is too long",
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "user", content: "word ".repeat(400) }] },
      400,
      "messages",
      "context_length_exceeded",
    ],
    [
      "a variable that is nested too deeply",
      "/v1/chat/completions",
      JSON.stringify({ ...chat, chat_template_kwargs: { x: "DEEP" } }).replace('"DEEP"', DEEP),
      400,
      null,
      null,
    ],
    [
      "a message that is nested too deeply",
      "/v1/chat/completions",
      JSON.stringify({ ...chat, messages: [{ role: "user", content: "In", x: "DEEP" }] }).replace('"DEEP"', DEEP),
      400,
      null,
      null,
    ],
    ["an id that is none", "/v1/completions", { ...completion, prompt: [1, "x"] }, 400, "prompt[1]", null],
    ["an id below 0", "/v1/completions", { ...completion, prompt: [[1], [2, -1]] }, 400, "prompt[1][1]", null],
    ["a prompt that is no text", "/v1/completions", { ...completion, prompt: ["In", 5] }, 400, "prompt[1]", null],
    ["an empty list of ids", "/v1/completions", { ...completion, prompt: [[]] }, 400, "prompt[0]", null],
    ["no prompts", "/v1/completions", { ...completion, prompt: [] }, 400, "prompt", null],
    ["a number as prompt", "/v1/completions", { ...completion, prompt: 5 }, 400, "prompt", null],
    ["an unknown path", "/v1/nothing", {}, 404, null, "unknown_url"],
  ];
  for (const [title, path, body, status, param, code] of CASES) {
    it(`with ${title} is refused with ${status} and ${param ?? "no param"}`, async () => {
      const response = await post(server, path, body);
      const { error } = await response.json();
      assert.equal(response.status, status, JSON.stringify(error));
      assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
      assert.equal(error.type, "invalid_request_error");
      assert.equal(error.param, param, error.message);
      assert.equal(error.code, code, error.message);
    });
  }

  it("by another method than POST is refused with 405 and the method that is allowed", async () => {
    const response = await fetch(`${server.url}/v1/completions`);
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("Allow"), "POST");
    assert.deepEqual(Object.keys((await response.json()).error), ["message", "type", "param", "code"]);
  });

  it("is refused on the models too, where only GET is allowed", async () => {
    for (const path of ["/v1/models", "/v1/models/kjv-tiny"]) {
      for (const method of ["POST", "DELETE", "OPTIONS"]) {
        const response = await fetch(`${server.url}${path}`, { method });
        assert.equal(response.status, 405, `${method} ${path}`);
        assert.equal(response.headers.get("Allow"), "GET, HEAD");
        const { error } = await response.json();
        assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
        assert.equal(error.code, "method_not_allowed");
      }
    }
  });

  it("is refused when its bytes are no UTF-8, since it is not known what was asked", async () => {
    const [before, after] = JSON.stringify({ ...completion, prompt: "In |" }).split("|");
    const text = new TextEncoder();
    const body = new Uint8Array([...text.encode(before), 0xff, ...text.encode(after)]);
    const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /UTF-8/);
  });

  it("is read in pieces, and refused with 413 when it is too long", async () => {
    const text = new TextEncoder().encode(JSON.stringify(completion));
    const send = (piece: Uint8Array<ArrayBuffer>, pieces: number): Promise<Response> => {
      const body = new ReadableStream({
        pull(controller) {
          if (pieces-- > 0) controller.enqueue(piece);
          else controller.close();
        },
      });
      const init = { method: "POST", body, duplex: "half" } as RequestInit;
      return fetch(`${server.url}/v1/completions`, init);
    };
    assert.equal((await send(text, 1)).status, 200);
    const long = await fetch(`${server.url}/v1/completions`, { method: "POST", body: "x".repeat(65 * 1024 * 1024) });
    assert.equal(long.status, 413);
    assert.deepEqual(Object.keys((await long.json()).error), ["message", "type", "param", "code"]);
  });

  it("is the client's own error class", async () => {
    const request = openai(server).completions.create({ ...completion, model: "gpt-9" });
    await assert.rejects(request, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  });

  it("has a status and no half-open stream when it asked to stream", async () => {
    const response = await post(server, "/v1/completions", { ...completion, prompt: long, stream: true });
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error.code, "context_length_exceeded");
  });
});

describe("a corrupt model file", () => {
  it("is a 503 with the reason and a cooldown, and other models still answer", async () => {
    const models = await temporaryFolder();
    const broken = await copyModel(models, "broken");
    await copyModel(models, "sound");
    await writeFile(join(broken, "onnx", "model.onnx"), "this is no graph");
    await using server = await testServer({ models, cache: await temporaryFolder() });

    for (let attempt = 0; attempt < 2; attempt++) {
      const response = await post(server, "/v1/completions", { model: "broken", prompt: "In", max_tokens: 1 });
      const { error } = await response.json();
      assert.equal(response.status, 503);
      assert.equal(error.code, "model_load_failed");
      assert.match(error.message, /model\.onnx/);
      const retryAfter = Number(response.headers.get("Retry-After"));
      assert.ok(retryAfter >= 1 && retryAfter <= 60);
      assert.equal(response.headers.get("x-should-retry"), "false");
    }
    const states = (await getJson(server, "/health")).loaded_models.map((
      { base, state }: Record<string, string>,
    ) => [base, state]);
    assert.deepEqual(states, [["broken", "cooldown"]]);
    const sound = await post(server, "/v1/completions", { model: "sound", prompt: "In", max_tokens: 1 });
    assert.equal(sound.status, 200);
    await sound.body!.cancel();
  });
});

describe("a cache directory that cannot be written", () => {
  /** Asks twice; both are answered by the model, and stats and log say why. */
  async function assertAnswersUncached(cache: string): Promise<void> {
    const lines: string[] = [];
    await using server = await testServer({ cache, log: (level, message) => lines.push(`${level} ${message}`) });
    const request = { model: "kjv-tiny", prompt: "In", max_tokens: 2, temperature: 0 };
    for (let i = 0; i < 2; i++) {
      const response = await post(server, "/v1/completions", request);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Cache-Status"), `warmcache; fwd=miss; detail="the store failed"`);
      await response.body!.cancel();
    }
    const stats = await getJson(server, "/stats");
    assert.equal(stats.cache.failed_writes, 2);
    assert.equal(stats.cache.writes, 0);
    assert.ok(stats.cache.last_error.message.length > 0);
    assert.ok(
      lines.some((line) => line.startsWith("warn cache: an answer of kjv-tiny could not be stored")),
      lines.join(),
    );
  }

  it("because it cannot be made never fails an answer", async () => {
    // A folder below a file: not even root can create it.
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    await assertAnswersUncached(join(file, "cache"));
  });

  it("because the disk is full never fails an answer", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "disk"), async (disk) => {
      await assert.rejects(writeFile(join(disk, "filler"), new Uint8Array(2 ** 21)), { code: "ENOSPC" });
      await assertAnswersUncached(disk);
    });
  });

  it("because it may only be read never fails an answer", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "disk"), async (disk) => {
      makeReadOnly(disk);
      await assertAnswersUncached(disk);
    });
  });
});

describe("an API key", () => {
  it("is asked for everywhere but at /health", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey: "right" });
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
    for (const headers of [{}, { Authorization: "Bearer wrong" }, { Authorization: "right" }]) {
      const response = await fetch(`${server.url}/v1/models`, { headers });
      assert.equal(response.status, 401);
      assert.equal((await response.json()).error.code, "invalid_api_key");
    }
    const allowed = await fetch(`${server.url}/v1/models`, { headers: { Authorization: "Bearer right" } });
    assert.equal(allowed.status, 200);
    await allowed.body!.cancel();
  });

  it("is needed to listen anywhere but on this machine", async () => {
    await assert.rejects(testServer({ host: "0.0.0.0" }), TypeError);
  });

  it("is not empty", async () => {
    await assert.rejects(testServer({ apiKey: "" }), { name: "TypeError", message: /empty API key/ });
  });
});

describe("a misspelled option of the server", () => {
  it("is refused by name", async () => {
    await assert.rejects(testServer({ maxLoaded: 1 } as object), { name: "TypeError", message: /maxLoaded$/ });
  });
});
