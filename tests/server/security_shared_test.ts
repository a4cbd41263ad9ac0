/** A cache that all share: who may read what is in it. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CHAT, CHAT_PATH, type ProxyUnderTest, startProxy } from "../proxy/support.ts";

const KEYS = [
  { id: "watcher", key: "key-of-watcher", scopes: ["status"] },
  { id: "reader", key: "key-of-reader", scopes: ["status", "cache"] },
  { id: "asker", key: "key-of-asker", scopes: ["proxy"] },
] as const;

const SECRET = "Will it rain on the secret garden?";

describe("the dashboard's pages of what is stored", () => {
  let shared: ProxyUnderTest;
  let apart: ProxyUnderTest;
  before(async () => {
    [shared, apart] = [await startProxy({ apiKey: KEYS, sharedCache: true }), await startProxy({ apiKey: KEYS })];
    for (const proxy of [shared, apart]) {
      const question = { ...CHAT, messages: [{ role: "user", content: SECRET }] };
      const bought = await proxy.post(CHAT_PATH, question, { "X-Warmcache-Key": "key-of-asker" });
      assert.equal(bought.status, 200);
      await bought.text();
    }
  });
  after(async () => {
    await shared[Symbol.asyncDispose]();
    await apart[Symbol.asyncDispose]();
  });

  const asks: readonly [method: string, path: string, body: string | null][] = [
    ["GET", "/dashboard/requests?model=gpt-4o-mini", null],
    ["GET", "/dashboard/requests/0123?model=gpt-4o-mini", null],
    ["GET", "/dashboard/explain", null],
    ["POST", "/dashboard/explain", new URLSearchParams({ request: JSON.stringify(CHAT) }).toString()],
  ];
  async function ask(proxy: ProxyUnderTest, id: string, [method, path, body]: typeof asks[number]): Promise<string> {
    const headers = { "X-Warmcache-Key": `key-of-${id}`, "Content-Type": "application/x-www-form-urlencoded" };
    const response = await fetch(`${proxy.server.url}${path}`, { method, headers, body });
    return `${response.status} ${await response.text()}`;
  }

  it("do not show everybody's words to a key that only watches the server", async () => {
    for (const each of asks) {
      const answer = await ask(shared, "watcher", each);
      assert.match(answer, /^403 /, each[1]);
      assert.ok(!answer.includes("secret garden"), each[1]);
    }
    assert.match(await ask(shared, "watcher", ["GET", "/", null]), /^200 /);
  });

  it("show them to one that may ask the cache", async () => {
    const [list] = asks;
    const answer = await ask(shared, "reader", list!);
    assert.match(answer, /^200 /);
    assert.ok(answer.includes("secret garden"));
  });

  it("show each key its own where they are kept apart", async () => {
    const [list] = asks;
    for (const id of ["watcher", "reader"]) {
      const answer = await ask(apart, id, list!);
      assert.match(answer, /^200 /);
      assert.ok(!answer.includes("secret garden"));
    }
  });
});

describe("a wrong key at /login", () => {
  it("is counted by its code, as elsewhere", async () => {
    await using proxy = await startProxy({ apiKey: KEYS });
    const { url } = proxy.server;
    for (const key of ["wrong", "key-of-asker"]) {
      const headers = { "Content-Type": "application/x-www-form-urlencoded", Origin: url };
      const response = await fetch(`${url}/login`, { method: "POST", headers, body: `key=${key}` });
      assert.equal(response.status, 401);
      await response.text();
    }
    const metrics = await (await fetch(`${url}/metrics`, { headers: { "X-Warmcache-Key": "key-of-watcher" } })).text();
    assert.match(metrics, /warmcache_request_errors_total\{route="\/login",error="invalid_api_key"\} 1/);
    assert.match(metrics, /warmcache_request_errors_total\{route="\/login",error="insufficient_scope"\} 1/);
  });
});
