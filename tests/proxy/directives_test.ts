/** What a request may say to the cache, and what is said of its answer. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { openCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { cacheStatusOf, CHAT, CHAT_PATH, type ProxyUnderTest, startProxy } from "./support.ts";

const HIT = "warmcache; hit";
const MISS = "warmcache; fwd=miss; fwd-status=200; stored";

describe("a request to the proxy", () => {
  let proxy: ProxyUnderTest;
  let now: number;
  let topic = 0;
  before(async () => {
    const { clock } = await loadRuntime();
    now = Date.UTC(2026, 10, 22, 12);
    proxy = await startProxy({}, { clock: { ...bound(clock), now: () => now } });
  });
  after(() => proxy[Symbol.asyncDispose]());
  beforeEach(() => {
    proxy.upstream.asked.length = 0;
    topic++;
  });

  const ask = async (headers: Record<string, string> = {}, rest: object = {}): Promise<Response> => {
    const response = await proxy.post(CHAT_PATH, {
      ...CHAT,
      messages: [{ role: "user", content: `rain ${topic}` }],
      ...rest,
    }, headers);
    await response.clone().text();
    return response;
  };
  const statusOf = async (headers?: Record<string, string>, rest?: object): Promise<string | null> =>
    cacheStatusOf(await ask(headers, rest));

  it("is told when the answer was made, and how old it is", async () => {
    assert.equal((await ask()).headers.get("Age"), null);
    const made = now;
    now += 61_500;
    for (const stream of [false, true]) {
      const { headers } = await ask({}, { stream });
      assert.equal(headers.get("Age"), "61");
      assert.equal(headers.get("Date"), new Date(made).toUTCString());
    }
  });

  it("may want an answer of its own: no-store", async () => {
    assert.equal(await statusOf({ "Cache-Control": "no-store" }), off(200));
    assert.equal(await statusOf(), MISS, "it was not kept");
    assert.equal(await statusOf({ "Cache-Control": "private, NO-STORE" }), off(200));
    assert.equal(await statusOf({ "X-Warmcache-Mode": "off" }), off(200));
    assert.equal(proxy.upstream.asked.length, 4);
  });

  it("may want a new answer in place of the stored one: no-cache", async () => {
    await ask();
    const refreshed = await ask({ "Cache-Control": "no-cache" });
    const detail = 'detail="the mode is refresh"';
    assert.equal(cacheStatusOf(refreshed), `warmcache; fwd=request; fwd-status=200; stored; ${detail}`);
    const again = await ask();
    assert.equal(cacheStatusOf(again), HIT);
    assert.equal(await again.text(), await refreshed.text());
  });

  it("may want nothing but the cache: only-if-cached", async () => {
    const missing = await ask({ "Cache-Control": "only-if-cached" });
    assert.equal(missing.status, 504);
    assert.equal(missing.headers.get("X-Should-Retry"), "false");
    assert.equal(cacheStatusOf(missing), 'warmcache; detail="not_cached"');
    assert.equal((await missing.json()).error.code, "not_cached");
    assert.equal((await ask({ "Cache-Control": "only-if-cached" }, { stream: true })).status, 504);
    await ask();
    assert.equal(await statusOf({ "Cache-Control": "only-if-cached, no-store" }), HIT);
    assert.equal(proxy.upstream.asked.length, 1);
  });

  it("may want an answer that is not too old: max-age", async () => {
    await ask();
    now += 10_000;
    assert.equal(await statusOf({ "Cache-Control": "max-age=10" }), HIT);
    assert.match((await statusOf({ "Cache-Control": 'max-age="9"' }))!, /^warmcache; fwd=stale; .*stored/);
    assert.equal(await statusOf({ "Cache-Control": "max-age=9" }), HIT);
  });

  it("may name an age that no number holds", async () => {
    await ask();
    assert.equal(await statusOf({ "Cache-Control": "max-age=99999999999999999999999" }), HIT);
  });

  it("is told that it went past the cache for another reason than its wish", async () => {
    const status = await statusOf({ "anthropic-beta": "b", "X-Warmcache-Mode": "read-only" });
    assert.match(status!, /^warmcache; fwd=bypass; fwd-status=200; detail="a header changes/);
  });

  it("may say for how long the answer is kept", async () => {
    const kept = await ask({ "X-Warmcache-Ttl": "90" });
    assert.match(cacheStatusOf(kept)!, /; ttl=90; stored$/);
    now += 60_000;
    assert.equal(await statusOf(), "warmcache; hit; ttl=30");
    now += 30_000;
    assert.match((await statusOf({ "X-Warmcache-Ttl": "1h30m" }))!, /fwd=stale; .*; ttl=5400; stored/);
  });

  it("may keep its entries apart, and mark them", async () => {
    await ask({ "X-Warmcache-Namespace": "mine", "X-Warmcache-Tags": "one, two" });
    assert.equal(await statusOf(), MISS);
    assert.equal(await statusOf({ "X-Warmcache-Namespace": "mine" }), HIT);
    await using cache = await openCache({ directory: proxy.folder });
    assert.equal((await cache.invalidateTag("two", "mine")).entries, 1);
    assert.match((await statusOf({ "X-Warmcache-Namespace": "mine" }))!, /fwd=miss/);
  });

  it("is told why its answer was not kept", async () => {
    proxy.upstream.answer = () =>
      Response.json({ id: "1", choices: [{ index: 0, message: { role: "assistant", content: "" } }] });
    assert.equal(await statusOf(), 'warmcache; fwd=miss; fwd-status=200; detail="the outcome is empty"');
    proxy.upstream.answer = () => undefined;
    const twice = `{"model":"m","model":"m","messages":[{"role":"user","content":"rain"}]}`;
    const response = await proxy.post(CHAT_PATH, twice);
    assert.equal(
      cacheStatusOf(response),
      'warmcache; fwd=bypass; fwd-status=200; detail="the name \\"model\\" appears twice"',
    );
    await response.text();
  });

  it("hears of a refusal that is remembered that nobody was asked", async () => {
    proxy.upstream.answer = () => Response.json({ error: { message: "no" } }, { status: 400 });
    assert.equal(await statusOf(), "warmcache; fwd=miss; fwd-status=400");
    const again = await ask();
    assert.equal(cacheStatusOf(again), 'warmcache; hit; detail="a failure is remembered"');
    assert.deepEqual([again.status, (await again.json()).error.message], [400, "no"]);
    assert.equal(proxy.upstream.asked.length, 1);
    proxy.upstream.answer = () => undefined;
  });

  it("is refused for what means nothing, before anybody is asked", async () => {
    for (
      const headers of [
        { "X-Warmcache-Mode": "sometimes" },
        { "X-Warmcache-Ttl": "soon" },
        { "X-Warmcache-Ttl": "0" },
        { "Cache-Control": "max-age=-1" },
        { "Cache-Control": "only-if-cached, no-cache" },
        { "X-Warmcache-Namespace": "key:alice" },
      ] as Record<string, string>[]
    ) {
      const response = await ask(headers);
      assert.equal(response.status, 400, JSON.stringify(headers));
      assert.equal((await response.json()).error.type, "invalid_request_error");
    }
    assert.equal(proxy.upstream.asked.length, 0);
  });
});

function off(status: number): string {
  return `warmcache; fwd=request; fwd-status=${status}; detail="the mode is off"`;
}

/** A clock whose methods may be taken from it. */
function bound(clock: Awaited<ReturnType<typeof loadRuntime>>["clock"]): typeof clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    sleep: (duration, options) => clock.sleep(duration, options),
    afterTurn: (run) => clock.afterTurn(run),
  };
}
