import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { CacheError } from "../../src/store/error.ts";
import { gate } from "../support/gate.ts";
import { passTime, settled, SharedMemory } from "./shared_memory.ts";
import { openTestCache } from "./support.ts";

type Input = string | string[] | number[] | number[][];

interface EmbedRequest {
  readonly model: string;
  readonly input: Input;
  readonly encoding_format?: "float" | "base64";
  readonly dimensions?: number;
  readonly user?: string;
}

interface EmbedAnswer {
  object: string;
  data: { object: string; index: number; embedding: number[] | string }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}

const MODEL = "text-embedding-3-small";

function embed(input: Input, rest: Partial<EmbedRequest> = {}): EmbedRequest {
  return { model: MODEL, input, ...rest };
}

const inputsOf = ({ input }: EmbedRequest): (string | number[])[] =>
  Array.isArray(input) && typeof input[0] !== "number" ? (input as string[]) : [input as string];

/** A vector that tells its text: its length, its first and last byte, and what does not survive binary32. */
function vectorOf(text: string | readonly number[], fraction = 0.1): number[] {
  const units = typeof text === "string" ? [...text].map((character) => character.charCodeAt(0)) : text;
  return [units.length, units[0] ?? 0, units.at(-1) ?? 0, fraction];
}

function base64Of(vector: number[]): string {
  return btoa(String.fromCharCode(...new Uint8Array(new Float32Array(vector).buffer)));
}

/** Answers with a vector for each text, the last one first, 10 tokens for each. */
class Embedder {
  readonly calls: EmbedRequest[] = [];
  model = `${MODEL}-1`;
  fraction = 0.1;

  readonly produce = (body: EmbedRequest): Promise<EmbedAnswer> => {
    this.calls.push(body);
    const texts = inputsOf(body);
    const data = texts.map((text, index) => {
      const vector = vectorOf(text, this.fraction);
      return { object: "embedding", index, embedding: body.encoding_format === "base64" ? base64Of(vector) : vector };
    });
    const tokens = 10 * texts.length;
    return Promise.resolve({
      object: "list",
      data: data.toReversed(),
      model: this.model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
}

function openEmbedder(...options: Parameters<typeof openTestCache>) {
  return { ...openTestCache(...options), embedder: new Embedder() };
}

const vectorsOf = ({ data }: EmbedAnswer): unknown[] => data.map(({ embedding }) => embedding);
const askedOf = ({ calls }: Embedder): unknown[] => calls.map(({ input }) => input);

describe("ResponseCache.wrapEmbeddings", () => {
  it("buys every text once, in whatever company it is asked for", async () => {
    const { cache, embedder } = openEmbedder();
    await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
    const answer = await cache.wrapEmbeddings(embed(["three", "two", "four", "one"]), embedder.produce);
    assert.deepEqual(vectorsOf(answer), ["three", "two", "four", "one"].map((text) => vectorOf(text)));
    assert.deepEqual(answer.data.map(({ index }) => index), [0, 1, 2, 3]);
    assert.deepEqual(askedOf(embedder), [["one", "two"], ["three", "four"]]);
  });

  it("answers as the provider does", async () => {
    const { cache, embedder } = openEmbedder();
    for (let time = 0; time < 2; time++) {
      assert.deepEqual(await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce), {
        object: "list",
        data: [
          { object: "embedding", index: 0, embedding: vectorOf("one") },
          { object: "embedding", index: 1, embedding: vectorOf("two") },
        ],
        model: `${MODEL}-1`,
        usage: { prompt_tokens: 20, total_tokens: 20 },
      });
    }
    assert.equal(embedder.calls.length, 1);
  });

  it("finds every mixture of stored and missing texts its vectors", async () => {
    const texts = ["a", "bb", "ccc", "dddd", "eeeee"];
    for (let mask = 0; mask < 2 ** texts.length; mask++) {
      const { cache, embedder } = openEmbedder();
      const stored = texts.filter((_, index) => (mask & (1 << index)) !== 0);
      if (stored.length > 0) await cache.wrapEmbeddings(embed(stored), embedder.produce);
      embedder.calls.length = 0;
      const asked = [...texts.slice(mask % 5), ...texts, ...texts.slice(0, mask % 3)];
      const answer = await cache.wrapEmbeddings(embed(asked), embedder.produce);
      assert.deepEqual(vectorsOf(answer), asked.map((text) => vectorOf(text)), `mask ${mask}`);
      const missing = new Set(asked.filter((text) => !stored.includes(text)));
      assert.deepEqual(askedOf(embedder), missing.size === 0 ? [] : [[...missing]], `mask ${mask}`);
    }
  });

  it("asks once for a text that appears twice, and stores it", async () => {
    const { cache, embedder } = openEmbedder();
    const answer = await cache.wrapEmbeddings(embed(["one", "one", "two", "one"]), embedder.produce);
    assert.deepEqual(vectorsOf(answer), ["one", "one", "two", "one"].map((text) => vectorOf(text)));
    assert.deepEqual(askedOf(embedder), [["one", "two"]]);
    assert.equal((await cache.stats()).store.entries, 2);
  });

  it("takes a text alone, a list of tokens and lists of tokens", async () => {
    const { cache, embedder } = openEmbedder();
    for (const input of ["one", [1, 2, 3], [[1, 2, 3], [4]], ["one"]] as Input[]) {
      const answer = await cache.wrapEmbeddings(embed(input), embedder.produce);
      assert.deepEqual(vectorsOf(answer), inputsOf(embed(input)).map((text) => vectorOf(text)));
    }
    assert.deepEqual(askedOf(embedder), ["one", [1, 2, 3], [[4]]]);
  });

  it("serves floats to whoever asks for floats, and base64 to whoever asks for that", async () => {
    for (const bought of ["float", "base64"] as const) {
      const { cache, embedder } = openEmbedder();
      embedder.fraction = 0.5;
      await cache.wrapEmbeddings(embed("one", { encoding_format: bought }), embedder.produce);
      const floats = await cache.wrapEmbeddings(embed("one"), embedder.produce);
      const base64 = await cache.wrapEmbeddings(embed("one", { encoding_format: "base64" }), embedder.produce);
      assert.deepEqual(vectorsOf(floats), [vectorOf("one", 0.5)]);
      assert.deepEqual(vectorsOf(base64), [base64Of(vectorOf("one", 0.5))]);
      assert.equal(embedder.calls.length, 1);
    }
  });

  it("loses no digit of a float that binary32 cannot hold", async () => {
    const { cache, embedder } = openEmbedder();
    await cache.wrapEmbeddings(embed("one"), embedder.produce);
    assert.deepEqual(vectorsOf(await cache.wrapEmbeddings(embed("one"), embedder.produce)), [[3, 111, 101, 0.1]]);
  });

  it("takes as many bytes as the numbers need", async () => {
    for (const [fraction, bytes] of [[0.5, 16], [0.1, 32]] as const) {
      const { cache, embedder } = openEmbedder();
      embedder.fraction = fraction;
      await cache.wrapEmbeddings(embed("one"), embedder.produce);
      assert.equal((await cache.stats()).store.bodyBytes, bytes);
    }
  });

  it("keeps models, dimensions and unknown wishes apart, but not users", async () => {
    const { cache, embedder } = openEmbedder();
    const requests = [embed("one"), embed("one", { model: "other" }), embed("one", { dimensions: 4 })];
    requests.push({ ...embed("one"), task: "search" } as EmbedRequest);
    for (const request of requests) await cache.wrapEmbeddings(request, embedder.produce);
    assert.equal(embedder.calls.length, 4);
    await cache.wrapEmbeddings(embed("one", { user: "somebody" }), embedder.produce);
    assert.equal(embedder.calls.length, 4);
  });

  it("is what wrap does for embeddings", async () => {
    const { cache, embedder } = openEmbedder();
    await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
    const answer = await cache.wrap(embed(["two", "one"]), embedder.produce, { endpoint: "/v1/embeddings" });
    assert.deepEqual(vectorsOf(answer), ["two", "one"].map((text) => vectorOf(text)));
    assert.equal(embedder.calls.length, 1);
  });

  it("keeps what wrapMany and wrapEntry buy of embeddings out of the cache", async () => {
    const { cache, store, embedder } = openEmbedder();
    const scope = { endpoint: "/v1/embeddings" };
    const status: CacheStatus = {};
    await cache.wrapEntry(embed("one"), embedder.produce, { ...scope, status });
    const produce = (missing: readonly EmbedRequest[]) => Promise.resolve(missing.map(embedder.produce));
    await cache.wrapMany([embed("one")], produce, scope);
    assert.deepEqual([status.outcome, store.puts.length], ["bypass", 0]);
    await cache.wrapEmbeddings(embed("one"), embedder.produce);
    assert.equal(await cache.get(embed("one"), { ...scope, status }), undefined);
    assert.deepEqual([status.outcome, status.why], ["bypass", "embeddings are not cached as whole answers"]);
  });

  describe("counts", () => {
    it("each text as a lookup, with its part of the tokens", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      await cache.wrapEmbeddings(embed(["one", "two", "three", "one"]), embedder.produce);
      const { lookups, hits, misses, writes, saved } = await cache.stats();
      assert.deepEqual({ lookups, hits, misses, writes }, { lookups: 5, hits: 2, misses: 3, writes: 3 });
      assert.equal(saved.promptTokens, 20);
    });

    it("what was used and paid, so that the parts add up", async () => {
      const { cache, embedder } = openEmbedder({ priceOf: ({ usage }) => usage.inputTokens * 0.5 });
      const status: CacheStatus = {};
      const texts = ["one", "two two two", "three"];
      await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
      assert.deepEqual([status.costMicrodollars, status.billedMicrodollars], [15, 15]);
      const answer = await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
      assert.deepEqual([status.costMicrodollars, status.billedMicrodollars], [15, 0]);
      assert.equal(answer.usage.prompt_tokens, 30);
      const { saved, spentMicrodollars } = await cache.stats();
      assert.deepEqual([saved.costMicrodollars, saved.promptTokens, spentMicrodollars], [15, 30, 15]);
    });

    it("what the caller says the call cost once, however many texts it was for", async () => {
      const { cache, embedder } = openEmbedder();
      const status: CacheStatus = {};
      const texts = ["aaaa", "bb", "cc"];
      await cache.wrapEmbeddings(embed(texts), embedder.produce, { status, costMicrodollars: 8 });
      assert.deepEqual([status.costMicrodollars, status.billedMicrodollars], [8, 8]);
      await cache.wrapEmbeddings(embed("aaaa"), embedder.produce, { status });
      assert.equal(status.costMicrodollars, 4);
      const asked: unknown[] = [];
      const costMicrodollars = (answer: unknown): number => asked.push(answer);
      await cache.wrapEmbeddings(embed(["d", "e"]), embedder.produce, { status, costMicrodollars });
      assert.deepEqual([status.billedMicrodollars, (asked[0] as EmbedAnswer).data.length], [1, 2]);
      const mistaken = (): never => {
        throw new Error("mistaken");
      };
      await cache.wrapEmbeddings(embed(["f"]), embedder.produce, { status, costMicrodollars: mistaken });
      assert.deepEqual([status.billedMicrodollars, status.stored], [null, true]);
    });
  });

  it("says in its status what became of all texts together", async () => {
    const { cache, embedder } = openEmbedder();
    const status: CacheStatus = {};
    const texts = ["one", "two"];
    await cache.wrapEmbeddings(embed("one"), embedder.produce, { status });
    assert.deepEqual([status.outcome, status.stored, status.shared], ["miss", true, false]);
    await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
    assert.deepEqual([status.outcome, status.stored], ["miss", true]);
    await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
    assert.deepEqual([status.outcome, status.stored], ["hit", false]);
  });

  describe("when another model answers to the name", () => {
    it("buys all of it anew, and never mixes vectors of two models", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      embedder.model = `${MODEL}-2`;
      embedder.fraction = 0.7;
      const status: CacheStatus = {};
      const answer = await cache.wrapEmbeddings(embed(["one", "three"]), embedder.produce, {
        status,
        costMicrodollars: 4,
      });
      assert.deepEqual(vectorsOf(answer), ["one", "three"].map((text) => vectorOf(text, 0.7)));
      assert.equal(answer.model, `${MODEL}-2`);
      assert.deepEqual(askedOf(embedder), [["one", "two"], ["three"], ["one", "three"]]);
      assert.deepEqual([status.outcome, status.costMicrodollars, status.billedMicrodollars], ["miss", 4, 8]);
      assert.match(status.why!, /different models/);
      const again = await cache.wrapEmbeddings(embed(["one", "three"]), embedder.produce);
      assert.deepEqual(vectorsOf(again), vectorsOf(answer));
      assert.equal(embedder.calls.length, 3);
    });

    it("buys nothing in a replay, and stores nothing where it may only read", async () => {
      const { cache, store, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed("one"), embedder.produce);
      embedder.model = `${MODEL}-2`;
      await cache.wrapEmbeddings(embed("two"), embedder.produce);
      await assert.rejects(
        cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce, { mode: "replay" }),
        (error) => error instanceof CacheError && error.code === "replay_miss",
      );
      assert.equal(embedder.calls.length, 2);
      const puts = store.puts.length;
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce, { mode: "read-only" });
      assert.deepEqual([embedder.calls.length, store.puts.length], [3, puts]);
    });

    it("takes what is no vector, put there by something else, for another model's", async () => {
      const { cache, store, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      const { lookup } = store;
      store.lookup = async (model, wants) => {
        const found = await lookup.call(store, model, wants);
        return found.map((each) => ({
          ...each,
          entries: each.entries.map((entry) => ({ ...entry, mediaType: "application/json" })),
        }));
      };
      const answer = await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      assert.deepEqual(vectorsOf(answer), ["one", "two"].map((text) => vectorOf(text)));
      assert.equal(embedder.calls.length, 2);
    });
  });

  describe("when an answer cannot be told apart", () => {
    it("returns it as it is, where it answers all that was asked, and stores nothing", async () => {
      const answers: object[] = [
        { error: { message: "overloaded" } },
        { object: "list", data: [], model: MODEL },
        { data: [{ index: 0, embedding: [1] }, { index: 0, embedding: [2] }] },
        { data: [{ index: 0, embedding: [1] }, { index: 1, embedding: [NaN] }] },
      ];
      for (const faulty of answers) {
        const { cache, store } = openTestCache();
        const status: CacheStatus = {};
        const answer = await cache.wrapEmbeddings(embed(["one", "two"]), () => Promise.resolve(faulty), { status });
        assert.equal(answer, faulty);
        assert.deepEqual([status.outcome, status.stored, store.puts.length], ["miss", false, 0]);
        assert.equal(typeof status.why, "string");
      }
    });

    it("throws, with the answer, where it answers only some", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed("one"), embedder.produce);
      const faulty = { data: [] };
      const failing = cache.wrapEmbeddings(embed(["one", "two"]), () => Promise.resolve(faulty));
      await assert.rejects(
        failing,
        (error: Error) =>
          error instanceof TypeError && /0 embeddings for 1 texts/.test(error.message) && error.cause === faulty,
      );
    });

    it("passes on an error that came for some", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed("one"), embedder.produce);
      const error = { error: { message: "overloaded" } };
      assert.equal(await cache.wrapEmbeddings<object>(embed(["one", "two"]), () => Promise.resolve(error)), error);
    });

    it("gives it to whoever asked, and lets others who want one of its texts ask for themselves", async () => {
      const { cache, embedder } = openEmbedder();
      const faulty = { data: [] };
      const meet = gate();
      const first = cache.wrapEmbeddings<object>(embed(["one", "two"]), async () => {
        await meet.pass();
        return faulty;
      });
      await meet.reached;
      const second = cache.wrapEmbeddings(embed("one"), embedder.produce);
      await settled();
      meet.open();
      assert.equal(await first, faulty);
      assert.deepEqual(vectorsOf(await second), [vectorOf("one")]);
    });
  });

  it("throws what produce throws, untouched, and keeps what was there", async () => {
    const { cache, embedder } = openEmbedder();
    await cache.wrapEmbeddings(embed("one"), embedder.produce);
    const failure = Object.assign(new Error("429"), { status: 429 });
    const status: CacheStatus = {};
    const failing = cache.wrapEmbeddings(embed(["one", "two"]), () => Promise.reject(failure), { status });
    await assert.rejects(failing, (error) => error === failure);
    assert.deepEqual([status.outcome, status.stored], ["miss", false]);
    await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
    assert.deepEqual(askedOf(embedder), ["one", ["two"]]);
  });

  it("returns vectors that cannot be stored", async () => {
    const { cache, store, embedder } = openEmbedder();
    store.beforePut = () => {
      throw new CacheError("unavailable", "Cannot write: the disk is full");
    };
    const status: CacheStatus = {};
    const answer = await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce, { status });
    assert.deepEqual(vectorsOf(answer), ["one", "two"].map((text) => vectorOf(text)));
    assert.deepEqual([status.stored, (await cache.stats()).failedWrites], [false, 2]);
  });

  describe("at the same time", () => {
    it("buys a text once that several ask for", async () => {
      const { cache, embedder } = openEmbedder();
      const lists = [["one", "two"], ["two", "three"], ["three", "one"], ["two"]];
      const answers = await Promise.all(lists.map((list) => cache.wrapEmbeddings(embed(list), embedder.produce)));
      assert.deepEqual(answers.map(vectorsOf), lists.map((list) => list.map((text) => vectorOf(text))));
      assert.deepEqual(askedOf(embedder).flat().toSorted(), ["one", "three", "two"]);
    });

    it("buys a text once that two caches with claims ask for", async () => {
      const shared = new SharedMemory();
      const embedder = new Embedder();
      const both = [["one", "two", "three"], ["three", "two", "one"]].map((list) =>
        shared.open().cache.wrapEmbeddings(embed(list), embedder.produce)
      );
      const [first, second] = await passTime(shared.clock, Promise.all(both)) as [EmbedAnswer, EmbedAnswer];
      assert.deepEqual(vectorsOf(first), vectorsOf(second).toReversed());
      assert.deepEqual(askedOf(embedder).flat().toSorted(), ["one", "three", "two"]);
    });
  });

  describe("in the mode", () => {
    it("off: asks for the very body and stores nothing", async () => {
      const { cache, store, embedder } = openEmbedder();
      const body = embed(["one", "one"]);
      const status: CacheStatus = {};
      await cache.wrapEmbeddings(body, embedder.produce, { mode: "off", status });
      assert.equal(embedder.calls[0], body);
      assert.deepEqual([status.outcome, store.lookups, store.puts.length], ["bypass", 0, 0]);
    });

    it("refresh: asks for all, and replaces", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      embedder.fraction = 0.2;
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce, { mode: "refresh" });
      const answer = await cache.wrapEmbeddings(embed("two"), embedder.produce);
      assert.deepEqual(vectorsOf(answer), [vectorOf("two", 0.2)]);
      assert.equal(embedder.calls.length, 2);
    });

    it("replay: asks for nothing", async () => {
      const { cache, embedder } = openEmbedder();
      await cache.wrapEmbeddings(embed(["one", "two"]), embedder.produce);
      const replay = (list: string[]) => cache.wrapEmbeddings(embed(list), embedder.produce, { mode: "replay" });
      assert.deepEqual(vectorsOf(await replay(["two"])), [vectorOf("two")]);
      const isMiss = (error: unknown): boolean => error instanceof CacheError && error.code === "replay_miss";
      await assert.rejects(replay(["two", "three"]), isMiss);
      assert.equal(embedder.calls.length, 1);
    });
  });

  describe("goes round the cache", () => {
    const odd: [what: string, body: object][] = [
      ["with an input that does not divide", { model: MODEL, input: [{ type: "text", text: "one" }] }],
      ["with an empty list", { model: MODEL, input: [] }],
      ["for vectors of another form", { model: MODEL, input: "one", encoding_format: "int8" }],
    ];
    for (const [what, body] of odd) {
      it(what, async () => {
        const { cache, store } = openTestCache();
        const status: CacheStatus = {};
        const answer = { data: [] };
        const asked: unknown[] = [];
        const produce = (body: object): Promise<object> => {
          asked.push(body);
          return Promise.resolve(answer);
        };
        assert.equal(await cache.wrapEmbeddings(body, produce, { status }), answer);
        assert.equal(asked[0], body);
        assert.deepEqual([status.outcome, status.stored, store.puts.length], ["bypass", false, 0]);
        assert.match(status.why!, /cannot be told apart/);
      });
    }
  });

  it("does not mind what the caller does to the body meanwhile", async () => {
    const { cache, embedder } = openEmbedder();
    const body = { model: MODEL, input: ["one", "two"] };
    const first = cache.wrapEmbeddings(body, embedder.produce);
    body.input.reverse();
    body.input.push("three");
    body.model = "another";
    const answer = await first;
    assert.deepEqual(vectorsOf(answer), ["one", "two"].map((text) => vectorOf(text)));
    assert.deepEqual(embedder.calls, [embed(["one", "two"])]);
    assert.deepEqual(vectorsOf(await cache.wrapEmbeddings(embed("one"), embedder.produce)), [vectorOf("one")]);
  });

  it("does not store under a list of tokens that was changed while it was answered", async () => {
    const { cache, store, embedder } = openEmbedder();
    const tokens = [1, 2];
    const produce = (body: EmbedRequest): Promise<EmbedAnswer> => {
      tokens.push(3);
      return embedder.produce(body);
    };
    const status: CacheStatus = {};
    await cache.wrapEmbeddings(embed([tokens, [4]]), produce, { status });
    assert.deepEqual([status.stored, store.puts.length], [false, 1]);
  });

  it("serves what has expired, and buys it anew in few calls in the background", async () => {
    const { cache, clock, embedder } = openEmbedder({ ttl: 1000, staleWhileRevalidate: 60_000 });
    const texts = Array.from({ length: 20 }, (_, index) => `text ${index}`);
    await cache.wrapEmbeddings(embed(texts), embedder.produce);
    clock.advance(2000);
    const status: CacheStatus = {};
    await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
    assert.deepEqual([status.outcome, status.expiredServed, status.billedMicrodollars], ["expired", true, 0]);
    await settled();
    assert.equal(embedder.calls.length < 5, true, `${embedder.calls.length} calls`);
    await cache.wrapEmbeddings(embed(texts), embedder.produce, { status });
    assert.equal(status.outcome, "hit");
  });

  it("embeds 2,048 texts in one call, and lets others have their turns meanwhile", async () => {
    const { cache, store, embedder } = openEmbedder();
    const texts = Array.from({ length: 2048 }, (_, index) => `text ${index}`);
    let turns = 0;
    let isOver = false;
    const count = async (): Promise<void> => {
      for (; !isOver; turns++) await settled();
    };
    const counting = count();
    const answer = await cache.wrapEmbeddings(embed(texts), embedder.produce);
    isOver = true;
    await counting;
    assert.deepEqual(vectorsOf(answer), texts.map((text) => vectorOf(text)));
    assert.equal(embedder.calls.length, 1);
    assert.equal(turns > 20, true, `${turns} turns`);
    store.lookups = 0;
    assert.deepEqual(await cache.wrapEmbeddings(embed(texts), embedder.produce), answer);
    assert.equal(store.lookups, 2048 / 256);
  });

  describe("refuses, before anything is bought,", () => {
    const bad: [what: string, body: unknown, options: object][] = [
      ["isValid, which a vector cannot be asked about", embed("one"), { isValid: () => true }],
      ["an endpoint of another kind", embed("one"), { endpoint: "/v1/chat/completions" }],
      ["an endpoint nobody knows", embed("one"), { endpoint: "/v2/embed" }],
      ["what is no request", "one", {}],
      ["nothing", null, {}],
      ["a body without model, where nobody says who is asked", { input: "one" }, {}],
      ["dimensions that are no number", embed("one", { dimensions: NaN }), {}],
      ["half a character", embed(["one", "\ud800"]), {}],
      ["an option that does not exist", embed("one"), { dimension: 3 }],
    ];
    for (const [what, body, options] of bad) {
      it(what, async () => {
        const { cache, embedder } = openEmbedder();
        await assert.rejects(cache.wrapEmbeddings(body as EmbedRequest, embedder.produce, options), TypeError);
        assert.deepEqual(embedder.calls, []);
      });
    }

    it("isValid of wrap too, and what is no function", async () => {
      const { cache, embedder } = openEmbedder();
      const options = { endpoint: "/v1/embeddings", isValid: () => true };
      await assert.rejects(cache.wrap(embed("one"), embedder.produce, options), TypeError);
      await assert.rejects(cache.wrapEmbeddings(embed("one"), "produce" as never), TypeError);
    });
  });
});
