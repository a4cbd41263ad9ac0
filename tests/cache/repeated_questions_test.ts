/** Questions that are asked over HTTP again, byte for byte: read once, and looked up each time. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { rememberAnswered } from "../../src/cache/exchange/answered_questions.ts";
import { exchange } from "../../src/cache/exchange/exchange.ts";
import { type Question, readQuestion } from "../../src/cache/exchange/question.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { isKeyed } from "../../src/cache/request/request.ts";
import { RequestReader } from "../../src/cache/request/request_reader.ts";
import { seal } from "../../src/cache/request/sealed.ts";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { ask, openTestCache, Provider, sha256 } from "./support.ts";

const CHAT = "https://api.example.com/v1/chat/completions";

let topics = 0;
/** A text that no other test has. */
const newText = (rest: object = {}): string => JSON.stringify({ ...ask(`topic ${topics++}`), ...rest });

async function read(text: string, address: string = CHAT, headers: Record<string, string> = {}): Promise<Question> {
  const question = await readQuestion({
    method: "POST",
    url: new URL(address),
    headers: new Headers({ "Content-Type": "application/json", ...headers }),
    bytes: () => Promise.resolve(new TextEncoder().encode(text)),
  });
  return question!;
}

describe("readQuestion", () => {
  it("reads a text anew as long as the cache has not answered it", async () => {
    const text = newText();
    assert.notEqual(await read(text), await read(text));
  });

  it("gives what it read before, once the cache has answered it", async () => {
    const text = newText();
    const question = await read(text);
    rememberAnswered(question);
    assert.equal(await read(text), question);
    assert.notEqual((await read(` ${text}`)).body, question.body);
  });

  it("reads it anew for another endpoint, for a header that counts, and where the address asks for a stream", async () => {
    const text = newText();
    const address = "https://api.example.com/v1beta/models/g:generateContent";
    for (const question of [await read(text), await read(text, address)]) {
      rememberAnswered(question);
      assert.equal((await read(text, "https://api.example.com/v1/responses")).endpoint, "/v1/responses");
      assert.match((await read(text, CHAT, { "x-provider": "b" })).endpoint, /headers=/);
      const stream = await read(text, address.replace(":g", ":streamG") + "?alt=sse");
      assert.deepEqual([stream.form, stream.isStreamed], ["stream", true]);
      assert.match((await read(text, CHAT, { "anthropic-beta": "x" })).bypass!, /anthropic-beta/);
    }
  });

  it("reads embeddings anew, and what is very long", async () => {
    const vectors = JSON.stringify({ model: "e", input: [`${topics++}`] });
    for (
      const [text, address] of [[vectors, CHAT.replace("chat/completions", "embeddings")], [
        newText({ user: "x".repeat(2 ** 21) }),
        CHAT,
      ]]
    ) {
      const question = await read(text!, address);
      rememberAnswered(question);
      assert.notEqual(await read(text!, address), question);
    }
  });
});

describe("exchange", () => {
  async function say(cache: ResponseCache, text: string, options: object = {}): Promise<[string | undefined, string]> {
    const question = await read(text);
    const asker = { id: "a", redact: (text: string) => text };
    const { response, status } = await exchange(cache, {
      question,
      asker,
      options: { provider: "p", ...options },
      send: async (body) => Response.json(await provider.answer(JSON.parse(body))),
    });
    return [status.outcome, (await response.json()).choices.length.toString()];
  }
  const provider = new Provider();

  it("looks each one up: what one namespace has is not another's, nor one provider's another's", async () => {
    const { cache } = openTestCache();
    const text = newText();
    for (const options of [{}, { namespace: "key:b" }, { namespace: "key:c" }, { provider: "q" }]) {
      const outcomes = [];
      for (let time = 0; time < 3; time++) outcomes.push((await say(cache, text, options))[0]);
      assert.deepEqual(outcomes, ["miss", "hit", "hit"]);
    }
    assert.equal((await say(cache, text, { mode: "off" }))[0], "bypass");
    assert.equal((await say(cache, text, { mode: "refresh" }))[0], "bypass");
    assert.equal((await say(cache, text))[0], "hit");
  });

  it("finds nothing any more where the answer was removed", async () => {
    const { cache } = openTestCache();
    const text = newText();
    await say(cache, text);
    assert.equal((await say(cache, text))[0], "hit");
    await cache.delete(JSON.parse(text), { provider: "p", endpoint: "/v1/chat/completions" });
    assert.equal((await say(cache, text))[0], "miss");
  });

  it("asks another cache by its own settings", async () => {
    const text = newText({ user: "somebody" });
    const [one, other] = [openTestCache(), openTestCache({ namespace: "other" })];
    await say(one.cache, text);
    assert.equal((await say(one.cache, text))[0], "hit");
    assert.equal((await say(other.cache, text))[0], "miss");
  });
});

describe("RequestReader", () => {
  const SCOPE = { provider: "p", endpoint: "/v1/chat/completions" };
  const open = (): RequestReader =>
    new RequestReader(
      { namespace: "", ignore: {}, sha256 },
      undefined,
      new ManualClock(),
    );

  it("reads a caller's own body each time, and says when it was changed", async () => {
    const reader = open();
    const body = { ...ask("cats") } as unknown as JsonObject & { model: string };
    const first = await reader.read(body, SCOPE);
    assert.notEqual(await reader.read(body, SCOPE), first);
    Object.assign(body, { temperature: 0.5 });
    assert.throws(() => first.current(), TypeError);
  });

  it("reads a sealed body once for each scope", async () => {
    const reader = open();
    const body = { ...ask("cats") } as unknown as JsonObject;
    seal(body);
    const first = await reader.read(body, SCOPE);
    const status: CacheStatus = {};
    assert.equal(await reader.read(body, { ...SCOPE, ...{ status } }), first);
    assert.equal(first.current(), body);
    const keys = new Set<string>();
    for (
      const scope of [SCOPE, { ...SCOPE, namespace: "n" }, { ...SCOPE, provider: "q" }, { ...SCOPE, identity: "i" }]
    ) {
      const { request } = await reader.read(body, scope);
      if (isKeyed(request)) keys.add(request.id);
    }
    assert.equal(keys.size, 4);
  });

  it("reads it again for a call that says how it is to be read", async () => {
    const reader = open();
    const body = { ...ask("cats") } as unknown as JsonObject;
    seal(body);
    const first = await reader.read(body, SCOPE);
    const bypassed = await reader.read(body, SCOPE, { bypass: "no" });
    assert.equal(isKeyed(bypassed.request), false);
    const many = await reader.read(body, SCOPE, { samples: 3 });
    assert.equal(isKeyed(many.request) && many.request.shape.samples, 3);
    assert.equal(await reader.read(body, SCOPE), first);
  });
});
