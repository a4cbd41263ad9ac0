/** The log of a server, as text and as JSON: what is in a line, and what must never be. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lineLog, type LogFormat, type LogLevel } from "../../src/compose/log.ts";
import type { ServerOptions } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { CHAT, CHAT_PATH, startProxy } from "../proxy/support.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal } from "../support/upstream/upstream.ts";
import { post, testServer } from "./support.ts";

/** A log, and its lines. */
async function logOf(level: LogLevel, format: LogFormat) {
  const { clock } = await loadRuntime();
  const lines: string[] = [];
  return { lines, log: lineLog(level, clock, (line) => void lines.push(line), format) };
}

// deno-lint-ignore no-explicit-any -- tests read what they know is there
const read = (line: string): any => JSON.parse(line);

const SECRETS = ["a-prompt-that-is-nobodys-business", "sk-provider-credential", "own-api-key", "in-the-query"];

/** Requests of all sorts with secrets wherever there is room for them; returns when all are in the log. */
async function askEverything(options: ServerOptions): Promise<void> {
  const [prompt, credential, key, query] = SECRETS;
  await using proxy = await startProxy({ ...options, apiKey: `team=${key}` });
  const headers = { "X-Warmcache-Key": key!, Authorization: `Bearer ${credential}` };
  const body = { ...CHAT, messages: [{ role: "user", content: `rain ${prompt}` }] };
  for (const stream of [false, false, true]) {
    await (await proxy.post(CHAT_PATH, { ...body, stream }, headers)).text();
  }
  // Google's clients send their credential so.
  await (await proxy.post(`${CHAT_PATH}?key=${query}`, body, headers)).text();
  await (await proxy.post(CHAT_PATH, body, { Authorization: `Bearer ${credential}` })).text();
  await (await proxy.post(`v1/completions?q=${query}`, { model: "none", prompt }, { Authorization: `Bearer ${key}` }))
    .text();
  await (await proxy.post(`v1/completions?q=${query}`, `{"model": "none", "prompt": "${prompt}`, {
    Authorization: `Bearer ${key}`,
  })).text();
  await (await proxy.post(`nowhere/${prompt}?q=${query}`, body, { Authorization: `Bearer ${key}` })).text();
  proxy.upstream.answer = () => refusal(500, "down");
  await (await proxy.post(CHAT_PATH, { ...body, seed: 1 }, headers)).text();
}

describe("the log", () => {
  it("as text has a sentence a line, and none about a request that went well", async () => {
    const { lines, log } = await logOf("info", "text");
    await using server = await testServer({ cache: await temporaryFolder(), hub: false, log });
    await (await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 2 })).text();
    await (await post(server, "/v1/completions", { model: "none", prompt: "In" }, null, { "X-Request-Id": "mine" }))
      .text();
    const told = lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, ""));
    assert.equal(told[0], "info loading kjv-tiny");
    assert.match(told[1]!, /^info loaded kjv-tiny in \d+\.\d\d s, \d+\.\d MiB$/);
    assert.match(told[2]!, /^info POST \/v1\/completions 404 in \d+ ms, model_not_found, none \(mine\)$/);
    assert.equal(told.length, 3);
  });

  it("as JSON has an object a line, with the fields of what happened", async () => {
    const { lines, log } = await logOf("debug", "json");
    await using server = await testServer({ cache: await temporaryFolder(), hub: false, log });
    const request = { model: "kjv-tiny", prompt: "In", max_tokens: 2 };
    for (const id of ["first", "second"]) {
      await (await post(server, "/v1/completions", request, null, { "X-Request-Id": id })).text();
    }
    const told = lines.map(read);
    for (const { time, level, message } of told) {
      assert.equal(new Date(time).toISOString(), time);
      assert.ok(["info", "debug"].includes(level));
      assert.equal(typeof message, "string");
    }
    const loaded = told.find(({ event }) => event === "model_loaded");
    assert.deepEqual([loaded.model, typeof loaded.seconds, typeof loaded.bytes], ["kjv-tiny", "number", "number"]);
    const [first, second] = told.filter(({ event }) => event === "request");
    const { time: _, message: __, duration_ms, first_byte_ms, ...fields } = second;
    assert.ok(duration_ms >= first_byte_ms && first_byte_ms > 0);
    assert.deepEqual(fields, {
      level: "debug",
      event: "request",
      id: "second",
      method: "POST",
      route: "/v1/completions",
      status: 200,
      stream: false,
      aborted: false,
      provider: "local",
      model: "kjv-tiny",
      cache: "hit",
      saved_ms: fields.saved_ms,
    });
    assert.equal(first.cache, "miss");
    assert.ok(fields.saved_ms > 0 && first.queue_ms > 0);
  });

  for (const format of ["text", "json"] as const) {
    it(`as ${format} has no prompt, no credential and no query in it, whatever goes wrong`, async () => {
      const { lines, log } = await logOf("debug", format);
      await askEverything({ log });
      assert.ok(lines.length >= 8, lines.join("\n"));
      for (const line of lines) for (const secret of SECRETS) assert.ok(!line.includes(secret), line);
    });
  }

  it("names the caller by the id of his key", async () => {
    const { lines, log } = await logOf("debug", "json");
    await askEverything({ log });
    const requests = lines.map(read).filter(({ event }) => event === "request");
    assert.deepEqual(requests.map(({ key, route, status, cache, error }) => [key, route, status, cache, error]), [
      ["team", "/openai/*", 200, "miss", undefined],
      ["team", "/openai/*", 200, "hit", undefined],
      ["team", "/openai/*", 200, "hit", undefined],
      ["team", "/openai/*", 200, undefined, undefined],
      [undefined, "/openai/*", 401, undefined, "invalid_api_key"],
      ["team", "/v1/completions", 404, undefined, "model_not_found"],
      ["team", "/v1/completions", 400, undefined, "invalid_request_error"],
      [undefined, undefined, 404, undefined, "unknown_url"],
      ["team", "/openai/*", 500, "miss", undefined],
    ]);
  });

  it("does not take what others have said for lines of its own", async () => {
    const { lines, log } = await logOf("info", "text");
    log("warn", "no such model: x\n2026-01-01T00:00:00.000Z info all is well\x1b[2J\u2028");
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^\S+ warn no such model: x\n {4}2026-01-01T00:00:00\.000Z info all is well\?\[2J\?$/);
  });

  it("drops what is below its level", async () => {
    const { lines, log } = await logOf("warn", "json");
    for (const level of ["error", "warn", "info", "debug"] as const) log(level, level, { event: "test" });
    assert.deepEqual(lines.map((line) => read(line).level), ["error", "warn"]);
  });
});
