/** Whose credentials go where, whose entries are whose, and that no secret stays anywhere. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gate } from "../support/gate.ts";
import { CLIENTS } from "../support/upstream/clients.ts";
import { refusal } from "../support/upstream/upstream.ts";
import { cacheStatusOf, CHAT, CHAT_PATH, type ProxyUnderTest, startProxy } from "./support.ts";

const OURS = { "X-Warmcache-Key": "key-of-alice" };
const KEYS = ["alice=key-of-alice", "bob=key-of-bob", "key-of-nobody-in-particular"];

/** The credentials in the last request that reached the provider. */
function reached({ upstream }: ProxyUnderTest): Record<string, string> {
  const { headers, path } = upstream.asked.at(-1)!;
  const names = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-warmcache-key"];
  const key = new URL(`http://h${path}`).searchParams.get("key");
  return Object.fromEntries([
    ...names.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)!]),
    ...(key === null ? [] : [["?key", key]]),
  ]);
}

describe("the caller's credentials", () => {
  it("go on to the provider, in whatever place they come", async () => {
    await using proxy = await startProxy();
    for (
      const given of [
        { authorization: "Bearer sk-theirs" },
        { "x-api-key": "sk-theirs" },
        { "x-goog-api-key": "theirs" },
        { "api-key": "theirs" },
      ] as Record<string, string>[]
    ) {
      await (await proxy.post(CHAT_PATH, CHAT, { ...given, "Cache-Control": "no-cache" })).text();
      assert.deepEqual(reached(proxy), given);
    }
    const path = "google/v1beta/models/gemini-2.5-flash:generateContent?key=theirs";
    await (await proxy.post(path, { contents: [{ role: "user", parts: [{ text: "rain" }] }] })).text();
    assert.deepEqual(reached(proxy), { "?key": "theirs" });
  });

  it("do not decide what is found, on a server without keys", async () => {
    await using proxy = await startProxy();
    for (const [key, status] of [["sk-one", /fwd=miss/], ["sk-two", /hit/]] as const) {
      const response = await proxy.post(CHAT_PATH, CHAT, { Authorization: `Bearer ${key}` });
      assert.match(cacheStatusOf(response)!, status);
      await response.text();
    }
  });

  it("decide who is told of a refusal that is about them", async () => {
    await using proxy = await startProxy();
    proxy.upstream.answer = ({ headers }) => {
      const isKnown = headers.get("Authorization") === "Bearer sk-known";
      return isKnown ? undefined : refusal(401, `No such key: ${headers.get("Authorization")}`);
    };
    const ask = (key: string): Promise<Response> => proxy.post(CHAT_PATH, CHAT, { Authorization: `Bearer ${key}` });
    const [refused, answered] = await Promise.all([ask("sk-unknown"), ask("sk-known")]);
    assert.equal(refused.status, 401);
    assert.match(await refused.text(), /No such key: Bearer sk-unknown/, "in the provider's own words");
    assert.equal(answered.status, 200);
    await answered.text();
  });
});

describe("a refusal that may be about who asked", () => {
  const ask = (proxy: ProxyUnderTest, key: string): Promise<Response> =>
    proxy.post(CHAT_PATH, CHAT, { Authorization: `Bearer ${key}` });

  it("is told to none of the others, however many are refused before them", async () => {
    await using proxy = await startProxy();
    const door = gate();
    proxy.upstream.answer = async ({ headers }) => {
      await door.pass();
      const isKnown = headers.get("Authorization") === "Bearer sk-known";
      return isKnown ? undefined : refusal(401, `No such key: ${headers.get("Authorization")}`);
    };
    const keys = ["sk-bad-number-one", "sk-bad-number-two", "sk-bad-number-three", "sk-known"];
    const asked = keys.map((key) => ask(proxy, key));
    await door.reached;
    await (await fetch(`${proxy.server.url}/health`)).body!.cancel();
    door.open();
    const told = await Promise.all(asked.map(async (response) => await (await response).text()));
    for (const [index, key] of keys.slice(0, 3).entries()) assert.match(told[index]!, new RegExp(`Bearer ${key}`));
    assert.match(told[3]!, /It will rain/);
  });

  it("is remembered for whoever it was told to, and for nobody else", async () => {
    await using proxy = await startProxy();
    proxy.upstream.answer = ({ headers }) =>
      headers.get("Authorization") === "Bearer sk-known" ? undefined : refusal(404, "no such model, or not for you");
    const told = async (key: string): Promise<[number, string | undefined]> => {
      const response = await ask(proxy, key);
      await response.text();
      return [response.status, /hit|stored/.exec(cacheStatusOf(response)!)?.[0]];
    };
    assert.deepEqual(await told("sk-unknown"), [404, undefined]);
    assert.deepEqual(await told("sk-unknown"), [404, "hit"], "of the failure");
    assert.deepEqual(await told("sk-other"), [404, undefined]);
    assert.deepEqual(await told("sk-known"), [200, "stored"]);
    assert.equal(proxy.upstream.asked.length, 3);
    assert.deepEqual(await told("sk-unknown"), [200, "hit"]);
  });
});

describe("a refusal that is for all who asked the same", () => {
  it("is told to others without what is the asker's own", async () => {
    await using proxy = await startProxy();
    const door = gate();
    proxy.upstream.answer = async ({ headers }) => {
      await door.pass();
      const own = { "OpenAI-Organization": "org-of-one", "X-Should-Retry": "false" };
      return refusal(400, `Not so, ${headers.get("Authorization")}`, own);
    };
    const ask = (key: string): Promise<Response> => proxy.post(CHAT_PATH, CHAT, { Authorization: `Bearer ${key}` });
    const first = ask("sk-of-number-one");
    await door.reached;
    const second = ask("sk-of-number-two");
    // It waits for the first once this other request, which came after it, is answered.
    await (await fetch(`${proxy.server.url}/health`)).body!.cancel();
    door.open();
    const told = await Promise.all([first, second].map(async (asked) => {
      const response = await asked;
      const { error } = await response.json();
      return [
        response.status,
        error.message,
        ...["OpenAI-Organization", "X-Should-Retry"].map((name) => response.headers.get(name)),
      ];
    }));
    assert.deepEqual(told, [
      [400, "Not so, Bearer sk-of-number-one", "org-of-one", "false"],
      [400, "Not so, Bearer [redacted]", null, "false"],
    ]);
    assert.equal(proxy.upstream.asked.length, 1);
  });
});

describe("a cookie", () => {
  it("is given to the one whom the provider gave it to, and kept nowhere", async () => {
    await using proxy = await startProxy();
    for (const status of [200, 400]) {
      const door = gate();
      proxy.upstream.answer = async () => {
        await door.pass();
        const choices = [{ index: 0, message: { role: "assistant", content: "It" }, finish_reason: "stop" }];
        return Response.json({ choices }, { status, headers: { "Set-Cookie": `session=${status}` } });
      };
      const ask = (): Promise<Response> => proxy.post(CHAT_PATH, { ...CHAT, seed: status });
      const first = ask();
      await door.reached;
      const second = ask();
      await (await fetch(`${proxy.server.url}/health`)).body!.cancel();
      door.open();
      const cookies = [await first, await second, await ask()].map(({ headers }) => headers.getSetCookie());
      assert.deepEqual(cookies, [[`session=${status}`], [], []]);
    }
    assert.equal(proxy.upstream.asked.length, 2);
  });
});

describe("a server with API keys", () => {
  it("takes them in its own header on its own routes as well, and a wrong one there is wrong", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    const ask = async (headers: Record<string, string>): Promise<number> => {
      const response = await fetch(`${proxy.server.url}/v1/models`, { headers });
      await response.body!.cancel();
      return response.status;
    };
    assert.equal(await ask(OURS), 200);
    assert.equal(await ask({ Authorization: "Bearer key-of-bob" }), 200);
    assert.equal(await ask({ "X-Warmcache-Key": "wrong", Authorization: "Bearer key-of-bob" }), 401);
  });

  it("asks for one of them in words its client understands, and lets nobody else through", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    for (const { provider, clientOf } of Object.values(CLIENTS)) {
      const url = proxy.url(provider);
      await assert.rejects(clientOf({ url }).whole("rain"), { status: 401 });
      const wrong = { "X-Warmcache-Key": "key-of-mallory" };
      await assert.rejects(clientOf({ url, headers: wrong }).whole("rain"), { status: 401 });
      assert.match((await clientOf({ url, headers: OURS }).whole("rain")).text, /^It will rain/);
    }
    assert.equal(proxy.upstream.asked.length, Object.keys(CLIENTS).length);
    assert.deepEqual(proxy.upstream.asked.filter(({ headers }) => headers.has("x-warmcache-key")), []);
  });

  it("never sends a key of its own to a provider", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    const ask = (headers: Record<string, string>): Promise<Response> =>
      proxy.post(CHAT_PATH, CHAT, { "Cache-Control": "no-cache", ...headers });
    const alone = await ask({ Authorization: "Bearer key-of-alice" });
    assert.equal(alone.status, 401);
    assert.match((await alone.json()).error.message, /no credential of its own for openai.*X-Warmcache-Key/);
    assert.equal(proxy.upstream.asked.length, 0);
    await (await ask({ ...OURS, Authorization: "Bearer key-of-bob", "x-api-key": "theirs" })).text();
    assert.deepEqual(reached(proxy), { "x-api-key": "theirs" });
    const path = "google/v1beta/models/gemini-2.5-flash:generateContent?key=key-of-bob";
    await (await proxy.post(path, { contents: [] }, OURS)).text();
    assert.deepEqual(reached(proxy), {});
    for (const scheme of ["", "Basic ", "Bearer theirs, Bearer "]) {
      await (await ask({ ...OURS, Authorization: `${scheme}key-of-bob` })).text();
      assert.deepEqual(reached(proxy), {}, scheme);
    }
    const twice = "google/v1beta/models/gemini-2.5-flash:generateContent?key=theirs&key=key-of-bob";
    await (await proxy.post(twice, { contents: [] }, OURS)).text();
    assert.deepEqual(proxy.upstream.asked.at(-1)!.path.split("?")[1], "key=theirs");
  });

  it("never sends a cookie of its own to a provider, and lets a provider's pass", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    for (
      const [given, passed] of [
        ["warmcache_session=0123", undefined],
        ["theirs=1; warmcache_session=0123; also=2", "theirs=1; also=2"],
        ["warmcache_session=0123;theirs=1", "theirs=1"],
        ["not_warmcache_session=1", "not_warmcache_session=1"],
      ] as const
    ) {
      await (await proxy.post(CHAT_PATH, CHAT, { ...OURS, "Cache-Control": "no-cache", Cookie: given })).text();
      assert.equal(proxy.upstream.asked.at(-1)!.headers.get("Cookie") ?? undefined, passed);
    }
  });

  it("opens the proxy to keys of its scope only", async () => {
    const narrow = { id: "narrow", key: "key-of-narrow", scopes: ["models", "admin"] } as const;
    await using proxy = await startProxy({ apiKey: [...KEYS, narrow] });
    const response = await proxy.post(CHAT_PATH, CHAT, { "X-Warmcache-Key": "key-of-narrow" });
    assert.equal(response.status, 403);
    assert.match(response.headers.get("WWW-Authenticate")!, /error="insufficient_scope", scope="proxy"/);
    assert.equal((await response.json()).error.code, "insufficient_scope");
    assert.equal(proxy.upstream.asked.length, 0);
  });

  it("keeps apart what its callers bought, whatever namespace they name", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    const ask = async (key: string, headers: Record<string, string> = {}): Promise<string> => {
      const response = await proxy.post(CHAT_PATH, CHAT, { "X-Warmcache-Key": key, ...headers });
      await response.text();
      return /hit|miss/.exec(cacheStatusOf(response)!)![0];
    };
    assert.equal(await ask("key-of-alice"), "miss");
    assert.equal(await ask("key-of-alice"), "hit");
    assert.equal(await ask("key-of-bob"), "miss");
    assert.equal(await ask("key-of-nobody-in-particular"), "miss");
    for (const namespace of ["key:alice", "alice", "", ":", "key:alice:"]) {
      const status = await ask("key-of-bob", { "X-Warmcache-Namespace": namespace });
      assert.equal(status, namespace === "" ? "hit" : "miss", `bob as ${namespace}`);
    }
    assert.equal(await ask("key-of-alice", { "X-Warmcache-Namespace": "project" }), "miss");
    assert.equal(await ask("key-of-alice", { "X-Warmcache-Namespace": "project" }), "hit");
  });

  it("keeps apart who asks at the same time, too", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    const asked = ["alice", "bob", "alice", "bob"].map(async (name) => {
      const response = await proxy.post(CHAT_PATH, CHAT, { "X-Warmcache-Key": `key-of-${name}` });
      return (await response.json()).id;
    });
    const [alice, bob, ...again] = await Promise.all(asked);
    assert.notEqual(alice, bob);
    assert.deepEqual(again, [alice, bob]);
    assert.equal(proxy.upstream.asked.length, 2);
  });

  it("shares where it says so", async () => {
    await using proxy = await startProxy({ apiKey: KEYS, sharedCache: true });
    for (const name of ["alice", "bob"]) {
      await (await proxy.post(CHAT_PATH, CHAT, { "X-Warmcache-Key": `key-of-${name}` })).text();
    }
    assert.equal(proxy.upstream.asked.length, 1);
    const foreign = await proxy.post(CHAT_PATH, CHAT, { ...OURS, "X-Warmcache-Namespace": "key:bob" });
    assert.equal(foreign.status, 400);
    await foreign.text();
  });
});

describe("an upstream with a credential on the server", () => {
  async function withCredential(options: Parameters<typeof startProxy>[0] = {}): Promise<ProxyUnderTest> {
    const plain = await startProxy();
    const at = { url: plain.upstream.url, apiKey: "sk-of-the-server" };
    const upstreams = { openai: at, anthropic: at, google: at, other: at };
    const proxy = await startProxy({ ...options, upstreams });
    return {
      ...proxy,
      upstream: plain.upstream,
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]();
        await plain[Symbol.asyncDispose]();
      },
    };
  }

  it("takes a key of ours in the place of the provider's, and puts its own there", async () => {
    await using proxy = await withCredential({ apiKey: KEYS });
    const expected: Record<string, Record<string, string>> = {
      openai: { authorization: "Bearer sk-of-the-server" },
      anthropic: { "x-api-key": "sk-of-the-server" },
      google: { "x-goog-api-key": "sk-of-the-server" },
    };
    for (const { provider, clientOf } of Object.values(CLIENTS)) {
      const url = proxy.url(provider);
      await assert.rejects(clientOf({ url, apiKey: "key-of-mallory" }).whole("rain"), { status: 401 });
      assert.match((await clientOf({ url, apiKey: "key-of-alice" }).whole("rain")).text, /^It will rain/);
      assert.deepEqual(reached(proxy), expected[provider]);
    }
    const path = "google/v1beta/models/gemini-2.5-flash:generateContent?key=key-of-alice";
    await (await proxy.post(path, { contents: [] })).text();
    assert.deepEqual(reached(proxy), expected.google);
    await (await proxy.post("other/openai/chat/completions", CHAT, { "api-key": "key-of-bob" })).text();
    assert.deepEqual(reached(proxy), { "api-key": "sk-of-the-server" });
  });

  it("takes the caller's place on a server without keys, but for web pages", async () => {
    await using proxy = await withCredential();
    await (await proxy.post(CHAT_PATH, CHAT, { Authorization: "Bearer unused" })).text();
    assert.deepEqual(reached(proxy), { authorization: "Bearer sk-of-the-server" });
    for (
      const origin of ["https://evil.example", "http://127.0.0.1.evil.example", "http://localhost:5173", "null"]
    ) {
      const response = await proxy.post(CHAT_PATH, CHAT, { Origin: origin });
      assert.equal(response.status, 403, origin);
      assert.equal((await response.json()).error.code, "foreign_origin");
    }
  });

  it("may have it in the environment", async () => {
    const environment = (name: string): string | undefined => name === "THE_KEY" ? "sk-of-the-server" : undefined;
    const plain = await startProxy();
    const { url } = plain.upstream;
    await using _ = plain;
    await using proxy = await startProxy({ upstreams: { openai: { url, apiKeyEnvironment: "THE_KEY" } } }, {
      environment,
    });
    await (await proxy.post(CHAT_PATH, CHAT)).text();
    assert.deepEqual(reached(plain), { authorization: "Bearer sk-of-the-server" });
  });
});

describe("secrets", () => {
  /** All that a server has left in its cache's folder, as one text. */
  async function leftIn(folder: string): Promise<string> {
    const names = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile());
    const texts = files.map(({ parentPath, name }) => readFile(join(parentPath, name), "latin1"));
    return (await Promise.all(texts)).join("\n");
  }

  it("are nowhere in the cache's files, nor in the log, whatever the provider repeats of them", async () => {
    const SECRET = "sk-very-secret-indeed-1234567890";
    const proxy = await startProxy({ apiKey: KEYS, upstreams: { gone: { url: "http://127.0.0.1:9" } } });
    const headers = { ...OURS, Authorization: `Bearer ${SECRET}` };
    const topics = ["rain", "umbrella"];
    for (const topic of topics) {
      for (const stream of [false, true]) {
        const body = { ...CHAT, stream, messages: [{ role: "user", content: `${topic} ${stream}` }] };
        await (await proxy.post(CHAT_PATH, body, headers)).text();
      }
    }
    const { upstream } = proxy;
    for (const status of [400, 401, 404, 429, 500]) {
      upstream.answer = ({ headers }) => refusal(status, `This key of yours is wrong: ${headers.get("authorization")}`);
      const response = await proxy.post(CHAT_PATH, { ...CHAT, model: `m${status}` }, headers);
      assert.match(await response.text(), new RegExp(SECRET), "the caller hears it as it was said");
    }
    upstream.reset();
    await (await proxy.post(`google/v1beta/models/m:generateContent?key=${SECRET}`, { contents: [] }, OURS)).text();
    const gone = await proxy.post(`gone/v1beta/models/m:generateContent?key=${SECRET}`, { contents: [] }, OURS);
    assert.equal(gone.status, 502);
    assert.doesNotMatch(await gone.text(), new RegExp(SECRET));
    await proxy[Symbol.asyncDispose]();
    const left = `${await leftIn(proxy.folder)}\n${proxy.log.join("\n")}`;
    assert.match(left, /SQLite format 3/);
    assert.match(left, /This key of yours is wrong: Bearer \[redacted\]/);
    for (const secret of [SECRET, "key-of-alice"]) assert.equal(left.includes(secret), false, secret);
  });
});
