/** `cachedFetch` under the official client, against a server that speaks OpenAI's API. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import OpenAI from "openai";
import { openCache } from "../../mod.ts";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { type RunningServer, startServer } from "../../src/compose/server.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

const REQUEST = { model: "kjv-tiny", prompt: "The programmer", max_tokens: 8, temperature: 0 };

describe("cachedFetch", () => {
  let server: RunningServer;
  let cache: ResponseCache;
  let client: OpenAI;
  let sent: number;
  before(async () => {
    server = await startServer({ port: 0, models: MODELS, cache: await temporaryFolder() });
    cache = await openCache({ backend: "memory" });
    const counting: typeof fetch = (input, init) => {
      sent++;
      return fetch(input, init);
    };
    sent = 0;
    client = new OpenAI({
      baseURL: `${server.url}/v1`,
      apiKey: "unused",
      maxRetries: 0,
      fetch: cachedFetch(cache, { fetch: counting, upstreams: { [server.url]: "house" } }),
    });
  });

  it("asks the provider once, whoever asks again, and marks the hit", async () => {
    const first = await client.completions.create(REQUEST).withResponse();
    const second = await client.completions.create(REQUEST).withResponse();
    assert.deepEqual(second.data, first.data);
    assert.equal(first.response.headers.get("X-Warmcache"), "miss");
    assert.equal(second.response.headers.get("X-Warmcache"), "hit");
    assert.equal(sent, 1);
  });

  it("shares its entry with the library", async () => {
    const entry = await cache.get(REQUEST, { provider: "house", endpoint: "/v1/completions" });
    assert.deepEqual(entry!.json(), await client.completions.create(REQUEST));
  });

  it("buys only the samples that are missing", async () => {
    const sampled = { ...REQUEST, temperature: 1, prompt: "A man who" };
    const two = await client.completions.create({ ...sampled, n: 2 });
    const five = await client.completions.create({ ...sampled, n: 5 });
    assert.deepEqual(five.choices.slice(0, 2).map(({ text }) => text), two.choices.map(({ text }) => text));
    assert.deepEqual(five.choices.map(({ index }) => index), [0, 1, 2, 3, 4]);
    assert.equal(five.usage!.prompt_tokens, two.usage!.prompt_tokens);
  });

  it("passes a failure on with its status and body, and does not ask again for a while", async () => {
    const before = sent;
    for (let i = 0; i < 2; i++) {
      const request = client.completions.create({ ...REQUEST, model: "missing" });
      await assert.rejects(
        request,
        (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
      );
    }
    assert.equal(sent, before + 1);
  });

  it("streams what is stored, and what is not", async () => {
    const before = sent;
    const texts: string[] = [];
    for (const request of [REQUEST, REQUEST, { ...REQUEST, max_tokens: 7 }, { ...REQUEST, max_tokens: 7 }]) {
      let text = "";
      for await (const chunk of await client.completions.create({ ...request, stream: true })) {
        text += chunk.choices[0]!.text;
      }
      texts.push(text);
    }
    const [whole] = (await client.completions.create(REQUEST)).choices;
    assert.deepEqual(texts.slice(0, 2), [whole!.text, whole!.text]);
    assert.ok(texts[2]!.length > 0);
    assert.equal(texts[3], texts[2]);
    assert.equal(sent, before + 1);
  });

  it("lets other requests through", async () => {
    const before = sent;
    for (let i = 0; i < 2; i++) assert.equal((await client.models.list()).data.length, 2);
    assert.equal(sent, before + 2);
  });

  it("still answers when the provider is gone", async () => {
    await server.stop();
    assert.equal((await client.completions.create(REQUEST)).model, "kjv-tiny");
    await assert.rejects(client.completions.create({ ...REQUEST, max_tokens: 9 }), OpenAI.APIConnectionError);
    await cache.close();
  });
});
