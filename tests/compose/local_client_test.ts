/**
 * Questions to models of a program's own: what is stored under the key of a server's, for every way of asking; and what is
 * refused. `tests/browser/warm_test.ts` has the same client in pages.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { CacheStatus, ResponseCache } from "../../src/compose/portable_api.ts";
import { CacheBackend } from "../../src/compose/backend.ts";
import { openCache } from "../../src/compose/open_cache.ts";
import { joinClient, type LocalBody, type LocalClient } from "../../src/compose/local_client.ts";
import { type Backends, openBackends } from "../../src/compose/warm.ts";
import type { RunningServer } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { post, testServer } from "../server/support.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

const ASKED = { model: "kjv-tiny+fortunes", max_tokens: 4 };

/** Completions, by what is asked for. */
const COMPLETIONS: Record<string, LocalBody> = {
  "a text": { ...ASKED, prompt: "The first law of", temperature: 0 },
  "texts": { ...ASKED, prompt: ["The first", "In the beginning"], temperature: 0 },
  "token ids": { ...ASKED, prompt: [5, 6, 7], temperature: 0 },
  "lists of token ids": { ...ASKED, prompt: [[5, 6], [7, 8]], temperature: 0 },
  "several choices with a seed": { ...ASKED, prompt: "Computers", n: 3, temperature: 1, seed: 5, top_p: 0.9 },
  "choices without a seed": { ...ASKED, prompt: "Programmers", n: 2, temperature: 1.5 },
  "log probabilities": { ...ASKED, prompt: "The gods", logprobs: 3, echo: true, temperature: 0 },
  "words to stop at": { ...ASKED, prompt: "The Lord said", stop: ["the", "\n"], temperature: 0 },
  "fields that say nothing": { ...ASKED, prompt: "Unto", stop: null, seed: undefined, logprobs: null, user: null },
  "fields about the model's stay": {
    ...ASKED,
    prompt: "Behold",
    keep_alive: "5m",
    only_if_warm: false,
    temperature: 0,
  },
  "somebody": { ...ASKED, prompt: "And it came", user: "me", metadata: { a: "b" }, temperature: 0 },
  "fields of other servers": { ...ASKED, prompt: "Wherefore", top_k: 40, min_p: 0.1, temperature: 0 },
};

describe("a local client", () => {
  let server: RunningServer;
  let backends: Backends;
  let cache: ResponseCache;
  let client: LocalClient;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
    backends = await openBackends({ models: MODELS, hub: false, cache: await temporaryFolder() });
    cache = await openCache({ backend: CacheBackend.REMOTE, remote: { url: server.url } });
    client = joinClient((await loadRuntime()).clock, backends, cache);
  });
  after(async () => {
    await backends.close();
    await cache.close();
    await server.stop();
  });

  for (const [what, body] of Object.entries(COMPLETIONS)) {
    it(`stores an answer where a server finds it, and streams it: ${what}`, async () => {
      const status: CacheStatus = {};
      const answer = await client.createCompletion(body, { status });
      assert.deepEqual([status.outcome, status.stored], ["miss", true]);
      const response = await post(server, "/v1/completions", body);
      assert.match(response.headers.get("Cache-Status")!, /; hit/);
      assert.deepEqual(await response.json(), answer);
      const streamed = await post(server, "/v1/completions", { ...body, stream: true });
      assert.match(streamed.headers.get("Cache-Status")!, /; hit/);
      await streamed.body!.cancel();
      const again: CacheStatus = {};
      for await (const _ of client.streamCompletion(body, { status: again }));
      assert.equal(again.outcome, "hit");
    });
  }

  it("stores a stream where a server finds the whole answer", async () => {
    const body = { ...ASKED, prompt: "Verily", temperature: 0 };
    const texts: string[] = [];
    for await (const { choices } of client.streamCompletion(body)) texts.push(choices[0]?.text ?? "");
    const response = await post(server, "/v1/completions", { ...body, stream: false });
    assert.match(response.headers.get("Cache-Status")!, /; hit/);
    assert.equal((await response.json()).choices[0].text, texts.join(""));
  });

  it("finds what a server has stored", async () => {
    const body = { ...ASKED, prompt: "Hail", temperature: 0 };
    const response = await post(server, "/v1/completions", body);
    const status: CacheStatus = {};
    assert.deepEqual(await client.createCompletion(body, { status }), await response.json());
    assert.equal(status.outcome, "hit");
  });

  it("asks anew for other samples, and stores them where a server finds them", async () => {
    const body = { ...ASKED, prompt: "Then", temperature: 1 };
    await client.createCompletion({ ...body, n: 2 });
    const status: CacheStatus = {};
    const answer = await client.createCompletion({ ...body, n: 4 }, { status });
    assert.deepEqual(answer.choices.map(({ index }) => index), [0, 1, 2, 3]);
    const response = await post(server, "/v1/completions", { ...body, n: 4 });
    assert.match(response.headers.get("Cache-Status")!, /; hit/);
    assert.deepEqual((await response.json()).choices, answer.choices);
  });

  it("refuses what a server refuses, in its words", async () => {
    for (const wrong of [{ max_token: 3 }, { n: 0 }, { temperature: "hot" }, { keep_alive: "soon" }, { prompt: [] }]) {
      const body = { ...ASKED, prompt: "x", ...wrong };
      const response = await post(server, "/v1/completions", body);
      const { error: { message, param } } = await response.json();
      const refusal = { name: "ApiError", status: response.status, message, param };
      await assert.rejects(client.createCompletion(body), refusal);
      await assert.rejects(client.streamCompletion(body)[Symbol.asyncIterator]().next(), refusal);
    }
  });
});
