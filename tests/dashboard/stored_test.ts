/** Looking at what is stored: page by page, and without being counted as a lookup. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRequest, MOST_READ, PAGE_SIZE, readPage } from "../../src/http/dashboard/stored_requests.ts";
import type { StoredRequest } from "../../src/cache/request/stored_request.ts";
import { ask, openTestCache, saidBy } from "../cache/support.ts";

const signal = new AbortController().signal;
const everything = { model: undefined, namespace: undefined, text: "", from: 0 };

describe("ResponseCache.stored", () => {
  it("has all samples of a listed request, and counts no lookup", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats", { n: 3 }), provider.answer);
    const before = await cache.stats();
    const [request] = await Array.fromAsync(cache.list());
    const entry = await cache.stored(request!);
    assert.equal(entry!.samples, 3);
    assert.equal(saidBy(entry!.json()).length, 3);
    const { lookups, hits, saved } = await cache.stats();
    assert.deepEqual([lookups, hits, saved], [before.lookups, before.hits, before.saved]);
  });

  it("shows what was recorded as a stream as the answer that it comes to", async () => {
    const { cache } = openTestCache();
    const body = ask("cats");
    const chunk = (delta: object, finish_reason: string | null) => ({
      id: "1",
      object: "chat.completion.chunk",
      created: 1,
      model: body.model,
      choices: [{ index: 0, delta, finish_reason }],
    });
    const chunks = await cache.wrapStream(body, () =>
      Promise.resolve((async function* () {
        yield chunk({ role: "assistant", content: "me" }, null);
        yield chunk({ content: "ow" }, "stop");
      })()));
    await Array.fromAsync(chunks);
    const [request] = await Array.fromAsync(cache.list());
    assert.deepEqual(saidBy((await cache.stored(request!))!.json()), ["meow"]);
  });

  it("has nothing of what was removed meanwhile, and refuses when closed", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    const [request] = await Array.fromAsync(cache.list());
    await cache.delete(ask("cats"));
    assert.equal(await cache.stored(request!), undefined);
    await cache.close();
    await assert.rejects(cache.stored(request!), { name: "CacheError", code: "closed" });
  });
});

describe("readPage", () => {
  const topics = Array.from(
    { length: 2 * PAGE_SIZE + 1 },
    (_, index) => `topic ${index} ${index % 2 ? "Odd" : "even"}`,
  );

  async function looking() {
    const { cache, clock, provider } = openTestCache();
    for (const topic of topics) await cache.wrap(ask(topic), provider.answer);
    return { cache, clock, signal };
  }

  it("goes through all requests, a page at a time", async () => {
    const look = await looking();
    const keys = new Set<string>();
    for (
      const [from, length, hasMore] of [[0, PAGE_SIZE, true], [PAGE_SIZE, PAGE_SIZE, true], [
        2 * PAGE_SIZE,
        1,
        false,
      ]] as const
    ) {
      const page = await readPage(look, { ...everything, from });
      assert.deepEqual([page.requests.length, page.hasMore, page.isCut], [length, hasMore, false]);
      for (const { key } of page.requests) keys.add(key);
    }
    assert.equal(keys.size, topics.length);
  });

  it("finds a text in whatever case, in a model", async () => {
    const look = await looking();
    const { requests } = await readPage(look, { ...everything, text: "oDD" });
    assert.equal(requests.length, PAGE_SIZE);
    assert.deepEqual((await readPage(look, { ...everything, model: "another" })).requests, []);
    assert.deepEqual((await readPage(look, { ...everything, namespace: "another" })).requests, []);
  });

  it("gives up after many, and says so", async () => {
    const { clock } = openTestCache();
    const request = { key: "", model: "m", namespace: "", provider: "p", endpoint: "e", identity: null, body: {} };
    const cache = {
      async *list(): AsyncGenerator<StoredRequest> {
        for (;;) yield request;
      },
    };
    const page = await readPage({ cache, clock, signal }, { ...everything, text: "nowhere" });
    assert.deepEqual(page, { requests: [], hasMore: false, isCut: true });
    assert.ok(MOST_READ < 1e6);
  });

  it("stops when nobody waits for it any more", async () => {
    const over = new AbortController();
    let now = 0;
    const { clock } = openTestCache();
    const hurried = { ...clock, monotonic: () => now += 10, afterTurn: (run: () => void) => void setTimeout(run) };
    const cache = {
      async *list(): AsyncGenerator<StoredRequest> {
        for (let index = 0;; index++) {
          if (index === 3) over.abort(new Error("gone"));
          yield { key: "", model: "m", namespace: "", provider: "p", endpoint: "e", identity: null, body: {} };
        }
      },
    };
    const looking = { cache, clock: hurried as never, signal: over.signal };
    await assert.rejects(readPage(looking, { ...everything, text: "nowhere" }), /gone/);
  });
});

describe("findRequest", () => {
  it("finds a request by its key where it is looked for", async () => {
    const { cache, clock, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    const { key } = await cache.explain(ask("cats"));
    const look = { cache, clock, signal };
    const place = { model: undefined, namespace: undefined };
    assert.deepEqual((await findRequest(look, key!, place))!.body, ask("cats"));
    assert.equal(await findRequest(look, key!, { ...place, namespace: "another" }), undefined);
    assert.equal(await findRequest(look, "0".repeat(64), place), undefined);
  });
});
