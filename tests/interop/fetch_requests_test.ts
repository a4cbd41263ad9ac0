/** `cachedFetch` as a fetch: requests in every form, answers of every status, signals, and calls inside each other. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI from "openai";
import { openCache } from "../../mod.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { settled } from "../cache/shared_memory.ts";
import { ask, openTestCache, Provider, saidBy, type TestStore } from "../cache/support.ts";
import { gate } from "../support/gate.ts";

const URL_OF_CHAT = "https://api.openai.com/v1/chat/completions";
const HEADERS = { "Content-Type": "application/json", "Authorization": "Bearer secret" };

/** An upstream that counts what reaches it. */
function upstream(answer: (request: Request) => Response | Promise<Response>) {
  const requests: Request[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    requests.push(request.clone());
    request.signal.throwIfAborted();
    return await answer(request);
  };
  return { requests, fetch };
}

async function answered(request: Request): Promise<Response> {
  const { n } = await request.json();
  return Response.json(new Provider().choices(n ?? 1));
}

function posting(fetch: typeof globalThis.fetch) {
  return (body: unknown, init: RequestInit = {}) =>
    fetch(URL_OF_CHAT, { method: "POST", headers: HEADERS, body: JSON.stringify(body), ...init });
}

const markOf = (response: Response): string | null => response.headers.get("X-Warmcache");

describe("cachedFetch", () => {
  it("takes a request in every form that fetch takes, and knows it again", async () => {
    const { requests, fetch } = upstream(answered);
    const cached = cachedFetch(openTestCache().cache, { fetch });
    const body = JSON.stringify(ask("cats"));
    const init = { method: "POST", headers: HEADERS };
    const forms: [input: RequestInfo | URL, init?: RequestInit & { duplex?: "half" }][] = [
      [URL_OF_CHAT, { ...init, body }],
      [new URL(URL_OF_CHAT), { ...init, body: new TextEncoder().encode(body) }],
      [new Request(URL_OF_CHAT, { ...init, body })],
      [URL_OF_CHAT, { ...init, body: new Blob([body]).stream(), duplex: "half" }],
      [URL_OF_CHAT, { ...init, headers: { "content-type": "application/json; charset=utf-8" }, body }],
    ];
    const marks = [];
    for (const [input, init] of forms) marks.push(markOf(await cached(input, init)));
    assert.deepEqual(marks, ["miss", "hit", "hit", "hit", "hit"]);
    assert.equal(requests.length, 1);
  });

  it("sends a miss as it came, headers and all", async () => {
    const { requests, fetch } = upstream(answered);
    const post = posting(cachedFetch(openTestCache().cache, { fetch }));
    await post(ask("cats"));
    await post(ask("cats", { n: 3 }));
    assert.deepEqual(requests.map(({ method }) => method), ["POST", "POST"]);
    assert.equal(requests[0]!.headers.get("Authorization"), "Bearer secret");
    assert.equal(requests[1]!.headers.get("Authorization"), "Bearer secret");
    assert.equal(await requests[0]!.text(), JSON.stringify(ask("cats")));
    assert.deepEqual(await requests[1]!.json(), ask("cats", { n: 2 }));
  });

  const notDeno = !("Deno" in globalThis);
  it(
    "keeps what only the runtime knows of a request, such as Deno's client with its proxy",
    { skip: notDeno },
    async () => {
      const client = Deno.createHttpClient({ proxy: { url: "http://127.0.0.1:9" } });
      const listener = Deno.serve({ port: 0, onListen() {} }, answered);
      const cached = cachedFetch(openTestCache().cache);
      const url = `http://127.0.0.1:${listener.addr.port}/v1/chat/completions`;
      const init = { method: "POST", headers: HEADERS, body: JSON.stringify(ask("cats")), client };
      await assert.rejects(cached(url, init), TypeError, "the proxy is not there, and nothing goes round it");
      client.close();
      await listener.shutdown();
    },
  );

  it("stores no credentials", async () => {
    const { cache, store } = openTestCache();
    const kept: unknown[] = [];
    const put = store.put.bind(store);
    store.put = (...args: Parameters<TestStore["put"]>) => {
      kept.push(args);
      return put(...args);
    };
    await posting(cachedFetch(cache, { fetch: upstream(answered).fetch }))(ask("cats"));
    const text = JSON.stringify(
      kept,
      (_, value) => value instanceof Uint8Array ? new TextDecoder().decode(value) : value,
    );
    assert.match(text, /cats/);
    assert.doesNotMatch(text, /secret/i);
  });

  it("passes answers without a body on", async () => {
    const { requests, fetch } = upstream(() => new Response(null, { status: 204, headers: { "X-Id": "7" } }));
    const post = posting(cachedFetch(openTestCache().cache, { fetch }));
    for (let i = 0; i < 2; i++) {
      const response = await post(ask("cats"));
      assert.equal(response.status, 204);
      assert.equal(response.headers.get("X-Id"), "7");
    }
    assert.equal(requests.length, 2);
  });

  it("leaves it to the provider to refuse what it cannot count", async () => {
    const { fetch } = upstream(() => Response.json({ error: { message: "n" } }, { status: 400 }));
    const post = posting(cachedFetch(openTestCache().cache, { fetch }));
    for (const n of [0, -1, 1.5, "2"]) assert.equal((await post({ ...ask("cats"), n })).status, 400);
  });

  it("does not keep an error that comes with status 200", async () => {
    const { requests, fetch } = upstream(() => Response.json({ error: { message: "overloaded" } }));
    const post = posting(cachedFetch(openTestCache().cache, { fetch }));
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(await (await post(ask("cats"))).json(), { error: { message: "overloaded" } });
    }
    assert.equal(requests.length, 2);
  });

  it("serves an answer whose time has come as the success that it was, when there is none to be had", async () => {
    let isDown = false;
    const { fetch } = upstream(async (request) => {
      if (isDown) {
        return Response.json({ error: { message: "down" } }, { status: 503, headers: { "Retry-After": "7" } });
      }
      const { input } = await request.json();
      const data = (input ?? []).map((_: string, index: number) => ({ object: "embedding", index, embedding: [0.5] }));
      return Response.json(input === undefined ? new Provider().choices(1) : { object: "list", model: "e", data });
    });
    for (const keep of ["staleIfError", "staleWhileRevalidate"]) {
      const { cache, clock } = openTestCache({ ttl: 1000, [keep]: 60_000 });
      const cached = cachedFetch(cache, { fetch });
      const posts = [
        () => posting(cached)(ask("cats")),
        () => posting(cached)({ ...ask("cats"), stream: true }),
        () => {
          const body = JSON.stringify({ model: "e", input: ["a", "b"] });
          return cached("https://api.openai.com/v1/embeddings", { method: "POST", headers: HEADERS, body });
        },
      ];
      isDown = false;
      for (const post of posts) await (await post()).text();
      clock.advance(2000);
      isDown = true;
      for (const post of posts) {
        const response = await post();
        assert.deepEqual([response.status, markOf(response)], [200, "expired"], keep);
        assert.equal(response.headers.get("Retry-After"), null);
        assert.doesNotMatch(await response.text(), /down/);
      }
    }
  });

  it("does not tell one what another's key was refused for, though both asked at the same time", async () => {
    const asPosted = (fetch: typeof globalThis.fetch, key: string) =>
      posting(fetch)(ask("cats"), { headers: { ...HEADERS, Authorization: key } });
    for (const [status, told] of [[401, 200], [403, 200], [404, 200], [429, 200], [503, 503]] as const) {
      const door = gate();
      const { requests, fetch } = upstream(async (request) => {
        if (request.headers.get("Authorization") === "good") return await answered(request);
        await door.pass();
        return Response.json({ error: { message: "not you" } }, { status });
      });
      const { cache } = openTestCache({ negativeTtl: 0 });
      const cached = cachedFetch(cache, { fetch });
      const bad = asPosted(cached, "bad");
      await door.reached;
      const others = ["good", "bad"].map((key) => asPosted(cached, key));
      await settled();
      door.open();
      assert.equal((await bad).status, status);
      assert.deepEqual((await Promise.all(others)).map((response) => response.status), [told, status]);
      assert.equal(requests.length, told === 200 ? 2 : 1, "with the same key nobody asks again");
    }
  });

  describe("with an answer that is none", () => {
    const answers: Record<string, [url: string, body: object]> = {
      "chat completions": [URL_OF_CHAT, ask("cats")],
      completions: ["https://api.openai.com/v1/completions", { model: "m", prompt: "cats" }],
      responses: ["https://api.openai.com/v1/responses", { model: "m", input: "cats" }],
      messages: ["https://api.anthropic.com/v1/messages", { ...ask("cats"), max_tokens: 9 }],
      Gemini: [
        "https://generativelanguage.googleapis.com/v1/models/g:generateContent",
        { contents: [{ parts: [{ text: "cats" }] }] },
      ],
      "Gemini's embeddings": [
        "https://generativelanguage.googleapis.com/v1/models/g:embedContent",
        { content: { parts: [{ text: "cats" }] } },
      ],
    };
    const texts: [text: string, status: number][] = [
      ['{"detail":"Not authenticated"}', 200],
      ['{"code":1302,"msg":"too many requests"}', 200],
      ['[{"error":{"code":503,"message":"overloaded"}}]', 200],
      ['"no"', 200],
      ['{"choices":[{"message":{"content":"It wi', 200],
      ['{"status":"pending","choices":[],"output":[],"content":[],"candidates":[],"embedding":{}}', 202],
    ];
    for (const [name, [url, body]] of Object.entries(answers)) {
      it(`passes it on as it is, and keeps none, of ${name}`, async () => {
        for (const [text, status] of texts) {
          const headers = { "Content-Type": "application/json", "X-Id": "7" };
          const { requests, fetch } = upstream(() => new Response(text, { status, headers }));
          const { cache, store } = openTestCache();
          const cached = cachedFetch(cache, { fetch });
          for (let i = 0; i < 2; i++) {
            const response = await cached(url, { method: "POST", headers: HEADERS, body: JSON.stringify(body) });
            assert.deepEqual([response.status, await response.text()], [status, text]);
            assert.deepEqual([response.headers.get("X-Id"), markOf(response)], ["7", "miss"]);
          }
          assert.equal(requests.length, 2, text);
          assert.equal(store.puts.length, 0);
        }
      });
    }
  });

  it("lets a request through that is not UTF-8, byte for byte", async () => {
    const { requests, fetch } = upstream(() => Response.json(new Provider().choices(1)));
    const post = posting(cachedFetch(openTestCache().cache, { fetch }));
    const [before, after] = JSON.stringify(ask("?")).split("?").map((text) => new TextEncoder().encode(text));
    for (const byte of [0xe8, 0xe9]) {
      const body = new Uint8Array([...before!, byte, ...after!]);
      assert.equal(markOf(await post(undefined, { body })), null);
      assert.deepEqual(new Uint8Array(await requests.at(-1)!.arrayBuffer()), body);
    }
  });

  it("goes round the cache for a beta, which changes answers by a header", async () => {
    const { requests, fetch } = upstream(() =>
      Response.json({ type: "message", content: [{ type: "text", text: "hi" }] })
    );
    const { cache } = openTestCache();
    const cached = cachedFetch(cache, { fetch });
    const send = (headers: object) =>
      cached("https://api.anthropic.com/v1/messages", {
        method: "POST",
        headers: { ...HEADERS, ...headers },
        body: JSON.stringify(ask("cats")),
      });
    assert.equal(markOf(await send({})), "miss");
    for (let i = 0; i < 2; i++) assert.equal(markOf(await send({ "anthropic-beta": "thinking-1" })), "bypass");
    assert.equal(markOf(await send({})), "hit");
    assert.equal(requests.length, 3);
  });

  it("has headers in the key that may choose who answers, or how, and stores none of them", async () => {
    const { requests, fetch } = upstream(answered);
    const { cache } = openTestCache();
    const send = async (headers: object, ignoreHeaders: string[] = []) => {
      const cached = cachedFetch(cache, { fetch, ignoreHeaders });
      return markOf(await posting(cached)(ask("cats"), { headers: { ...HEADERS, ...headers } }));
    };
    const marks = [];
    for (const provider of ["one", "two", "one"]) marks.push(await send({ "X-Gateway-Provider": provider }));
    for (const name of ["X-Request-Id", "X-Stainless-Timeout", "Idempotency-Key"]) {
      marks.push(await send({ [name]: "1" }));
    }
    marks.push(await send({ "X-Job": "7" }), await send({ "X-Job": "8" }, ["x-job"]));
    assert.deepEqual(marks, ["miss", "miss", "hit", "miss", "hit", "hit", "miss", "hit"]);
    assert.equal(requests.length, 4);
    assert.equal(requests[1]!.headers.get("X-Gateway-Provider"), "two");
    const endpoints = new Set<string>();
    for await (const { endpoint } of cache.list()) endpoints.add(endpoint.replace(/[0-9a-f]{32}$/, "digest"));
    assert.deepEqual(endpoints, new Set(["/v1/chat/completions", "/v1/chat/completions?headers=digest"]));
  });

  it("goes round the cache for credentials in the request, which is stored as it is", async () => {
    const { fetch } = upstream(answered);
    const { cache, store } = openTestCache();
    const post = posting(cachedFetch(cache, { fetch }));
    const mcp = { type: "mcp", server_url: "https://example.com" };
    const tools: object[] = [
      { tools: [{ ...mcp, authorization: "secret" }] },
      { tools: [{ ...mcp, headers: { "X-Key": "secret" } }] },
      { mcp_servers: [{ type: "url", authorization_token: "secret" }] },
      { data_sources: [{ type: "azure_search", parameters: { authentication: { key: "secret" } } }] },
    ];
    for (const further of tools) {
      for (let i = 0; i < 2; i++) assert.equal(markOf(await post({ ...ask("cats"), ...further })), "bypass");
    }
    assert.equal(store.puts.length, 0);
    const named = { type: "function", function: { name: "get", parameters: { properties: { headers: {} } } } };
    for (const mark of ["miss", "hit"]) {
      assert.equal(markOf(await post({ ...ask("cats"), tools: [mcp, named], mcp_servers: [{ type: "url" }] })), mark);
    }
  });

  it("matches paths by their end, exactly", async () => {
    const { fetch } = upstream(() => Response.json(new Provider().choices(1)));
    const cached = cachedFetch(openTestCache().cache, { fetch });
    const cases: [path: string, mark: string | null][] = [
      ["/v1/chat/completions", "miss"],
      ["/v1/completions/../chat/completions", "hit"],
      ["/openai/deployments/gpt-4o/chat/completions", "miss"],
      ["/v1/chat/completions/", null],
      ["/v1/chat/completions?api-version=1", "miss"],
      ["/v1/chat/completions?api-version=2", "miss"],
      ["/v1/chat/completions?api-version=1", "hit"],
      ["/v1/chat/completions?debug=1", null],
      ["/V1/Chat/Completions", null],
      ["/v1/chat/completions/chatcmpl-1", null],
      ["/v1/messages/count_tokens", null],
      ["/v1/messages/batches", null],
      ["/v1/threads/t/messages", null],
      ["/v1/responses/resp_1/cancel", null],
    ];
    for (const [path, mark] of cases) {
      const init = { method: "POST", headers: HEADERS, body: JSON.stringify(ask("cats")) };
      assert.equal(markOf(await cached(`https://api.openai.com${path}`, init)), mark, path);
    }
  });

  describe("with a signal", () => {
    it("rejects at once for who gives up, whether the answer was there or not", async () => {
      const { fetch } = upstream(answered);
      const post = posting(cachedFetch(openTestCache().cache, { fetch }));
      await post(ask("cats"));
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      for (const topic of ["cats", "dogs"]) await assert.rejects(post(ask(topic), { signal }), reason);
    });

    it("lets a follower give up alone", async () => {
      const door = gate();
      const { requests, fetch } = upstream(async (request) => {
        await door.pass();
        return await answered(request);
      });
      const post = posting(cachedFetch(openTestCache().cache, { fetch }));
      const first = post(ask("cats"));
      await door.reached;
      const controller = new AbortController();
      const second = post(ask("cats"), { signal: controller.signal });
      controller.abort();
      await assert.rejects(second, { name: "AbortError" });
      door.open();
      assert.equal((await first).status, 200);
      assert.equal(requests.length, 1);
    });

    /** An upstream that answers when its door is opened, unless what it was asked is aborted. */
    function waiting() {
      const door = gate();
      const aborted: unknown[] = [];
      const { requests, fetch } = upstream(async (request) => {
        const given = Promise.withResolvers<never>();
        request.signal.addEventListener("abort", () => {
          aborted.push(request.signal.reason);
          given.reject(request.signal.reason);
        });
        await Promise.race([door.pass(), given.promise]);
        return await answered(request);
      });
      return { door, aborted, requests, post: posting(cachedFetch(openTestCache().cache, { fetch })) };
    }

    it("goes on for the others when the one who asked gives up, for whatever reason", async () => {
      const { door, aborted, requests, post } = waiting();
      const controller = new AbortController();
      const first = post(ask("cats"), { signal: controller.signal });
      await door.reached;
      const others = [1, 2].map(() => post(ask("cats")));
      await settled();
      const reason = new Error("enough");
      const rejected = assert.rejects(first, reason);
      controller.abort(reason);
      await rejected;
      door.open();
      assert.deepEqual((await Promise.all(others)).map(({ status }) => status), [200, 200]);
      assert.equal(requests.length, 1);
      assert.deepEqual(aborted, []);
    });

    it("gives the call up with the last who waits, and asks again for whoever comes then", async () => {
      const { door, aborted, requests, post } = waiting();
      const controllers = [new AbortController(), new AbortController()];
      const calls = controllers.map(({ signal }) => post(ask("cats"), { signal }));
      await door.reached;
      await settled();
      for (const [index, controller] of controllers.entries()) {
        assert.deepEqual(aborted, []);
        const reason = new Error(`enough ${index}`);
        const rejected = assert.rejects(calls[index]!, reason);
        controller.abort(reason);
        await rejected;
      }
      await settled();
      assert.equal(aborted.length, 1);
      door.open();
      assert.equal((await post(ask("cats"))).status, 200);
      assert.equal(requests.length, 2);
    });
  });

  it("works below `wrap` on the same cache: the answer is bought once and stored once", async () => {
    await using cache = await openCache({ backend: "memory" });
    const { requests, fetch } = upstream(answered);
    const client = new OpenAI({ apiKey: "unused", maxRetries: 0, fetch: cachedFetch(cache, { fetch }) });
    const request = { model: "gpt-4o-mini", messages: [{ role: "user" as const, content: "cats" }] };
    for (let i = 0; i < 2; i++) {
      const answer = await cache.wrap(request, (body) => client.chat.completions.create(body));
      assert.deepEqual(saidBy(answer), ["text 1"]);
    }
    assert.equal(saidBy(await client.chat.completions.create(request)).length, 1);
    assert.equal(requests.length, 1);
    assert.equal((await cache.stats()).store.entries, 1);
  });
});
