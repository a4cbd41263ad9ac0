/** The proxy under everybody's clients: they are given its address instead of the provider's, and nothing else. */

import { createOpenAI } from "@ai-sdk/openai";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { generateText, streamText } from "ai";
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import OpenAI from "openai";
import { openCache } from "../../mod.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { CLIENTS } from "../support/upstream/clients.ts";
import { refusal } from "../support/upstream/upstream.ts";
import { type ProxyUnderTest, startProxy } from "./support.ts";

const TEXT = "It will rain tomorrow, and then it will not.";
const RAIN = { text: TEXT, calls: [] };
const UMBRELLA = { text: "", calls: [{ name: "umbrella", input: { open: true } }] };

describe("the proxy", () => {
  let proxy: ProxyUnderTest;
  before(async () => {
    proxy = await startProxy();
  });
  after(() => proxy[Symbol.asyncDispose]());
  beforeEach(() => {
    proxy.upstream.asked.length = 0;
    proxy.upstream.answer = () => undefined;
  });

  for (const [name, { provider, clientOf }] of Object.entries(CLIENTS)) {
    describe(`under the client of ${name}`, () => {
      // Each test asks something else: what one has bought is there for the next.
      const open = (maxRetries = 0) => clientOf({ url: proxy.url(provider), maxRetries });

      for (const [prompt, expected] of [["Will it rain?", RAIN], ["The umbrella!", UMBRELLA]] as const) {
        it(`buys an answer once, asked whole and as a stream: ${prompt}`, async () => {
          const { whole, stream } = open();
          const first = await whole(`${prompt} 1`);
          assert.deepEqual({ text: first.text, calls: first.calls }, expected);
          assert.deepEqual(await whole(`${prompt} 1`), first);
          assert.deepEqual(await stream(`${prompt} 1`), expected);
          assert.equal(proxy.upstream.asked.length, 1);
        });

        it(`buys a stream once, asked as one and whole: ${prompt}`, async () => {
          const { whole, stream } = open();
          for (let i = 0; i < 2; i++) assert.deepEqual(await stream(`${prompt} 2`), expected);
          const { text, calls } = await whole(`${prompt} 2`);
          assert.deepEqual({ text, calls }, expected);
          assert.equal(proxy.upstream.asked.length, 1);
        });
      }

      it("asks once for all who ask at the same time", async () => {
        const { whole, stream } = open();
        const asked = [stream, whole, stream, whole, stream].map((ask) => ask("Will it rain? 3"));
        for (const { text } of await Promise.all(asked)) assert.equal(text, TEXT);
        assert.equal(proxy.upstream.asked.length, 1);
      });

      it("has the client try again what was refused for now", async () => {
        let refused = 0;
        proxy.upstream.answer = () =>
          refused++ < 2 ? refusal(429, "slow down", { "Retry-After": "0", "Retry-After-Ms": "1" }) : undefined;
        assert.equal((await open(2).whole("Will it rain? 4")).text, TEXT);
        assert.equal(proxy.upstream.asked.length, 3);
      });

      it("passes failures on, and keeps none", async () => {
        for (const status of [401, 429, 500, 529]) {
          proxy.upstream.answer = () => refusal(status, "not now");
          for (const ask of ["whole", "stream"] as const) {
            await assert.rejects(open()[ask]("Will it rain? 5"), { status });
          }
        }
        assert.equal(proxy.upstream.asked.length, 8);
        proxy.upstream.answer = () => undefined;
        assert.equal((await open().whole("Will it rain? 5")).text, TEXT);
      });
    });
  }

  it("answers the AI SDK's provider of OpenAI, whole and as a stream", async () => {
    const openai = createOpenAI({ baseURL: `${proxy.url("openai")}/v1`, apiKey: "secret" });
    for (const model of [openai.chat("gpt-4o"), openai.responses("gpt-4o")]) {
      proxy.upstream.asked.length = 0;
      for (let i = 0; i < 2; i++) {
        const { text } = await generateText({ model, prompt: "rain, AI SDK", maxRetries: 0 });
        assert.equal(text, TEXT);
        const stream = streamText({ model, prompt: "rain, AI SDK", maxRetries: 0 });
        assert.equal(await stream.text, TEXT);
      }
      assert.equal(proxy.upstream.asked.length, 1);
    }
  });

  it("answers LangChain's ChatOpenAI, whole and as a stream", async () => {
    const model = new ChatOpenAI({
      model: "gpt-4o-mini",
      apiKey: "secret",
      maxRetries: 0,
      configuration: { baseURL: `${proxy.url("openai")}/v1` },
    });
    for (let i = 0; i < 2; i++) {
      assert.equal((await model.invoke("rain, LangChain")).content, TEXT);
      let text = "";
      for await (const { content } of await model.stream("rain, LangChain")) text += content;
      assert.equal(text, TEXT);
    }
    // LangChain asks for the usage in a stream; that changes no key.
    assert.equal(proxy.upstream.asked.length, 1);
  });

  describe("for embeddings", () => {
    const answerVectors = (): void => {
      proxy.upstream.answer = ({ body }) => {
        const data = (body.input as string[]).map((text, index) => ({
          object: "embedding",
          index,
          embedding: [text.length, 0.5],
        }));
        // Spaced as nobody's serialiser would do it.
        const usage = { prompt_tokens: data.length, total_tokens: data.length };
        return new Response(JSON.stringify({ object: "list", data, model: "e", usage }, null, 1), {
          headers: { "Content-Type": "application/json" },
        });
      };
    };

    it("buys the texts that are missing, and passes on the provider's own bytes where all are", async () => {
      answerVectors();
      const ask = async (input: string[]): Promise<string> =>
        await (await proxy.post("openai/v1/embeddings", { model: "e", input })).text();
      assert.match(await ask(["a", "bb"]), /^\{\n "object"/);
      const { data } = JSON.parse(await ask(["bb", "ccc", "a"]));
      assert.deepEqual(data.map(({ embedding }: { embedding: number[] }) => embedding[0]), [2, 3, 1]);
      assert.deepEqual(proxy.upstream.asked.map(({ body }) => body.input), [["a", "bb"], ["ccc"]]);
    });

    it("answers OpenAI's client and LangChain's", async () => {
      answerVectors();
      const configuration = { baseURL: `${proxy.url("openai")}/v1` };
      const client = new OpenAI({ ...configuration, apiKey: "secret", maxRetries: 0 });
      const langchain = new OpenAIEmbeddings({ model: "e", apiKey: "secret", maxRetries: 0, configuration });
      for (let i = 0; i < 2; i++) {
        const { data } = await client.embeddings.create({ model: "e", input: ["dddd"], encoding_format: "float" });
        assert.deepEqual(data[0]!.embedding, [4, 0.5]);
        assert.deepEqual(await langchain.embedDocuments(["dddd"]), [[4, 0.5]]);
      }
      assert.equal(proxy.upstream.asked.length, 1);
    });
  });
});

describe("the proxy and cachedFetch", () => {
  for (const [name, { provider, clientOf }] of Object.entries(CLIENTS)) {
    it(`find each other's entries, both ways: ${name}`, async () => {
      await using proxy = await startProxy();
      await using cache = await openCache({ directory: proxy.folder });
      const { upstream } = proxy;
      const direct = clientOf({
        url: upstream.url,
        fetch: cachedFetch(cache, { upstreams: { [upstream.url]: provider } }),
      });
      const proxied = clientOf({ url: proxy.url(provider) });
      const { answer } = await direct.whole("Will it rain? whole");
      assert.deepEqual((await proxied.whole("Will it rain? whole")).answer, answer);
      assert.equal((await proxied.stream("Will it rain? stream")).text, TEXT);
      assert.equal((await direct.stream("Will it rain? stream")).text, TEXT);
      assert.equal(upstream.asked.length, 2);
    });
  }

  it("find each other's embeddings, both ways", async () => {
    await using proxy = await startProxy();
    await using cache = await openCache({ directory: proxy.folder });
    const { upstream } = proxy;
    upstream.answer = ({ body }) =>
      Response.json({
        object: "list",
        model: "e",
        data: (body.input as string[]).map((text, index) => ({ object: "embedding", index, embedding: [text.length] })),
      });
    const send = cachedFetch(cache, { upstreams: { [upstream.url]: "openai" } });
    const [direct, proxied] = [
      new OpenAI({ baseURL: `${upstream.url}/v1`, apiKey: "a", fetch: send }),
      new OpenAI({ baseURL: `${proxy.url("openai")}/v1`, apiKey: "b" }),
    ];
    const ask = async (client: OpenAI, input: string[]): Promise<number[][]> => {
      const { data } = await client.embeddings.create({ model: "e", input, encoding_format: "float" });
      return data.map(({ embedding }) => embedding);
    };
    assert.deepEqual(await ask(direct!, ["a", "bb"]), [[1], [2]]);
    assert.deepEqual(await ask(proxied!, ["bb", "ccc"]), [[2], [3]]);
    assert.deepEqual(await ask(direct!, ["a", "ccc"]), [[1], [3]]);
    assert.deepEqual(upstream.asked.map(({ body }) => body.input), [["a", "bb"], ["ccc"]]);
  });
});
