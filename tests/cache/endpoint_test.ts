/** Which endpoint a request over HTTP asks, as far as its path is not all there is to it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Target, targetOf } from "../../src/cache/request/endpoint.ts";

const GEMINI = "/v1beta/models/gemini-2.5-flash";
const at = (address: string, headers: Record<string, string> = {}): Target | undefined =>
  targetOf(new URL(address, "https://provider.test"), new Headers(headers));
const whole = (endpoint: string): Target => ({ endpoint, streams: false });

describe("targetOf", () => {
  it("is the path, where that is all", () => {
    for (const path of ["/v1/chat/completions", "/api/v1/chat/completions", "/openai/deployments/d/chat/completions"]) {
      assert.deepEqual(at(path), whole(path));
    }
  });

  it("has the version in which a question is put", () => {
    assert.deepEqual(at("/openai/deployments/d/chat/completions?api-version=2024-10-21"), {
      endpoint: "/openai/deployments/d/chat/completions?api-version=2024-10-21",
      streams: false,
    });
    const asked = (version: string): Target | undefined => at("/v1/messages", { "anthropic-version": version });
    assert.deepEqual(asked("2023-06-01"), whole("/v1/messages"), "which is meant where none is named");
    assert.deepEqual(asked("2026-10-21"), whole("/v1/messages?anthropic-version=2026-10-21"));
    assert.deepEqual(at("/v1/chat/completions", { "anthropic-version": "2026-10-21" }), whole("/v1/chat/completions"));
  });

  it("is one for Gemini's stream and its whole answer, whoever asks", () => {
    const endpoint = `${GEMINI}:generateContent`;
    for (const query of ["", "?key=secret", "?alt=json", "?alt=json&key=secret"]) {
      assert.deepEqual(at(`${GEMINI}:generateContent${query}`), whole(endpoint));
    }
    for (const query of ["?alt=sse", "?key=secret&alt=sse"]) {
      assert.deepEqual(at(`${GEMINI}:streamGenerateContent${query}`), { endpoint, streams: true });
    }
  });

  it("is none where the query may belong to the question, or the stream is a list", () => {
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
    for (const address of addresses) assert.equal(at(address), undefined, address);
  });
});
