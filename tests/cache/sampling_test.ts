import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { CacheError } from "../../src/store/error.ts";
import { gate } from "../support/gate.ts";
import { passTime, settled, SharedMemory } from "./shared_memory.ts";
import { ask, type ChatAnswer, openTestCache, type Provider, saidBy } from "./support.ts";

/** Gives every sample a text of its own, and remembers how many it was asked for at a time. */
class Sampler {
  readonly counts: number[] = [];
  readonly #provider: Provider;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  readonly produce = (count: number): Promise<ChatAnswer[]> => {
    this.counts.push(count);
    return Promise.resolve(Array.from({ length: count }, () => this.#provider.choices(1)));
  };
}

/** A cache with a sampler on its provider. */
function openSampler(...options: Parameters<typeof openTestCache>) {
  const opened = openTestCache(...options);
  return { ...opened, sampler: new Sampler(opened.provider) };
}

const said = (samples: readonly unknown[]): string[] => samples.flatMap(saidBy);
/** `text 1`, `text 2`, … as the provider says it. */
const texts = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `text ${from + index}`);
const isInsufficient = (error: unknown): boolean =>
  error instanceof CacheError && error.code === "insufficient_samples";
/** What a test with `isValid` takes for an answer. */
const isEven = (answer: JsonObject): boolean => Number(saidBy(answer)[0]!.slice(5)) % 2 === 0;
const diskFull = (): never => {
  throw new CacheError("unavailable", "Cannot write: the disk is full");
};

describe("ResponseCache.wrapSamples", () => {
  it("buys samples once, and finds them again in their order", async () => {
    const { cache, sampler } = openSampler();
    const bought = await cache.wrapSamples(ask("cats"), 5, sampler.produce);
    assert.deepEqual(said(bought), texts(1, 5));
    assert.deepEqual(await cache.wrapSamples(ask("cats"), 5, sampler.produce), bought);
    assert.deepEqual(sampler.counts, [5]);
  });

  it("buys only the gap, and reads the first ones for fewer", async () => {
    const { cache, sampler } = openSampler();
    await cache.wrapSamples(ask("cats"), 4, sampler.produce);
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 10, sampler.produce)), texts(1, 10));
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, sampler.produce)), texts(1, 3));
    assert.deepEqual(sampler.counts, [4, 6]);
  });

  it("gives the buyer the very values, and everybody else values of their own", async () => {
    const { cache, provider } = openTestCache();
    const value = provider.choices(1);
    const [bought] = await cache.wrapSamples(ask("cats"), 1, () => Promise.resolve([value]));
    assert.equal(bought, value);
    value.choices.pop();
    const [served] = await cache.wrapSamples(ask("cats"), 1, () => Promise.resolve([value]));
    assert.deepEqual(saidBy(served), ["text 1"]);
  });

  it("does not ask the body how many", async () => {
    const { cache, sampler } = openSampler();
    await cache.wrapSamples(ask("cats", { n: 7 }), 2, sampler.produce);
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce)), texts(1, 2));
    assert.deepEqual(sampler.counts, [2]);
  });

  it("shares its samples with wrap, get and put of the same request", async () => {
    const { cache, provider, sampler } = openSampler();
    await cache.wrapSamples(ask("cats"), 2, sampler.produce);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 3 }), provider.answer)), texts(1, 3));
    assert.deepEqual(provider.calls, [ask("cats", { n: 1 })]);
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 4, sampler.produce)), texts(1, 4));
    assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 4 })))?.json()), texts(1, 4));
    await cache.put(ask("cats"), provider.choices(1));
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce)), ["text 5", "text 2"]);
  });

  it("takes several choices in one answer for several samples", async () => {
    const { cache, provider } = openTestCache();
    const produce = (count: number): Promise<ChatAnswer[]> => Promise.resolve([provider.choices(count)]);
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), texts(1, 3));
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), texts(1, 3));
  });

  it("keeps what is more than was asked for", async () => {
    const { cache, sampler } = openSampler();
    const generous = (count: number): Promise<ChatAnswer[]> => sampler.produce(count + 2);
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, generous)), texts(1, 2));
    assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 4, sampler.produce)), texts(1, 4));
    assert.deepEqual(sampler.counts, [4]);
  });

  it("says in its status how all of it fared, and what it cost", async () => {
    const { cache, sampler } = openSampler();
    const status: CacheStatus = {};
    const options = { status, costMicrodollars: 7 };
    await cache.wrapSamples(ask("cats"), 2, sampler.produce, options);
    assert.deepEqual([status.outcome, status.stored, status.shared], ["miss", true, false]);
    assert.deepEqual([status.costMicrodollars, status.billedMicrodollars], [14, 14]);
    await cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
    assert.deepEqual([status.outcome, status.costMicrodollars, status.billedMicrodollars], ["miss", 21, 7]);
    await cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
    assert.deepEqual([status.outcome, status.stored], ["hit", false]);
    assert.deepEqual([status.costMicrodollars, status.billedMicrodollars], [21, 0]);
  });

  describe("whatever the provider's shape", () => {
    const usage = { input_tokens: 3, output_tokens: 1 };
    const cases: [what: string, scope: object, body: object, answer: (text: string) => object][] = [
      [
        "Anthropic messages",
        { provider: "anthropic", endpoint: "/v1/messages" },
        { model: "claude", max_tokens: 9, messages: [] },
        (text) => ({ type: "message", content: [{ type: "text", text }], stop_reason: "end_turn", usage }),
      ],
      [
        "Gemini",
        { provider: "google", endpoint: "/v1beta/models/gemini:generateContent" },
        { contents: [] },
        (text) => ({ candidates: [{ content: { parts: [{ text }] }, finishReason: "STOP" }] }),
      ],
      [
        "responses",
        { endpoint: "/v1/responses" },
        { model: "gpt", input: "cats" },
        (text) => ({
          object: "response",
          status: "completed",
          output: [{ type: "message", content: [{ type: "output_text", text }] }],
        }),
      ],
      [
        "moderations",
        { endpoint: "/v1/moderations" },
        { model: "omni", input: "cats" },
        (text) => ({ id: text, model: "omni", results: [{ flagged: false }] }),
      ],
      ["any other JSON", { endpoint: "/v1/other" }, { model: "m" }, (text) => ({ text })],
      ["lists", { endpoint: "/v1/other" }, { model: "m" }, (text) => [text]],
    ];
    for (const [what, scope, body, answer] of cases) {
      it(`keeps each answer as one sample: ${what}`, async () => {
        const { cache } = openTestCache();
        let said = 0;
        const produce = (count: number): Promise<object[]> =>
          Promise.resolve(Array.from({ length: count }, () => answer(`text ${++said}`)));
        await cache.wrapSamples(body, 2, produce, scope);
        const all = await cache.wrapSamples(body, 3, produce, scope);
        assert.deepEqual(all, texts(1, 3).map(answer));
        assert.deepEqual(await cache.wrapSamples(body, 3, produce, scope), all);
        assert.equal(said, 3);
        assert.deepEqual((await cache.get(body, scope))?.json(), answer("text 1"));
      });
    }

    it("takes the choices for all prompts of a completion for one sample", async () => {
      const { cache } = openTestCache();
      const scope = { endpoint: "/v1/completions" };
      const body = { model: "davinci", prompt: ["one", "two"] };
      let said = 0;
      const answer = (): object => ({
        choices: [0, 1].map((index) => ({ index, text: `text ${++said}`, finish_reason: "stop" })),
      });
      const produce = (count: number): Promise<object[]> => Promise.resolve(Array.from({ length: count }, answer));
      const bought = await cache.wrapSamples(body, 2, produce, scope);
      assert.equal(bought.length, 2);
      assert.deepEqual(await cache.wrapSamples(body, 2, produce, scope), bought);
      assert.equal(said, 4);
    });

    it("does not keep an answer that leaves out a prompt, but keeps those beside it", async () => {
      const { cache } = openTestCache();
      const scope = { endpoint: "/v1/completions" };
      const body = { model: "davinci", prompt: ["one", "two"] };
      const whole = { choices: [0, 1].map((index) => ({ index, text: `text ${index}`, finish_reason: "stop" })) };
      const half = { choices: whole.choices.slice(1) };
      const produce = (): Promise<object[]> => Promise.resolve([half, whole]);
      assert.deepEqual(await cache.wrapSamples(body, 2, produce, { ...scope, insufficient: "pad" }), [whole, half]);
      assert.deepEqual((await cache.get(body, scope))?.json(), whole);
      assert.equal((await cache.stats()).store.entries, 1);
    });
  });

  describe("with a seed", () => {
    it("asks for all anew where some are missing, and puts them in the place of what was there", async () => {
      const { cache, sampler } = openSampler();
      const body = ask("cats", { seed: 1 });
      await cache.wrapSamples(body, 2, sampler.produce);
      assert.deepEqual(said(await cache.wrapSamples(body, 3, sampler.produce)), texts(3, 5));
      assert.deepEqual(said(await cache.wrapSamples(body, 3, sampler.produce)), texts(3, 5));
      assert.deepEqual(sampler.counts, [2, 3]);
      assert.equal((await cache.stats()).store.entries, 3);
    });

    it("never mixes the samples of two calls", async () => {
      const { cache, sampler } = openSampler();
      const body = ask("cats", { seed: 1 });
      const options = { isValid: (answer: JsonObject) => saidBy(answer)[0] !== "text 2" };
      assert.deepEqual(said(await cache.wrapSamples(body, 3, sampler.produce, options)), texts(4, 6));
      assert.deepEqual(sampler.counts, [3, 3]);
      assert.deepEqual(said(await cache.wrapSamples(body, 3, sampler.produce)), texts(4, 6));
    });

    it("knows a seed by the name that others have for it", async () => {
      const { cache, sampler } = openSampler();
      const bodies: [object, object][] = [
        [{ contents: [], generationConfig: { seed: 1 } }, {
          provider: "google",
          endpoint: "/models/g:generateContent",
        }],
        [{ model: "mistral", messages: [], random_seed: 1 }, {}],
        [{ model: "llama", prompt: "", options: { seed: 1 } }, { endpoint: "/api/generate" }],
      ];
      for (const [body, scope] of bodies) {
        await cache.wrapSamples(body, 1, sampler.produce, scope);
        await cache.wrapSamples(body, 2, sampler.produce, scope);
        assert.deepEqual(sampler.counts.splice(0), [1, 2]);
      }
    });
  });

  describe("at the same time", () => {
    it("makes one call for all who want the same", async () => {
      const { cache, sampler } = openSampler();
      const status: CacheStatus = {};
      const all = await Promise.all([
        cache.wrapSamples(ask("cats"), 3, sampler.produce),
        cache.wrapSamples(ask("cats"), 3, sampler.produce, { status, costMicrodollars: 1 }),
      ]);
      assert.deepEqual(all.map(said), [texts(1, 3), texts(1, 3)]);
      assert.deepEqual(sampler.counts, [3]);
      assert.deepEqual([status.shared, status.billedMicrodollars], [true, 0]);
    });

    it("buys the rest for whoever wants more", async () => {
      const { cache, sampler } = openSampler();
      const all = await Promise.all(
        [2, 5, 3, 5].map((n) => cache.wrapSamples(ask("cats"), n, sampler.produce)),
      );
      assert.deepEqual(all.map(said), [texts(1, 2), texts(1, 5), texts(1, 3), texts(1, 5)]);
      assert.deepEqual(sampler.counts, [2, 3]);
    });

    it("answers wrap of the same request with its samples, and the other way", async () => {
      const { cache, provider, sampler } = openSampler();
      const [samples, answer] = await Promise.all([
        cache.wrapSamples(ask("cats"), 3, sampler.produce),
        cache.wrap(ask("cats", { n: 3 }), provider.answer),
      ]);
      assert.deepEqual(said(samples), saidBy(answer));
      const [other, more] = await Promise.all([
        cache.wrap(ask("dogs", { n: 2 }), provider.answer),
        cache.wrapSamples(ask("dogs"), 2, sampler.produce),
      ]);
      assert.deepEqual(saidBy(other), said(more));
      assert.deepEqual([sampler.counts, provider.calls.length], [[3], 1]);
    });

    it("loses and collapses nothing where two caches write to one store", async () => {
      const shared = new SharedMemory();
      const [one, two] = [shared.open({ claimDuration: 0 }), shared.open({ claimDuration: 0 })];
      const meet = gate();
      const produce = (who: string) => async (count: number): Promise<object[]> => {
        await meet.pass();
        return Array.from({ length: count }, (_, index) => ({ id: `${who} ${index}` }));
      };
      const body = { model: "m" };
      const both = [one, two].map(({ cache }, index) => cache.wrapSamples(body, 5, produce(`${index}`)));
      await meet.reached;
      await settled();
      meet.open();
      const bought = (await Promise.all(both)).flat();
      const never = (): Promise<object[]> => Promise.reject(new Error("bought again"));
      const stored = await one.cache.wrapSamples(body, 10, never);
      assert.deepEqual(new Set(stored.map(({ id }: { id?: string }) => id)).size, 10);
      assert.deepEqual(stored.toSorted(byId), bought.toSorted(byId));
      assert.deepEqual(await two.cache.wrapSamples(body, 10, never), stored);
    });

    it("buys once where two caches share claims", async () => {
      const shared = new SharedMemory();
      const [one, two] = [shared.open(), shared.open()];
      const meet = gate();
      const counts: number[] = [];
      const produce = async (count: number): Promise<object[]> => {
        counts.push(count);
        await meet.pass();
        return Array.from({ length: count }, (_, index) => ({ id: `${counts.length} ${index}` }));
      };
      const status: CacheStatus = {};
      const first = one.cache.wrapSamples({ model: "m" }, 3, produce);
      await meet.reached;
      const second = two.cache.wrapSamples({ model: "m" }, 5, produce, { status });
      await settled();
      meet.open();
      const [three, five] = [await first, await passTime(shared.clock, second)];
      assert.deepEqual(five.slice(0, 3), three);
      assert.deepEqual(counts, [3, 2]);
    });
  });

  describe("where some are not valid", () => {
    it("asks again for those that are missing, and only for those", async () => {
      const { cache, sampler } = openSampler();
      const status: CacheStatus = {};
      const options = { isValid: isEven, attempts: 4, status };
      const samples = await cache.wrapSamples(ask("cats"), 4, sampler.produce, options);
      assert.deepEqual(said(samples), ["text 2", "text 4", "text 6", "text 8"]);
      assert.deepEqual(sampler.counts, [4, 2, 1, 1]);
      assert.deepEqual([status.outcome, status.stored], ["miss", true]);
      assert.equal((await cache.stats()).store.entries, 4);
    });

    it("gives up after so many attempts, and keeps what is valid", async () => {
      const { cache, sampler } = openSampler();
      const options = { isValid: (answer: JsonObject) => saidBy(answer)[0] === "text 2", attempts: 2 };
      const failing = cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
      await assert.rejects(failing, (error: CacheError) => {
        assert.match(error.message, /Cannot get 3 valid samples: 1 valid and 4 refused after 2 attempts; those are/);
        assert.equal(error.cause, undefined);
        return isInsufficient(error);
      });
      assert.deepEqual(sampler.counts, [3, 2]);
      assert.deepEqual(saidBy((await cache.get(ask("cats")))?.json()), ["text 2"]);
    });

    it("fails at once with error", async () => {
      const { cache, sampler } = openSampler();
      const options = { isValid: isEven, insufficient: "error" } as const;
      const status: CacheStatus = {};
      const failing = cache.wrapSamples(ask("cats"), 3, sampler.produce, { ...options, status });
      await assert.rejects(failing, isInsufficient);
      assert.deepEqual([status.outcome, status.stored, status.costMicrodollars], ["miss", true, null]);
      assert.deepEqual(sampler.counts, [3]);
    });

    it("returns those there are with continue", async () => {
      const { cache, sampler } = openSampler();
      const options = { isValid: isEven, insufficient: "continue" } as const;
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, sampler.produce, options)), ["text 2"]);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, sampler.produce, options)), ["text 2", "text 4"]);
      const none = { ...options, isValid: () => false };
      assert.deepEqual(await cache.wrapSamples(ask("dogs"), 2, sampler.produce, none), []);
    });

    it("fills up with refused ones with pad, valid ones first, and stores only these", async () => {
      const { cache, sampler } = openSampler();
      const options = { isValid: isEven, insufficient: "pad" } as const;
      const samples = await cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
      assert.deepEqual(said(samples), ["text 2", "text 1", "text 3"]);
      assert.equal((await cache.stats()).store.entries, 1);
      const few = () => Promise.resolve([]);
      await assert.rejects(cache.wrapSamples(ask("dogs"), 3, few, options), isInsufficient);
    });

    it("passes over stored ones that are not valid, and buys others", async () => {
      const { cache, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 4, sampler.produce);
      const samples = await cache.wrapSamples(ask("cats"), 4, sampler.produce, { isValid: isEven });
      assert.deepEqual(said(samples), ["text 2", "text 4", "text 6", "text 8"]);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce)), texts(1, 2));
    });

    it("throws what isValid throws about a stored answer before anything is bought", async () => {
      const { cache, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 1, sampler.produce);
      const isValid = (): never => {
        throw new Error("mistaken");
      };
      await assert.rejects(cache.wrapSamples(ask("cats"), 2, sampler.produce, { isValid }), /mistaken/);
      assert.deepEqual(sampler.counts, [1]);
    });
  });

  describe("when produce gives", () => {
    it("fewer: asks for the rest", async () => {
      const { cache, sampler } = openSampler();
      const stingy = (count: number): Promise<ChatAnswer[]> => sampler.produce(Math.ceil(count / 2));
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 4, stingy)), texts(1, 4));
      assert.deepEqual(sampler.counts, [2, 1, 1]);
    });

    it("none: asks again, then fails; nothing is stored", async () => {
      const { cache, store } = openTestCache();
      let calls = 0;
      const none = (): Promise<object[]> => {
        calls++;
        return Promise.resolve([]);
      };
      await assert.rejects(cache.wrapSamples(ask("cats"), 2, none), isInsufficient);
      assert.deepEqual([calls, store.puts.length], [3, 0]);
    });

    it("no list: says so, with what it gave as the cause", async () => {
      const { cache, provider } = openTestCache();
      const answer = provider.choices(2);
      const produce = (): Promise<ChatAnswer[]> => Promise.resolve(answer as unknown as ChatAnswer[]);
      await assert.rejects(
        cache.wrapSamples(ask("cats"), 2, produce),
        (error: Error) => error instanceof TypeError && /give a list/.test(error.message) && error.cause === answer,
      );
    });

    it("what is no JSON: returns it, stores what is beside it, and asks for no more", async () => {
      const { cache, provider } = openTestCache();
      const odd = { date: new Date(0) };
      let calls = 0;
      const produce = (): Promise<object[]> => {
        calls++;
        return Promise.resolve([odd, provider.choices(1), provider.choices(1)]);
      };
      const samples = await cache.wrapSamples<object>(ask("cats"), 3, produce);
      assert.equal(samples.length, 3);
      assert.equal(samples.includes(odd), true);
      assert.equal(calls, 1);
      assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))?.json()), texts(1, 2));
    });

    it("nothing but what is no JSON: returns it, and says that it is not stored", async () => {
      const { cache } = openTestCache();
      const status: CacheStatus = {};
      const produce = (): Promise<string[]> => Promise.resolve(["one", "two"]);
      assert.deepEqual(await cache.wrapSamples(ask("cats"), 2, produce, { status }), ["one", "two"]);
      assert.deepEqual([status.stored, status.why], [false, "the answer is no plain JSON"]);
    });

    it("null in place of an answer: asks for another one", async () => {
      const { cache, sampler } = openSampler();
      const produce = async (count: number): Promise<(ChatAnswer | null)[]> => {
        const samples = await sampler.produce(count);
        return count === 3 ? [samples[0]!, null, samples[2]!] : samples;
      };
      const samples = await cache.wrapSamples(ask("cats"), 3, produce);
      assert.deepEqual(said(samples), ["text 1", "text 3", "text 4"]);
      assert.deepEqual(sampler.counts, [3, 1]);
    });

    it("a gap in the list: asks for another one", async () => {
      const { cache, sampler } = openSampler();
      const produce = async (count: number): Promise<ChatAnswer[]> => {
        const samples = await sampler.produce(count);
        if (count === 3) delete samples[1];
        return samples;
      };
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), ["text 1", "text 3", "text 4"]);
    });

    it("an error among answers: keeps these, and asks for another one", async () => {
      const { cache, sampler } = openSampler();
      const error = { error: { message: "overloaded" } };
      const produce = async (count: number): Promise<object[]> => {
        const samples = await sampler.produce(count);
        return sampler.counts.length === 1 ? [samples[0]!, error, samples[2]!] : samples;
      };
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), ["text 1", "text 3", "text 4"]);
      assert.deepEqual(sampler.counts, [3, 1]);
    });

    it("an error for the rest: does not forget those that were there", async () => {
      const error = { error: { message: "overloaded" } };
      const produce = (): Promise<object[]> => Promise.resolve([error]);
      for (const insufficient of ["continue", "pad", "error"] as const) {
        const { cache, sampler } = openSampler();
        await cache.wrapSamples(ask("cats"), 2, sampler.produce);
        const samples = cache.wrapSamples<object>(ask("cats"), 3, produce, { insufficient });
        if (insufficient === "error") {
          await assert.rejects(samples, /Cannot get 3 valid samples: 2 valid and 1 refused/);
        } else {
          const rest = insufficient === "pad" ? [error] : [];
          assert.deepEqual((await samples).slice(2), rest);
          assert.deepEqual(said((await samples).slice(0, 2)), texts(1, 2));
        }
        assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))?.json()), texts(1, 2));
      }
    });

    it("promises: waits for all of them", async () => {
      const { cache, provider } = openTestCache();
      const produce = (count: number): Promise<Promise<ChatAnswer>[]> =>
        Promise.resolve(Array.from({ length: count }, () => Promise.resolve(provider.choices(1))));
      const samples: ChatAnswer[] = await cache.wrapSamples(ask("cats"), 3, produce);
      assert.deepEqual(said(samples), texts(1, 3));
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), texts(1, 3));
    });

    it("promises of which some fail: stores the others, then fails as the first of these does", async () => {
      const { cache, provider, sampler } = openSampler();
      const failure = Object.assign(new Error("429"), { status: 429 });
      const produce = (count: number): Promise<Promise<ChatAnswer>[]> =>
        Promise.resolve(Array.from({ length: count }, (_, index) => {
          return index === 1 ? Promise.reject(failure) : Promise.resolve(provider.choices(1));
        }));
      await assert.rejects(cache.wrapSamples(ask("cats"), 3, produce), (error) => error === failure);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, sampler.produce)), texts(1, 3));
      assert.deepEqual(sampler.counts, [1]);
    });

    it("promises that all fail: fails as a call that fails does", async () => {
      const { cache, store } = openTestCache();
      const failure = new Error("no");
      const produce = (): Promise<Promise<object>[]> => Promise.resolve([Promise.reject(failure)]);
      await assert.rejects(cache.wrapSamples(ask("cats"), 1, produce), (error) => error === failure);
      assert.equal(store.puts.length, 0);
      assert.equal((await cache.stats()).failedCalls, 1);
    });

    it("a failure: passes it on, to all who wait for the same", async () => {
      const { cache } = openTestCache();
      const failure = new Error("no");
      let calls = 0;
      const produce = (): Promise<object[]> => {
        calls++;
        throw failure;
      };
      const both = [1, 2].map(() => cache.wrapSamples(ask("cats"), 2, produce));
      for (const { reason } of await Promise.allSettled(both) as PromiseRejectedResult[]) assert.equal(reason, failure);
      assert.equal(calls, 1);
    });
  });

  describe("when they cannot be stored", () => {
    it("returns them all the same", async () => {
      const { cache, store, sampler } = openSampler();
      store.beforePut = diskFull;
      const status: CacheStatus = {};
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, sampler.produce, { status })), texts(1, 3));
      assert.deepEqual([status.stored, (await cache.stats()).failedWrites], [false, 1]);
    });

    it("does not buy those of an earlier round again", async () => {
      const { cache, store, sampler } = openSampler();
      store.beforePut = diskFull;
      const options = { isValid: isEven, attempts: 4 };
      const samples = await cache.wrapSamples(ask("cats"), 4, sampler.produce, options);
      assert.deepEqual(said(samples), ["text 2", "text 4", "text 6", "text 8"]);
      assert.deepEqual(sampler.counts, [4, 2, 1, 1]);
    });

    it("finds those that were stored before, and has those in hand that were not", async () => {
      const { cache, store, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 2, sampler.produce);
      store.beforePut = diskFull;
      const samples = await cache.wrapSamples(ask("cats"), 4, sampler.produce, { isValid: isEven });
      assert.deepEqual(said(samples), ["text 2", "text 4", "text 6", "text 8"]);
      assert.deepEqual(sampler.counts, [2, 3, 2, 1]);
    });

    it("says so when they do not suffice, and has them in the error", async () => {
      const { cache, store, sampler } = openSampler();
      store.beforePut = diskFull;
      const options = { isValid: isEven, insufficient: "error" } as const;
      await assert.rejects(cache.wrapSamples(ask("cats"), 3, sampler.produce, options), (error: CacheError) => {
        assert.match(error.message, /not all of those are stored/);
        assert.deepEqual(said(error.cause as unknown[]), ["text 2"]);
        return isInsufficient(error);
      });
    });

    it("holds on to what the policy does not keep", async () => {
      const { cache, provider } = openTestCache({ policy: { length: "never" } });
      const produce = (count: number): Promise<ChatAnswer[]> => {
        const answers = Array.from({ length: count }, () => provider.choices(1));
        for (const [index, { choices }] of answers.entries()) {
          if (index % 2 === 0) choices[0]!.finish_reason = "length";
        }
        return Promise.resolve(answers);
      };
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 4, produce)).toSorted(), texts(1, 4));
      assert.equal((await cache.stats()).store.entries, 2);
    });
  });

  describe("with empty answers", () => {
    const empty = (answer: ChatAnswer): ChatAnswer => {
      answer.choices[0]!.message.content = "";
      return answer;
    };
    /** The first `count` of those that it makes are empty. */
    const emptyFirst = (sampler: Sampler, count: number) => async (asked: number): Promise<ChatAnswer[]> => {
      const samples = await sampler.produce(asked);
      return samples.map((sample) => --count >= 0 ? empty(sample) : sample);
    };

    it("takes them for no samples by default", async () => {
      const { cache, sampler } = openSampler();
      const samples = await cache.wrapSamples(ask("cats"), 3, emptyFirst(sampler, 2));
      assert.deepEqual(said(samples), ["text 3", "text 4", "text 5"]);
      assert.deepEqual(sampler.counts, [3, 2]);
    });

    it("keeps and serves them where the policy says so", async () => {
      const { cache, sampler } = openSampler({ policy: { empty: "store" } });
      const produce = emptyFirst(sampler, 1);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, produce)), ["", "text 2"]);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, produce)), ["", "text 2"]);
      assert.deepEqual(sampler.counts, [2]);
    });

    it("buys all anew where too many of the stored ones are empty", async () => {
      const { cache, sampler } = openSampler({ policy: { empty: "store" } });
      const produce = emptyFirst(sampler, 2);
      const status: CacheStatus = {};
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), ["", "", "text 3"]);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce, { status })), texts(4, 6));
      assert.deepEqual([status.outcome, status.stored], ["miss", true]);
      assert.match(status.why!, /too many of the stored answers are empty/);
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 3, produce)), texts(4, 6));
      assert.equal((await cache.stats()).store.entries, 3);
    });

    it("has a threshold for that", async () => {
      for (const [emptyThreshold, counts] of [[0, [3, 3]], [0.34, [3]], [1, [3]]] as const) {
        const { cache, sampler } = openSampler({ policy: { empty: "store" } });
        const produce = emptyFirst(sampler, 1);
        await cache.wrapSamples(ask("cats"), 3, produce);
        await cache.wrapSamples(ask("cats"), 3, produce, { emptyThreshold });
        assert.deepEqual(sampler.counts, counts);
      }
    });

    it("buys anew without storing where it may not, and not at all in a replay", async () => {
      const { cache, sampler } = openSampler({ policy: { empty: "store" } });
      const produce = emptyFirst(sampler, 3);
      await cache.wrapSamples(ask("cats"), 3, produce);
      const read = await cache.wrapSamples(ask("cats"), 3, produce, { mode: "read-only" });
      assert.deepEqual(said(read), texts(4, 6));
      const replayed = await cache.wrapSamples(ask("cats"), 3, produce, { mode: "replay" });
      assert.deepEqual(said(replayed), ["", "", ""]);
      assert.deepEqual(sampler.counts, [3, 3]);
    });
  });

  describe("in the mode", () => {
    it("off: buys all, stores nothing, and does not buy twice what is in hand", async () => {
      const { cache, store, sampler } = openSampler();
      const options = { mode: "off", isValid: isEven } as const;
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce, { mode: "off" })), texts(1, 2));
      await cache.wrapSamples(ask("cats"), 2, sampler.produce, options);
      assert.deepEqual([store.puts.length, store.lookups], [0, 0]);
    });

    it("read-only: takes what is there, buys the rest, once, and stores nothing", async () => {
      const { cache, store, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 2, sampler.produce);
      const options = { mode: "read-only", isValid: isEven } as const;
      const samples = await cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
      assert.deepEqual(said(samples), ["text 2", "text 4", "text 6"]);
      assert.deepEqual([sampler.counts, store.puts.length], [[2, 2, 1, 1].slice(0, sampler.counts.length), 1]);
    });

    it("write-only: adds to what is there", async () => {
      const { cache, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 2, sampler.produce);
      const options = { mode: "write-only", isValid: isEven } as const;
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce, options)), ["text 4", "text 6"]);
      assert.deepEqual(sampler.counts, [2, 2, 1, 1].slice(0, sampler.counts.length));
      assert.deepEqual(
        said(await cache.wrapSamples(ask("cats"), 4, sampler.produce)),
        ["text 1", "text 2", "text 4", "text 6"],
      );
    });

    it("refresh: puts what it buys in the place of what is there", async () => {
      const { cache, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 3, sampler.produce);
      const options = { mode: "refresh", isValid: isEven } as const;
      const samples = await cache.wrapSamples(ask("cats"), 3, sampler.produce, options);
      assert.deepEqual(said(samples).slice(0, 2), ["text 4", "text 6"]);
      assert.equal(samples.length, 3);
      const stored = said(await cache.wrapSamples(ask("cats"), 4, sampler.produce));
      assert.deepEqual(stored.slice(0, 3), ["text 4", "text 6", "text 3"]);
      assert.equal(stored[3], said(samples)[2]);
    });

    it("replay: never buys", async () => {
      const { cache, sampler } = openSampler();
      await cache.wrapSamples(ask("cats"), 2, sampler.produce);
      const options = { mode: "replay" } as const;
      assert.deepEqual(said(await cache.wrapSamples(ask("cats"), 2, sampler.produce, options)), texts(1, 2));
      await assert.rejects(
        cache.wrapSamples(ask("cats"), 3, sampler.produce, options),
        (error) => error instanceof CacheError && error.code === "replay_miss",
      );
      assert.deepEqual(sampler.counts, [2]);
    });
  });

  describe("with a signal", () => {
    it("buys nothing when it is aborted before", async () => {
      const { cache, sampler } = openSampler();
      const signal = AbortSignal.abort(new Error("changed my mind"));
      await assert.rejects(cache.wrapSamples(ask("cats"), 2, sampler.produce, { signal }), /changed my mind/);
      assert.deepEqual(sampler.counts, []);
    });

    it("ends the wait, and tells the call that nobody waits", async () => {
      const { cache } = openTestCache();
      const aborter = new AbortController();
      const started = gate();
      const produce = (_: number, { signal }: { signal: AbortSignal }): Promise<object[]> => {
        void started.pass();
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      };
      const samples = cache.wrapSamples(ask("cats"), 2, produce, { signal: aborter.signal });
      await started.reached;
      aborter.abort(new Error("enough"));
      await assert.rejects(samples, /enough/);
    });

    it("stores what comes all the same, and asks for no more", async () => {
      const { cache, sampler } = openSampler();
      const aborter = new AbortController();
      const meet = gate();
      const produce = async (count: number): Promise<ChatAnswer[]> => {
        await meet.pass();
        return await sampler.produce(count);
      };
      const options = { signal: aborter.signal, isValid: isEven };
      const samples = cache.wrapSamples(ask("cats"), 3, produce, options);
      await meet.reached;
      aborter.abort(new Error("enough"));
      await assert.rejects(samples, /enough/);
      meet.open();
      await settled();
      assert.deepEqual(sampler.counts, [3]);
      assert.deepEqual(saidBy((await cache.get(ask("cats")))?.json()), ["text 2"]);
    });
  });

  describe("refuses, before anything is bought,", () => {
    const bad: [what: string, n: unknown, options: object, refusal: typeof TypeError][] = [
      ["no samples", 0, {}, RangeError],
      ["fewer than none", -1, {}, RangeError],
      ["parts of a sample", 1.5, {}, RangeError],
      ["a number that is a text", "3", {}, RangeError],
      ["no number", undefined, {}, RangeError],
      ["no number, also where the cache is not asked", NaN, { mode: "off" }, RangeError],
      ["an option that does not exist", 1, { attempt: 3 }, TypeError],
      ["another word for insufficient", 1, { insufficient: "ignore" }, TypeError],
      ["no attempts", 1, { attempts: 0 }, RangeError],
      ["attempts without end", 1, { attempts: Infinity }, RangeError],
      ["a threshold beyond 1", 1, { emptyThreshold: 1.1 }, RangeError],
      ["a threshold that is no number", 1, { emptyThreshold: "0.5" }, RangeError],
      ["an isValid that is no function", 1, { isValid: true }, TypeError],
    ];
    for (const [what, n, options, refusal] of bad) {
      it(what, async () => {
        const { cache, sampler } = openSampler();
        await assert.rejects(cache.wrapSamples(ask("cats"), n as number, sampler.produce, options), refusal);
        assert.deepEqual(sampler.counts, []);
      });
    }

    it("what is no request, and no function", async () => {
      const { cache, sampler } = openSampler();
      for (const body of [null, "cats", [], { model: "m", temperature: NaN }, { messages: [] }] as object[]) {
        await assert.rejects(cache.wrapSamples(body, 1, sampler.produce), TypeError);
      }
      await assert.rejects(cache.wrapSamples(ask("cats"), 1, [] as never), TypeError);
      assert.deepEqual(sampler.counts, []);
    });
  });

  it("does not keep samples of a request that was changed while it was answered", async () => {
    const { cache, store, sampler } = openSampler();
    const body = { ...ask("cats") };
    const produce = async (count: number): Promise<ChatAnswer[]> => {
      body.model = "another";
      return await sampler.produce(count);
    };
    const status: CacheStatus = {};
    assert.equal((await cache.wrapSamples(body, 2, produce, { status })).length, 2);
    assert.deepEqual([status.stored, store.puts.length], [false, 0]);
    assert.match(status.why!, /changed/);
  });
});

function byId(a: object, b: object): number {
  return (a as { id: string }).id < (b as { id: string }).id ? -1 : 1;
}

describe("samples that are fewer than were asked for", () => {
  it("are no answer for who asked for a whole one meanwhile: he buys the rest", async () => {
    const { cache, provider } = openSampler();
    const asked = gate();
    const few = async (): Promise<ChatAnswer[]> => {
      await asked.pass();
      return [provider.choices(1), provider.choices(1)];
    };
    const samples = cache.wrapSamples(ask("cats"), 5, few, { insufficient: "continue" });
    await settled();
    const whole = cache.wrap(ask("cats", { n: 5 }), provider.answer);
    await settled();
    asked.open();
    assert.equal((await samples).length, 2);
    assert.deepEqual(saidBy(await whole), texts(1, 5));
    assert.deepEqual(provider.calls.map(({ n }) => n), [3]);
  });
});

describe("stored answers of which too many are empty", () => {
  it("count as a miss, and save nothing", async () => {
    const { cache, provider } = openSampler({ policy: { empty: "store" }, priceOf: () => 7 });
    const silent = provider.choices(1);
    silent.choices[0]!.message.content = "";
    await cache.wrapSamples(ask("cats"), 1, () => Promise.resolve([silent]));
    await cache.wrapSamples(ask("cats"), 1, () => Promise.resolve([provider.choices(1)]));
    const { hits, misses, bypassed, saved, spentMicrodollars } = await cache.stats();
    assert.deepEqual([hits, misses, bypassed], [0, 2, 0]);
    assert.deepEqual([saved.costMicrodollars, spentMicrodollars], [0, 14]);
  });
});
