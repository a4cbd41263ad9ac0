import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../src/store/error.ts";
import { pick } from "./pick.ts";
import { ask, openTestCache } from "./support.ts";

describe("ResponseCache.explain", () => {
  it("tells what is stored, and what comes near", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats", { n: 2, temperature: 0 }), provider.answer);
    const hit = await cache.explain(ask("cats", { temperature: 0 }));
    assert.match(hit.key ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(pick(hit, "samples", "failures"), { samples: 2, failures: null });
    const miss = await cache.explain(ask("cats", { temperature: 1 }));
    assert.equal(miss.samples, 0);
    assert.deepEqual(miss.nearest.map(({ key }) => key), [hit.key]);
    assert.deepEqual(miss.nearest[0]!.differences.map(({ path }) => path), ["$.temperature"]);
    assert.match(miss.text, /temperature/);
  });

  it("finds the same request under another model, and says that the model differs", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats", { model: "gpt-4o" }), provider.answer);
    const { nearest } = await cache.explain(ask("cats"));
    assert.deepEqual(nearest[0]?.differences.map(({ path }) => path), ["$.model"]);
  });

  it("tells what is there, but of no use", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000 });
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1000);
    const { samples, unusable } = await cache.explain(ask("cats"));
    assert.deepEqual({ samples, unusable }, { samples: 0, unusable: { expired: true, stale: false, corrupt: false } });
  });

  it("tells why the cache would not be asked", async () => {
    const { cache } = openTestCache();
    const explained = await cache.explain({ model: "m", background: true }, { endpoint: "/v1/responses" });
    assert.deepEqual(pick(explained, "key", "bypass"), { key: null, bypass: "the request runs in the background" });
  });

  it("counts nothing", async () => {
    const { cache } = openTestCache();
    await cache.explain(ask("cats"));
    assert.equal((await cache.stats()).lookups, 0);
  });

  it("refuses what has no key; says so when the store cannot be read", async () => {
    const { cache, store } = openTestCache();
    await assert.rejects(cache.explain({ model: "m", x: 1n }), TypeError);
    await assert.rejects(cache.explain(ask("cats"), { nearest: 3 } as object), /nearest/);
    store.beforeLookup = () => {
      throw new CacheError("unavailable", "the disk is gone");
    };
    await assert.rejects(cache.explain(ask("cats")), { code: "unavailable" });
  });
});

describe("a replay that misses", () => {
  it("is told as one though nobody can say what comes near", async () => {
    const { cache, store, provider } = openTestCache({ mode: "replay" });
    store.nearest = () => {
      throw new CacheError("corrupt", "the index is broken");
    };
    await assert.rejects(cache.wrap(ask("cats"), provider.answer), { code: "replay_miss" });
    await assert.rejects(cache.get(ask("cats")), { code: "replay_miss" });
    assert.equal((await cache.stats()).lastError?.message, "the index is broken");
  });
});

describe("what explain says of the request itself", () => {
  it("is that it is stored, but has expired, or that calls for it failed", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000 });
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1000);
    assert.match((await cache.explain(ask("cats"))).text, /^The request itself is stored, but .* is expired\.$/);
    await assert.rejects(cache.wrap(ask("dogs"), () => Promise.reject(new Error("no dogs"))));
    assert.match((await cache.explain(ask("dogs"))).text, /^Calls for it failed \(1\), at last so: .*no dogs/);
  });

  it("is about the first of several inputs that is not there", async () => {
    const { cache } = openTestCache();
    const embed = (...input: string[]) => ({ model: "m", input });
    const produce = ({ input }: { input: string[] }) =>
      Promise.resolve({ model: "m", data: input.map((_, index) => ({ index, embedding: [index, 0.5] })) });
    await cache.wrapEmbeddings(embed("one", "two"), produce);
    const scope = { endpoint: "/v1/embeddings" };
    const missing = await cache.explain(embed("one", "three", "two"), scope);
    assert.deepEqual([missing.input, missing.samples], [1, 0]);
    assert.deepEqual(missing.nearest[0]?.differences.map(({ path }) => path), ["$.input"]);
    assert.deepEqual((await cache.explain(embed("two", "one"), scope)).samples, 1);
  });
});
