import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PruneOptions, ResponseCache } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import type { Outcome } from "../../src/store/store.ts";
import { gate } from "../support/gate.ts";
import { ask, openTestCache, saidBy } from "./support.ts";

/** Which of these topics are stored. */
async function storedOf(cache: ResponseCache, topics: readonly string[], scope: object = {}): Promise<string[]> {
  const entries = await cache.getMany(topics.map((topic) => ask(topic)), scope);
  return topics.filter((_, index) => entries[index] !== undefined);
}

describe("ResponseCache.delete", () => {
  it("removes all samples of one request, and nothing else", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats", { n: 3 }), provider.answer);
    await cache.wrap(ask("dogs"), provider.answer);
    const removed = await cache.delete(ask("cats"));
    assert.equal(removed.entries, 3);
    assert.ok(removed.storedBytes > 0);
    assert.deepEqual(await storedOf(cache, ["cats", "dogs"]), ["dogs"]);
    assert.deepEqual(await cache.delete(ask("cats")), { entries: 0, storedBytes: 0 });
  });

  it("minds the scope", async () => {
    const { cache, provider } = openTestCache();
    for (const namespace of ["a", "b"]) await cache.wrap(ask("cats"), provider.answer, { namespace });
    assert.equal((await cache.delete(ask("cats"))).entries, 0);
    assert.equal((await cache.delete(ask("cats"), { namespace: "a" })).entries, 1);
    assert.deepEqual(await storedOf(cache, ["cats"], { namespace: "b" }), ["cats"]);
  });

  it("does not touch what is being bought meanwhile", async () => {
    const { cache, provider } = openTestCache();
    const door = gate();
    const asked = cache.wrap(ask("cats"), async (body) => {
      await door.pass();
      return await provider.answer(body);
    });
    await door.reached;
    await cache.delete(ask("cats"));
    door.open();
    await asked;
    assert.ok(await cache.get(ask("cats")));
  });

  it("refuses what has no key, and options it does not have", async () => {
    const { cache } = openTestCache();
    await assert.rejects(cache.delete({ model: "m", x: NaN }), TypeError);
    await assert.rejects(cache.delete(ask("cats"), { mode: "off" } as object), /mode/);
    const conversation = { model: "m", conversation: "c" };
    assert.equal((await cache.delete(conversation, { endpoint: "/v1/responses" })).entries, 0);
  });
});

describe("ResponseCache.clear", () => {
  it("removes what is in its namespace and in no other, however alike the names", async () => {
    const names = ["a", "ab", "A", "", "a%", "a_", "a\0", "a/b"];
    for (const cleared of names) {
      const { cache, provider } = openTestCache();
      for (const namespace of names) await cache.wrap(ask("cats"), provider.answer, { namespace });
      assert.equal((await cache.clear(cleared)).entries, 1);
      for (const namespace of names) {
        const expected = namespace === cleared ? [] : ["cats"];
        assert.deepEqual(await storedOf(cache, ["cats"], { namespace }), expected, `${cleared} | ${namespace}`);
      }
    }
  });

  it("takes the cache's own namespace where none is named", async () => {
    const { cache, provider } = openTestCache({ namespace: "mine" });
    await cache.wrap(ask("cats"), provider.answer);
    await cache.wrap(ask("cats"), provider.answer, { namespace: "" });
    assert.equal((await cache.clear()).entries, 1);
    assert.deepEqual(await storedOf(cache, ["cats"], { namespace: "" }), ["cats"]);
  });

  it("refuses a namespace that is no string", async () => {
    const { cache } = openTestCache();
    for (const namespace of [null, 1, {}]) await assert.rejects(cache.clear(namespace as string), TypeError);
  });
});

describe("ResponseCache.invalidateTag", () => {
  it("removes what has the tag, in its namespace", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer, { tags: ["run 1", "animals"] });
    await cache.wrap(ask("dogs"), provider.answer, { tags: ["run 2", "animals"] });
    await cache.wrap(ask("cars"), provider.answer);
    await cache.put(ask("birds"), provider.choices(1), { tags: ["run 1"] });
    await cache.wrap(ask("cats"), provider.answer, { tags: ["run 1"], namespace: "b" });
    assert.equal((await cache.invalidateTag("run")).entries, 0);
    assert.equal((await cache.invalidateTag("run 1")).entries, 2);
    assert.deepEqual(await storedOf(cache, ["cats", "dogs", "cars", "birds"]), ["dogs", "cars"]);
    assert.deepEqual(await storedOf(cache, ["cats"], { namespace: "b" }), ["cats"]);
    assert.equal((await cache.invalidateTag("run 1", "b")).entries, 1);
  });

  it("knows the tags of every call that stored something", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer, { tags: ["one"] });
    await cache.wrap(ask("cats", { n: 2 }), provider.answer, { tags: ["two"] });
    assert.equal((await cache.invalidateTag("one")).entries, 2);
  });

  it("refuses what is no word", async () => {
    const { cache, provider } = openTestCache();
    for (const tag of ["", null, undefined, 7]) await assert.rejects(cache.invalidateTag(tag as string), TypeError);
    await assert.rejects(cache.invalidateTag("a", null as unknown as string), TypeError);
    for (const tags of ["a", [""], [1], null]) {
      await assert.rejects(cache.wrap(ask("cats"), provider.answer, { tags: tags as string[] }), /tags/);
    }
    assert.equal(provider.calls.length, 0);
  });
});

describe("ResponseCache.prune", () => {
  it("removes what fits all that is said", async () => {
    const fits: [PruneOptions, left: string[]][] = [
      [{}, []],
      [{ olderThan: 999 }, ["dogs", "cars"]],
      [{ olderThan: 1000 }, ["cats", "dogs", "cars"]],
      [{ olderThan: 0 }, ["cars"]],
      [{ model: "other" }, ["cats", "dogs"]],
      [{ model: "oth" }, ["cats", "dogs", "cars"]],
      [{ namespace: "" }, []],
      [{ namespace: "b" }, ["cats", "dogs", "cars"]],
      [{ outcome: "length" }, ["cats", "cars"]],
      [{ tag: "old" }, ["dogs", "cars"]],
      [{ tag: "old", model: "other" }, ["cats", "dogs", "cars"]],
      [{ olderThan: 1, outcome: "length" }, ["cats", "cars"]],
    ];
    for (const [options, left] of fits) {
      const { cache, provider, clock } = openTestCache();
      await cache.put(ask("cats"), provider.choices(1), { tags: ["old"] });
      clock.advance(500);
      const cut = provider.choices(1);
      cut.choices[0]!.finish_reason = "length";
      await cache.put(ask("dogs"), cut);
      clock.advance(500);
      await cache.put(ask("cars", { model: "other" }), provider.choices(1));
      await cache.prune(options);
      const entries = await cache.getMany([ask("cats"), ask("dogs"), ask("cars", { model: "other" })]);
      const found = ["cats", "dogs", "cars"].filter((_, index) => entries[index] !== undefined);
      assert.deepEqual(found, left, JSON.stringify(options));
    }
  });

  it("removes some samples of a request, and leaves the others", async () => {
    const { cache, provider, clock } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    clock.advance(1000);
    await cache.wrap(ask("cats", { n: 2 }), provider.answer);
    assert.equal((await cache.prune({ olderThan: 1 })).entries, 1);
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 2"]);
  });

  it("refuses what means nothing, before it means everything", async () => {
    const { cache, provider } = openTestCache();
    await cache.put(ask("cats"), provider.choices(1));
    const wrong: object[] = [
      { olderThan: undefined },
      { olderThan: -1 },
      { olderThan: NaN },
      { olderThan: "1000" },
      { model: undefined },
      { namespace: null },
      { tag: 7 },
      { outcome: "finished" as Outcome },
      { outcome: undefined },
      { older: 1000 },
    ];
    for (const options of wrong) await assert.rejects(cache.prune(options), /Cannot/, JSON.stringify(options));
    assert.ok(await cache.get(ask("cats")));
  });
});

describe("what the store cannot remove", () => {
  it("is the caller's to know", async () => {
    const { cache, store } = openTestCache();
    const failure = new CacheError("unavailable", "the disk is read-only");
    store.remove = () => {
      throw failure;
    };
    for (const removal of [cache.delete(ask("cats")), cache.clear(), cache.prune(), cache.invalidateTag("a")]) {
      await assert.rejects(removal, (error) => error === failure);
    }
  });
});

describe("delete of a request with several inputs", () => {
  const produce = ({ input }: { input: string[] }) =>
    Promise.resolve({
      model: "m",
      data: input.map((_, index) => ({ index, embedding: [index, 0.5] })),
      results: input.map(() => ({ flagged: false })),
    });

  it("removes what is stored of each, and nothing else", async () => {
    const { cache } = openTestCache();
    await cache.wrapEmbeddings({ model: "m", input: ["one", "two", "three"] }, produce);
    const removed = await cache.delete({ model: "m", input: ["one", "two"] }, { endpoint: "/v1/embeddings" });
    assert.equal(removed.entries, 2);
    assert.equal((await cache.stats()).store.entries, 1);
  });

  it("removes what was stored of moderations as a whole, too", async () => {
    const { cache } = openTestCache();
    const body = { model: "m", input: ["one", "two"] };
    const scope = { endpoint: "/v1/moderations" };
    await cache.wrapModerations(body, produce);
    await cache.wrap(body, produce, scope);
    assert.equal((await cache.stats()).store.entries, 3);
    assert.equal((await cache.delete(body, scope)).entries, 3);
  });
});
