/** Many clients at one answer: who waits, who leaves, and what becomes of the provider's call. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { chatChunks, chatText } from "../cache/streams.ts";
import { type Gate, gate } from "../support/gate.ts";
import { streaming } from "../support/upstream/upstream.ts";
import { cacheStatusOf, CHAT, CHAT_PATH, type ProxyUnderTest, startProxy } from "./support.ts";

const TEXT = chatText(chatChunks(["It", " will", " rain."]));
const PIECE = 100;
const PIECES = Math.ceil(TEXT.length / PIECE);

describe("a stream through the proxy", () => {
  let proxy: ProxyUnderTest;
  let left: Gate;
  let topic = 0;
  before(async () => {
    proxy = await startProxy();
  });
  after(() => proxy[Symbol.asyncDispose]());
  beforeEach(() => {
    proxy.upstream.asked.length = 0;
    left = gate();
    topic++;
  });

  const ask = (headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> =>
    proxy.post(
      CHAT_PATH,
      { ...CHAT, messages: [{ role: "user", content: `${topic}` }], stream: true },
      headers,
      signal,
    );

  /** Has the provider stop before a piece until the door is opened, and tell when its client leaves. */
  function answerWith(manners: Parameters<typeof streaming>[1] = {}): void {
    proxy.upstream.answer = ({ signal }) => {
      signal.addEventListener("abort", left.open);
      return streaming(TEXT, { size: PIECE, ...manners });
    };
  }

  /** Reads so many pieces. */
  async function read(response: Response, pieces: number): Promise<ReadableStreamDefaultReader<Uint8Array>> {
    const reader = response.body!.getReader();
    for (let i = 0; i < pieces; i++) assert.equal((await reader.read()).done, false);
    return reader;
  }

  it("comes while the provider still speaks, in the provider's own bytes, and from the cache afterwards", async () => {
    const door = gate();
    const text = `: hello\r\n\r\n${TEXT.replaceAll("\n", "\r\n")}`;
    proxy.upstream.answer = () => streaming(text, { size: 17, stop: 4, door });
    const first = await ask();
    assert.equal(first.headers.get("X-Request-Id"), "req_7", "the provider's own");
    assert.equal(first.headers.get("Content-Type"), "text/event-stream; charset=utf-8");
    assert.equal(cacheStatusOf(first), "warmcache; fwd=miss; fwd-status=200");
    const reader = first.body!.getReader();
    let told = new TextDecoder().decode((await reader.read()).value);
    door.open();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      told += new TextDecoder().decode(next.value);
    }
    assert.equal(told, text);
    const again = await ask();
    assert.equal(cacheStatusOf(again), "warmcache; hit");
    assert.equal(again.headers.get("Content-Type"), "text/event-stream");
    assert.equal(await again.text(), TEXT);
    assert.equal(proxy.upstream.asked.length, 1);
  });

  it("is read along by whoever asks meanwhile, at a pace of his own", async () => {
    const door = gate();
    answerWith({ stop: 3, door });
    const slow = await ask();
    const slowReader = await read(slow, 1);
    const quick = await ask();
    assert.equal(cacheStatusOf(quick), "warmcache; fwd=miss; collapsed");
    door.open();
    assert.equal(await quick.text(), TEXT, "before the slow one has read on");
    let rest = 0;
    for (let next = await slowReader.read(); !next.done; next = await slowReader.read()) rest += next.value.length;
    assert.ok(rest > 0);
    assert.equal(proxy.upstream.asked.length, 1);
  });

  it("goes on for the others when the one who began it leaves", async () => {
    const door = gate();
    answerWith({ stop: 3, door });
    const leaving = new AbortController();
    const leader = await read(await ask({}, leaving.signal), 1);
    const follower = await ask();
    leaving.abort();
    await leader.closed.catch(() => {});
    door.open();
    assert.equal(await follower.text(), TEXT);
    assert.equal(await (await ask()).text(), TEXT);
    assert.equal(proxy.upstream.asked.length, 1);
  });

  it("is given up at the provider when all have left, wherever they were, and nothing is kept of it", async () => {
    for (let stop = 1; stop < PIECES; stop++) {
      topic++;
      left = gate();
      answerWith({ stop });
      const leaving = new AbortController();
      const reader = await read(await ask({}, leaving.signal), 1);
      leaving.abort();
      await reader.closed.catch(() => {});
      await left.pass();
      const kept = await ask({ "Cache-Control": "only-if-cached" });
      assert.equal(kept.status, 504, `left while the provider waits before piece ${stop}`);
      await kept.body!.cancel();
    }
  });

  it("is given up at the provider before its first piece, too", async () => {
    const asked = gate();
    proxy.upstream.answer = async ({ signal }) => {
      signal.addEventListener("abort", left.open);
      await asked.pass();
      return undefined;
    };
    const leaving = new AbortController();
    const response = ask({}, leaving.signal);
    await asked.reached;
    leaving.abort();
    await assert.rejects(response);
    await left.pass();
    asked.open();
  });

  it("that breaks off breaks off for its readers as well, and is bought anew", async () => {
    for (let breakAt = 1; breakAt < PIECES; breakAt++) {
      topic++;
      answerWith({ breakAt });
      // A server that has sent nothing yet when it breaks may still say so with a status.
      const told = await ask().then((response) => response.text()).catch(() => "broken");
      assert.ok(!told.includes("[DONE]"), `broken before piece ${breakAt}`);
      answerWith();
      assert.equal(await (await ask()).text(), TEXT);
    }
  });
});

describe("a whole answer through the proxy", () => {
  it("is bought once for a hundred who ask at the same time", async () => {
    await using proxy = await startProxy();
    const door = gate();
    proxy.upstream.answer = async () => {
      await door.pass();
      return undefined;
    };
    const asked = Array.from({ length: 100 }, () => proxy.post(CHAT_PATH, CHAT));
    await door.reached;
    door.open();
    const responses = await Promise.all(asked);
    const texts = new Set(await Promise.all(responses.map((response) => response.text())));
    assert.equal(texts.size, 1);
    assert.equal(proxy.upstream.asked.length, 1);
    const statuses = responses.map(cacheStatusOf);
    assert.equal(statuses.filter((status) => status === "warmcache; fwd=miss; fwd-status=200; stored").length, 1);
    // Whoever comes late finds it stored.
    for (const status of statuses) assert.match(status!, /; (?:hit|collapsed|stored)/);
  });

  it("goes on for the others when the one who began it leaves, and is given up when all have", async () => {
    await using proxy = await startProxy();
    const [door, left] = [gate(), gate()];
    proxy.upstream.answer = async ({ signal }) => {
      signal.addEventListener("abort", left.open);
      await door.pass();
      return undefined;
    };
    const leaving = [new AbortController(), new AbortController()];
    const leader = proxy.post(CHAT_PATH, CHAT, {}, leaving[0]!.signal);
    await door.reached;
    const follower = proxy.post(CHAT_PATH, CHAT);
    // It has joined once this other request, which came after it, is answered.
    await (await fetch(`${proxy.server.url}/health`)).body!.cancel();
    leaving[0]!.abort();
    await assert.rejects(leader);
    door.open();
    assert.equal((await follower).status, 200);
    assert.equal(proxy.upstream.asked.length, 1);
    await (await follower).body!.cancel();

    const other = gate();
    proxy.upstream.answer = async ({ signal }) => {
      signal.addEventListener("abort", left.open);
      other.pass();
      await left.pass();
      return undefined;
    };
    const alone = proxy.post(CHAT_PATH, { ...CHAT, model: "another" }, {}, leaving[1]!.signal);
    await other.reached;
    leaving[1]!.abort();
    await assert.rejects(alone);
    await left.pass();
  });
});
