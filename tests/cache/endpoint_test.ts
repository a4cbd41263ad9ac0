/** Which endpoint a request over HTTP asks, as far as its path is not all there is to it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Target, targetOf } from "../../src/cache/request/endpoint.ts";

const GEMINI = "/v1beta/models/gemini-2.5-flash";
const at = (address: string, headers: Record<string, string> = {}): Promise<Target | undefined> =>
  targetOf(new URL(address, "https://provider.test"), new Headers(headers));
const whole = (endpoint: string): Target => ({ endpoint, streams: false });

describe("targetOf", () => {
  it("is the path, where that is all", async () => {
    for (const path of ["/v1/chat/completions", "/api/v1/chat/completions", "/openai/deployments/d/chat/completions"]) {
      assert.deepEqual(await at(path), whole(path));
    }
  });

  it("has the version in which a question is put", async () => {
    assert.deepEqual(await at("/openai/deployments/d/chat/completions?api-version=2024-10-21"), {
      endpoint: "/openai/deployments/d/chat/completions?api-version=2024-10-21",
      streams: false,
    });
    const asked = (version: string): Promise<Target | undefined> =>
      at("/v1/messages", { "anthropic-version": version });
    assert.deepEqual(await asked("2023-06-01"), whole("/v1/messages"), "which is meant where none is named");
    assert.deepEqual(await asked("2026-10-21"), whole("/v1/messages?anthropic-version=2026-10-21"));
    assert.deepEqual(
      await at("/v1/chat/completions", { "anthropic-version": "2026-10-21" }),
      whole("/v1/chat/completions"),
    );
  });

  it("is one for Gemini's stream and its whole answer, whoever asks", async () => {
    const endpoint = `${GEMINI}:generateContent`;
    for (const query of ["", "?key=secret", "?alt=json", "?alt=json&key=secret"]) {
      assert.deepEqual(await at(`${GEMINI}:generateContent${query}`), whole(endpoint));
    }
    for (const query of ["?alt=sse", "?key=secret&alt=sse"]) {
      assert.deepEqual(await at(`${GEMINI}:streamGenerateContent${query}`), { endpoint, streams: true });
    }
  });

  it("has a digest of the headers that may belong to the question", async () => {
    const { endpoint } = (await at("/v1/messages?api-version=1", { "X-Gateway": "one", "X-API-Key": "secret" }))!;
    assert.match(endpoint, /^\/v1\/messages\?api-version=1\?headers=[0-9a-f]{32}$/);
    const ignored = await targetOf(new URL("https://a.test/v1/messages"), new Headers({ "X-Gateway": "one" }), [
      "x-gateway",
    ]);
    assert.deepEqual(ignored, whole("/v1/messages"));
  });

  it("is none where the query may belong to the question, or the stream is a list", async () => {
    const addresses = [
      "/v1/messages?beta=true",
      "/v1/chat/completions?key=secret",
      "/v1/chat/completions?api-version=1&api-version=2",
      `${GEMINI}:generateContent?alt=proto`,
      `${GEMINI}:generateContent?fields=candidates`,
      `${GEMINI}:streamGenerateContent`,
      `${GEMINI}:streamGenerateContent?alt=json`,
      `${GEMINI}:streamGenerateContent?alt=sse&alt=json`,
    ];
    for (const address of addresses) assert.equal(await at(address), undefined, address);
  });
});
