/** What one key can learn of what others do with theirs, route by route: nothing that they asked, nor that they did. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openCache, type ResponseCache } from "../../mod.ts";
import { type RunningServer, startServer } from "../../src/compose/server.ts";
import { gate } from "../support/gate.ts";
import { MODELS } from "../support/models.ts";
import { refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post } from "./support.ts";

const CHAT_PATH = "/openai/v1/chat/completions";
const SCOPE = { provider: "openai", endpoint: "/v1/chat/completions" };
const ANSWER = { choices: [{ index: 0, message: { role: "assistant", content: "No." }, finish_reason: "stop" }] };
/** What Alice asks; there is nothing like it elsewhere. */
const PRIVATE = "Shall we buy the lighthouse at Skagen before the auction on Friday?";

describe("what Alice does with her key", () => {
  let server: RunningServer;
  let upstream: Upstream;
  before(async () => {
    upstream = await startUpstream();
    upstream.mock.onMessage("lighthouse", { content: "Not for more than it is worth." });
    upstream.mock.onMessage("ferry", { content: "At noon." });
    upstream.mock.onMessage("windmill", { content: "It turns." });
    server = await startServer({
      port: 0,
      models: MODELS,
      hub: false,
      cache: await temporaryFolder(),
      apiKey: [
        "alice=key-of-alice",
        { id: "bob", key: "key-of-bob", scopes: ["models", "proxy", "cache"] },
        "carol=key-of-carol",
      ],
      upstreams: { openai: { url: upstream.url } },
    });
    await (await ask("alice", PRIVATE)).text();
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });

  const as = (name: string): Record<string, string> => ({ "X-Warmcache-Key": `key-of-${name}` });

  function chat(content: string, model = "gpt-private-to-alice"): object {
    return { model, messages: [{ role: "user", content }] };
  }

  function ask(name: string, content: string, headers: Record<string, string> = {}, model?: string): Promise<Response> {
    return post(server, CHAT_PATH, chat(content, model), null, { ...as(name), ...headers });
  }

  async function read(name: string, path: string): Promise<string> {
    return await (await fetch(`${server.url}${path}`, { headers: { ...as(name), Accept: "text/html" } })).text();
  }

  // deno-lint-ignore no-explicit-any -- tests read what they know is there
  async function explain(name: string, content: string, namespace?: string): Promise<any> {
    const question = { request: chat(content), ...SCOPE, ...namespace !== undefined && { namespace } };
    return await (await post(server, "/cache/explain", question, null, as(name))).json();
  }

  it("is no hit for Bob, who has to buy it himself, even at the same moment", async () => {
    const door = gate();
    upstream.answer = async () => {
      await door.pass();
      return undefined;
    };
    const content = "When does the ferry leave?";
    const before = upstream.asked.length;
    const asked = ["alice", "bob"].map((name) => ask(name, content));
    await door.reached;
    while (upstream.asked.length < before + 2) await (await fetch(`${server.url}/health`)).text();
    door.open();
    for (const response of await Promise.all(asked)) {
      assert.match(response.headers.get("Cache-Status")!, /fwd=miss; fwd-status=200/);
      assert.doesNotMatch(
        response.headers.get("Cache-Status")!,
        /collapsed/,
        "he would know that somebody asked first",
      );
      await response.text();
    }
    upstream.answer = () => undefined;
  });

  it("is not in what is said of a miss that may not be bought", async () => {
    const response = await ask("bob", `${PRIVATE}!`, { "Cache-Control": "only-if-cached" });
    assert.equal(response.status, 504);
    assert.doesNotMatch(await response.text(), /lighthouse/);
  });

  it("is explained to nobody else, by whatever namespace he names", async () => {
    for (const namespace of [undefined, "key:alice", "", ":", "key:alice:"]) {
      const text = JSON.stringify(await explain("bob", PRIVATE.replace("Friday", "Monday"), namespace));
      assert.doesNotMatch(text, /Friday|"namespace":"key:alice/, String(namespace));
    }
    const own = await explain("alice", PRIVATE.replace("Friday", "Monday"));
    assert.equal(own.nearest.length, 2, "hers and the one about the ferry, which is hers, too");
    assert.match(own.text, /Friday/);
    assert.equal((await explain("alice", PRIVATE)).samples, 1);
    assert.equal((await explain("bob", PRIVATE)).samples, 0);
  });

  it("takes no place among the requests that Bob is told of: one missing would tell him of it", async () => {
    const like = (index: number): string => `Does windmill number ${index} turn to the left or to the right?`;
    for (let index = 0; index < 33; index++) await (await ask("bob", like(index))).text();
    const before = await explain("bob", like(900));
    assert.equal(before.nearest.length, 32);
    for (let index = 0; index < 40; index++) await (await ask("alice", like(900 + index / 100))).text();
    const after = await explain("bob", like(900));
    assert.deepEqual(after, before);
    assert.equal((await explain("alice", like(900))).samples, 1);
  });

  it("is in no statistics of a key that opens no status: neither model, nor count, nor error", async () => {
    const statistics = JSON.parse(await read("bob", "/cache/stats"));
    assert.deepEqual(statistics, { per_model: {}, all_time: { per_model: {} } });
    assert.match(await read("carol", "/cache/stats"), /gpt-private-to-alice/, "an operator's key sees all models");
    assert.match(await read("bob", "/stats"), /insufficient_scope/);
    assert.match(await read("bob", "/metrics"), /insufficient_scope/);
  });

  it("is on no page of Carol's, who sees what the server does, and not what others ask", async () => {
    const key = (await explain("alice", PRIVATE)).key;
    for (
      const path of [
        "/",
        "/dashboard/requests",
        "/dashboard/requests?namespace=key%3Aalice",
        "/dashboard/requests?text=lighthouse&model=gpt-private-to-alice",
        `/dashboard/requests/${key}?model=gpt-private-to-alice`,
        `/dashboard/requests/${key}?model=gpt-private-to-alice&namespace=key%3Aalice`,
        `/dashboard/explain?key=${key}&model=gpt-private-to-alice`,
      ]
    ) {
      const text = await read("carol", path);
      assert.doesNotMatch(
        text.replaceAll("text=lighthouse", "").replaceAll('value="lighthouse"', ""),
        /lighthouse|Skagen/,
        path,
      );
    }
    assert.match(await read("alice", "/dashboard/requests?model=gpt-private-to-alice"), /lighthouse/);
  });

  it("is in no list of a cache at Bob's end, and cannot be removed from there", async () => {
    await using cache = await remote("key-of-bob");
    assert.deepEqual(await listed(cache), []);
    await cache.prune({ model: "gpt-private-to-alice" });
    await cache.prune({ model: "key:alice/gpt-private-to-alice" });
    assert.equal((await explain("alice", PRIVATE)).samples, 1);
  });

  it("stays hers where she keeps it from her own end, and nobody plants anything there", async () => {
    await using hers = await remote("key-of-alice");
    await hers.wrap(chat("lighthouse from afar"), () => Promise.resolve(ANSWER), SCOPE);
    await using his = await remote("key-of-bob");
    assert.equal(await his.get(chat("lighthouse from afar"), SCOPE), undefined);
    const before = await listed(hers);
    assert.equal(before.length, 1);
    const planted = await ask("bob", "lighthouse planted", {}, "key:alice/gpt-private-to-alice");
    assert.equal(planted.status, 400);
    assert.equal((await planted.json()).error.param, "model");
    assert.deepEqual(await listed(hers), before);
  });

  it("fails for herself alone: Bob is not told of a failure that was hers", async () => {
    upstream.answer = () => refusal(404, "no such model");
    const status = async (name: string): Promise<string> => {
      const response = await ask(name, "lighthouse that is not there");
      await response.text();
      return response.headers.get("Cache-Status")!;
    };
    assert.match(await status("alice"), /fwd=miss/);
    assert.match(await status("alice"), /hit; detail="a failure is remembered"/);
    assert.match(await status("bob"), /fwd=miss/);
    upstream.answer = () => undefined;
  });

  it("is answered for her alone by a model of the server's, too", async () => {
    const body = { model: "kjv-tiny", prompt: "And the lighthouse", max_tokens: 2, temperature: 0 };
    const statusOf = async (name: string): Promise<string> => {
      const response = await post(server, "/v1/completions", body, null, as(name));
      assert.equal(response.status, 200);
      await response.text();
      return response.headers.get("Cache-Status")!;
    };
    assert.match(await statusOf("alice"), /fwd=/);
    assert.match(await statusOf("alice"), /hit/);
    assert.match(await statusOf("bob"), /fwd=/);
  });

  it("changes nothing in the list of models, which is the same for all", async () => {
    assert.equal(await read("alice", "/v1/models"), await read("bob", "/v1/models"));
  });

  function remote(apiKey: string): Promise<ResponseCache> {
    return openCache({ backend: "remote", remote: { url: server.url, apiKey } });
  }
});

async function listed(cache: ResponseCache): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of cache.list()) keys.push(key);
  return keys;
}
