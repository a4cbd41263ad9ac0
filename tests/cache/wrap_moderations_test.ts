import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { CacheError } from "../../src/store/error.ts";
import { openTestCache } from "./support.ts";

interface ModerationRequest {
  readonly model?: string;
  readonly input: unknown;
}

interface ModerationAnswer {
  id: string;
  model: string;
  results: { flagged: boolean; about: string }[];
}

const MODEL = "omni-moderation-latest";
const ENDPOINT = "/v1/moderations";

const moderate = (input: unknown): ModerationRequest => ({ model: MODEL, input });
const textOf = (input: unknown): string => typeof input === "string" ? input : JSON.stringify(input);

/** Answers with a result for each text, which tells the text. */
class Moderator {
  readonly calls: ModerationRequest[] = [];
  model = MODEL;

  readonly produce = (body: ModerationRequest): Promise<ModerationAnswer> => {
    this.calls.push(body);
    const { input } = body;
    const inputs = Array.isArray(input) && typeof input[0] === "string" ? input : [input];
    const results = inputs.map((each) => ({ flagged: textOf(each).includes("bad"), about: textOf(each) }));
    return Promise.resolve({ id: `modr-${this.calls.length}`, model: this.model, results });
  };
}

function openModerator(...options: Parameters<typeof openTestCache>) {
  return { ...openTestCache(...options), moderator: new Moderator() };
}

const aboutOf = ({ results }: ModerationAnswer): string[] => results.map(({ about }) => about);
const askedOf = ({ calls }: Moderator): unknown[] => calls.map(({ input }) => input);

describe("ResponseCache.wrapModerations", () => {
  it("buys every text once, and puts results under their texts", async () => {
    const { cache, moderator } = openModerator();
    await cache.wrapModerations(moderate(["one", "bad"]), moderator.produce);
    const answer = await cache.wrapModerations(moderate(["two", "bad", "two", "one"]), moderator.produce);
    assert.deepEqual(aboutOf(answer), ["two", "bad", "two", "one"]);
    assert.deepEqual(answer.results.map(({ flagged }) => flagged), [false, true, false, false]);
    assert.deepEqual(askedOf(moderator), [["one", "bad"], ["two"]]);
  });

  it("finds every mixture of stored and missing texts its results", async () => {
    const texts = ["a", "b", "c", "d", "e"];
    for (let mask = 0; mask < 2 ** texts.length; mask++) {
      const { cache, moderator } = openModerator();
      const stored = texts.filter((_, index) => (mask & (1 << index)) !== 0);
      if (stored.length > 0) await cache.wrapModerations(moderate(stored), moderator.produce);
      const asked = [...texts.slice(mask % 5), ...texts];
      const answer = await cache.wrapModerations(moderate(asked), moderator.produce);
      assert.deepEqual(aboutOf(answer), asked, `mask ${mask}`);
      assert.deepEqual(askedOf(moderator).flat().toSorted(), texts, `mask ${mask}`);
    }
  });

  it("takes parts that belong together for one input", async () => {
    const { cache, moderator } = openModerator();
    const parts = [{ type: "text", text: "one" }, { type: "image_url", image_url: { url: "https://example.com/a" } }];
    await cache.wrapModerations(moderate(parts), moderator.produce);
    await cache.wrapModerations(moderate(parts), moderator.produce);
    await cache.wrapModerations(moderate(parts.toReversed()), moderator.produce);
    assert.deepEqual(askedOf(moderator), [parts, parts.toReversed()]);
  });

  it("shares the answer to one text with wrap and get", async () => {
    const { cache, moderator } = openModerator();
    await cache.wrapModerations(moderate(["one", "two"]), moderator.produce);
    const scope = { endpoint: ENDPOINT };
    assert.deepEqual(aboutOf(await cache.wrap(moderate("one"), moderator.produce, scope)), ["one"]);
    assert.deepEqual(aboutOf((await cache.get(moderate("two"), scope))?.json() as ModerationAnswer), ["two"]);
    await cache.wrap(moderate("three"), moderator.produce, scope);
    assert.deepEqual(aboutOf(await cache.wrapModerations(moderate(["three"]), moderator.produce)), ["three"]);
    assert.equal(moderator.calls.length, 2);
  });

  it("takes no answer for a text's that somebody put there, but does not have one result", async () => {
    const { cache, moderator } = openModerator();
    await cache.wrapModerations(moderate("two"), moderator.produce);
    for (const results of [[], [{ about: "one" }, { about: "another" }]]) {
      await cache.put(moderate("one"), { id: "odd", model: MODEL, results }, { endpoint: ENDPOINT });
      const answer = await cache.wrapModerations(moderate(["one", "two"]), moderator.produce);
      assert.deepEqual(aboutOf(answer), ["one", "two"]);
    }
    assert.deepEqual(askedOf(moderator), ["two", ["one", "two"], ["one", "two"]]);
  });

  it("works without a model where it is said who is asked", async () => {
    const { cache, moderator } = openModerator();
    for (let time = 0; time < 2; time++) {
      await cache.wrapModerations({ input: "one" }, moderator.produce, { provider: "openai" });
    }
    assert.equal(moderator.calls.length, 1);
  });

  it("asks isValid about each text's answer, stored or not", async () => {
    const { cache, moderator } = openModerator();
    const isValid = (answer: JsonObject): boolean => aboutOf(answer as unknown as ModerationAnswer)[0] !== "bad";
    const options = { isValid };
    const answer = await cache.wrapModerations(moderate(["one", "bad"]), moderator.produce, options);
    assert.deepEqual(aboutOf(answer), ["one", "bad"]);
    await cache.wrapModerations(moderate(["one", "bad"]), moderator.produce, options);
    await cache.wrapModerations(moderate("bad"), moderator.produce);
    await cache.wrapModerations(moderate("bad"), moderator.produce, options);
    assert.deepEqual(askedOf(moderator), [["one", "bad"], ["bad"], "bad", "bad"]);
  });

  it("buys all anew when another model answers to the name", async () => {
    const { cache, moderator } = openModerator();
    await cache.wrapModerations(moderate("one"), moderator.produce);
    moderator.model = "omni-moderation-2";
    const status: CacheStatus = {};
    const answer = await cache.wrapModerations(moderate(["one", "two"]), moderator.produce, { status });
    assert.deepEqual([answer.model, aboutOf(answer)], ["omni-moderation-2", ["one", "two"]]);
    assert.deepEqual(askedOf(moderator), ["one", ["two"], ["one", "two"]]);
    assert.match(status.why!, /different models/);
  });

  describe("when an answer cannot be told apart", () => {
    it("returns it as it is, and stores nothing", async () => {
      const answers: object[] = [
        { error: { message: "overloaded" } },
        { results: [{}] },
        { results: [{}, null] },
        { results: [{ at: new Date(0) }, {}] },
      ];
      for (const faulty of answers) {
        const { cache, store } = openTestCache();
        const status: CacheStatus = {};
        const produce = (): Promise<object> => Promise.resolve(faulty);
        assert.equal(await cache.wrapModerations(moderate(["one", "two"]), produce, { status }), faulty);
        assert.deepEqual([status.stored, store.puts.length], [false, 0]);
      }
    });

    it("throws, with the answer, where it answers only some", async () => {
      const { cache, moderator } = openModerator();
      await cache.wrapModerations(moderate("one"), moderator.produce);
      const faulty = { results: [{}, {}] };
      await assert.rejects(
        cache.wrapModerations(moderate(["one", "two"]), () => Promise.resolve(faulty)),
        (error: Error) => error instanceof TypeError && error.cause === faulty,
      );
    });
  });

  it("replays, and buys nothing then", async () => {
    const { cache, moderator } = openModerator();
    await cache.wrapModerations(moderate(["one", "two"]), moderator.produce);
    const options = { mode: "replay" } as const;
    assert.deepEqual(aboutOf(await cache.wrapModerations(moderate("two"), moderator.produce, options)), ["two"]);
    await assert.rejects(
      cache.wrapModerations(moderate("three"), moderator.produce, options),
      (error) => error instanceof CacheError && error.code === "replay_miss",
    );
    assert.equal(moderator.calls.length, 1);
  });

  it("goes round the cache with an input that does not divide", async () => {
    const { cache, store } = openTestCache();
    const body = moderate(["one", 2]);
    const status: CacheStatus = {};
    const given: unknown[] = [];
    const produce = (body: object): Promise<object> => {
      given.push(body);
      return Promise.resolve({ results: [] });
    };
    await cache.wrapModerations(body, produce, { status });
    assert.equal(given[0], body);
    assert.deepEqual([status.outcome, store.puts.length], ["bypass", 0]);
  });

  it("refuses, before anything is bought, what cannot be asked", async () => {
    const { cache, moderator } = openModerator();
    const bad: [body: unknown, options: object][] = [
      [moderate("one"), { endpoint: "/v1/embeddings" }],
      [moderate("one"), { n: 2 }],
      [{ input: "one" }, {}],
      ["one", {}],
      [moderate(["one", "\udc00"]), {}],
    ];
    for (const [body, options] of bad) {
      await assert.rejects(cache.wrapModerations(body as ModerationRequest, moderator.produce, options), TypeError);
    }
    assert.deepEqual(moderator.calls, []);
  });
});
