/**
 * `cachedFetch` under the three official clients alike, and under what is Gemini's alone, against a server that speaks
 * their wire formats. Its answers have another id every time: where two are equal, one of them came from the cache.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import OpenAI, { AzureOpenAI } from "openai";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { settled } from "../cache/shared_memory.ts";
import { type CacheUnderTest, openTestCache } from "../cache/support.ts";
import { gate } from "../support/gate.ts";
import { CLIENTS, gemini, google, type Reach } from "../support/upstream/clients.ts";
import { refusal, startUpstream, streaming, type Upstream } from "../support/upstream/upstream.ts";

describe("cachedFetch under every provider's client", () => {
  let upstream: Upstream;
  let under: CacheUnderTest;
  before(async () => {
    upstream = await startUpstream();
  });
  after(() => upstream.close());
  beforeEach(() => {
    upstream.reset();
    under = openTestCache();
    upstream.mock.onMessage("rain", { content: "It will rain tomorrow, and then it will not.", reasoning: "Clouds." });
    upstream.mock.onMessage("umbrella", { toolCalls: [{ name: "umbrella", arguments: '{"open":true}' }] });
  });

  const reach = (maxRetries = 0): Reach => ({ url: upstream.url, maxRetries, fetch: cachedFetch(under.cache) });
  const RAIN = { text: "It will rain tomorrow, and then it will not.", calls: [] };
  const UMBRELLA = { text: "", calls: [{ name: "umbrella", input: { open: true } }] };

  for (const [name, { clientOf: open }] of Object.entries(CLIENTS)) {
    const clientOf = (maxRetries = 0) => open(reach(maxRetries));
    describe(`with ${name}`, () => {
      for (const [prompt, expected] of [["Will it rain?", RAIN], ["The umbrella!", UMBRELLA]] as const) {
        it(`buys an answer once, asked whole and as a stream: ${prompt}`, async () => {
          const { whole, stream } = clientOf();
          const first = await whole(prompt);
          assert.deepEqual({ text: first.text, calls: first.calls }, expected);
          assert.deepEqual(await whole(prompt), first);
          assert.deepEqual(await stream(prompt), expected);
          assert.equal(upstream.asked.length, 1);
        });

        it(`buys a stream once, asked as one and whole: ${prompt}`, async () => {
          const { whole, stream } = clientOf();
          for (let i = 0; i < 2; i++) assert.deepEqual(await stream(prompt), expected);
          const { text, calls } = await whole(prompt);
          assert.deepEqual({ text, calls }, expected);
          assert.equal(upstream.asked.length, 1);
        });
      }

      it("asks once for all who ask at the same time", async () => {
        const { whole, stream } = clientOf();
        const asked = [stream, whole, stream, whole, stream].map((ask) => ask("Will it rain?"));
        for (const { text } of await Promise.all(asked)) assert.equal(text, RAIN.text);
        assert.equal(upstream.asked.length, 1);
      });

      it("has the client try again what was refused for now, and stores the answer alone", async () => {
        let refused = 0;
        upstream.answer = () =>
          refused++ < 2 ? refusal(429, "slow down", { "Retry-After": "0", "Retry-After-Ms": "1" }) : undefined;
        assert.equal((await clientOf(2).whole("Will it rain?")).text, RAIN.text);
        assert.equal(upstream.asked.length, 3);
        assert.equal(under.store.puts.length, 1);
      });

      it("passes failures on, and stores none", async () => {
        for (const status of [401, 429, 500, 529]) {
          upstream.answer = () => refusal(status, "not now");
          for (const ask of ["whole", "stream"] as const) {
            await assert.rejects(clientOf()[ask]("Will it rain?"), (error: { status?: unknown }) => {
              assert.equal(error.status, status);
              return true;
            });
          }
        }
        assert.equal(upstream.asked.length, 8);
        assert.equal(under.store.puts.length, 0);
        upstream.answer = () => undefined;
        assert.equal((await clientOf().whole("Will it rain?")).text, RAIN.text);
      });
    });
  }

  describe("with Gemini", () => {
    const chunk = (parts: object[], rest: object = {}): string =>
      `data: ${JSON.stringify({ candidates: [{ content: { parts, role: "model" }, index: 0, ...rest }] })}\r\n\r\n`;
    const THREE = [
      chunk([{ text: "It" }], { finishReason: "STOP" }),
      chunk([{ text: " will" }], { finishReason: "STOP" }),
      chunk([{ text: " rain." }], { finishReason: "STOP" }),
    ];
    const address = (method: string): string => `${upstream.url}/v1beta/models/gemini-2.5-flash:${method}`;
    const post = (url: string, body: object = { contents: [{ role: "user", parts: [{ text: "Will it rain?" }] }] }) =>
      cachedFetch(under.cache)(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    const markOf = (response: Response): string | null => response.headers.get("X-Warmcache");

    it("takes a stream for whole when it has ended, though each chunk says that it has", async () => {
      upstream.answer = () => streaming(THREE.join(""), { size: 11 });
      for (let i = 0; i < 2; i++) assert.equal((await gemini(reach()).stream("rain")).text, "It will rain.");
      assert.equal((await gemini(reach()).whole("rain")).text, "It will rain.");
      assert.equal(upstream.asked.length, 1);
    });

    it("stores no stream that its reader left, or that broke, before it had ended", async () => {
      const left = gate();
      upstream.answer = ({ signal }) => {
        signal.addEventListener("abort", left.open);
        return streaming(THREE.join(""), { size: THREE[0]!.length, stop: 1 });
      };
      const controller = new AbortController();
      const stream = await google(reach()).models.generateContentStream({
        model: "gemini-2.5-flash",
        contents: "rain",
        config: { abortSignal: controller.signal },
      });
      await assert.rejects(async () => {
        for await (const _ of stream) controller.abort();
      });
      await settled();
      under.clock.advance(10_000);
      await left.pass();
      upstream.answer = () => streaming(THREE.join(""), { size: THREE[0]!.length, breakAt: 2 });
      await assert.rejects(gemini(reach()).stream("rain"));
      await settled();
      assert.equal(under.store.puts.length, 0);
    });

    it("replays a stream without an end mark, which its client would not understand", async () => {
      upstream.answer = () => streaming(THREE.join(""));
      await (await post(`${address("streamGenerateContent")}?alt=sse`)).text();
      const again = await post(`${address("streamGenerateContent")}?alt=sse&key=secret`);
      assert.equal(markOf(again), "hit");
      assert.equal(await again.text(), THREE.join("").replaceAll("\r\n", "\n"));
    });

    it("has the model from the path, and the key from nowhere", async () => {
      for (const key of ["secret-1", "secret-2"]) await post(`${address("generateContent")}?key=${key}`);
      assert.equal(upstream.asked.length, 1);
      const { perModel } = await under.cache.stats();
      assert.deepEqual(Object.keys(perModel), ["gemini-2.5-flash"]);
      await post(address("generateContent").replace("flash", "pro"));
      assert.equal(upstream.asked.length, 2);
    });

    it("lets a stream through that is a list", async () => {
      upstream.answer = () => Response.json([{ candidates: [] }]);
      for (let i = 0; i < 2; i++) assert.equal(markOf(await post(address("streamGenerateContent"))), null);
      assert.equal(upstream.asked.length, 2);
    });

    it("keeps embeddings as they were asked for", async () => {
      const answer = { embeddings: [{ values: [1, 0.1] }] };
      upstream.answer = () => Response.json(answer);
      const content = { parts: [{ text: "a" }] };
      for (
        const [method, body] of [["embedContent", { content }], ["batchEmbedContents", { requests: [{ content }] }]]
      ) {
        const marks = [];
        for (let i = 0; i < 2; i++) {
          const response = await post(address(method as string), body as object);
          marks.push(markOf(response));
          assert.deepEqual(await response.json(), answer);
        }
        assert.deepEqual(marks, ["miss", "hit"]);
      }
    });

    it("keeps what was blocked, and nothing that has no answer in it", async () => {
      upstream.answer = () => Response.json({ promptFeedback: { blockReason: "SAFETY" }, usageMetadata: {} });
      for (const mark of ["miss", "hit"]) assert.equal(markOf(await post(address("generateContent"))), mark);
      upstream.answer = () => Response.json({ candidates: [{ finishReason: "MALFORMED_FUNCTION_CALL", index: 0 }] });
      const other = { contents: [] };
      for (let i = 0; i < 2; i++) assert.equal(markOf(await post(address("generateContent"), other)), "miss");
    });
  });

  describe("at other addresses", () => {
    it("keeps what speaks OpenAI's language, each server by itself", async () => {
      const other = await startUpstream();
      other.mock.onMessage("rain", { content: "Never." });
      const ask = async (origin: string, prefix: string): Promise<string | null> => {
        const client = new OpenAI({
          apiKey: "secret",
          maxRetries: 0,
          fetch: cachedFetch(under.cache),
          baseURL: `${origin}${prefix}`,
        });
        const request = { model: "llama-3", messages: [{ role: "user" as const, content: "rain" }] };
        return (await client.chat.completions.create(request)).choices[0]!.message.content;
      };
      for (let i = 0; i < 2; i++) {
        assert.equal(await ask(upstream.url, "/v1"), RAIN.text);
        assert.equal(await ask(other.url, "/v1"), "Never.");
        assert.equal(await ask(upstream.url, "/api/v1"), RAIN.text);
      }
      assert.deepEqual(upstream.asked.map(({ path }) => path), ["/v1/chat/completions", "/api/v1/chat/completions"]);
      assert.equal(other.asked.length, 1);
      await other.close();
    });

    it("keeps Azure's deployments and versions apart", async () => {
      const ask = async (deployment: string, apiVersion: string): Promise<void> => {
        const client = new AzureOpenAI({
          apiKey: "secret",
          maxRetries: 0,
          fetch: cachedFetch(under.cache),
          endpoint: upstream.url,
          deployment,
          apiVersion,
        });
        await client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "rain" }] });
      };
      for (let i = 0; i < 2; i++) {
        await ask("one", "2024-10-21");
        await ask("one", "2025-03-01-preview");
        await ask("two", "2024-10-21");
      }
      assert.equal(upstream.asked.length, 3);
    });
  });
});
