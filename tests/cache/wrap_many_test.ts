import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import type { Production } from "../../src/cache/flow/production.ts";
import type { CallContext } from "../../src/runtime/runtime.ts";
import { CacheError } from "../../src/store/error.ts";
import { seededRandom } from "../support/random.ts";
import { gate } from "../support/gate.ts";
import { passTime, settled, SharedMemory } from "./shared_memory.ts";
import { ask, type ChatAnswer, type ChatRequest, openTestCache, saidBy } from "./support.ts";

/** Every answer names its question, so that one under another question shows. */
function answerTo({ messages, n = 1 }: ChatRequest): ChatAnswer {
  const topic = messages[0]!.content;
  return {
    id: `about ${topic}`,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_1",
    choices: Array.from({ length: n }, (_, index) => ({
      index,
      message: { role: "assistant", content: topic },
      finish_reason: "stop",
    })),
    usage: { prompt_tokens: 10, completion_tokens: 5 * n, total_tokens: 10 + 5 * n },
  };
}

const topicOf = ({ messages }: ChatRequest): string => messages[0]!.content;
const topicsOf = (requests: readonly ChatRequest[]): string[] => requests.map(topicOf);

/** Answers every question, and remembers what it was asked. */
class Answerer {
  readonly calls: (readonly ChatRequest[])[] = [];

  readonly produce = (missing: readonly ChatRequest[]): Promise<ChatAnswer[]> => {
    this.calls.push(missing);
    return Promise.resolve(missing.map(answerTo));
  };
}

function openAnswerer(...options: Parameters<typeof openTestCache>) {
  return { ...openTestCache(...options), answerer: new Answerer() };
}

describe("ResponseCache.wrapMany", () => {
  it("asks once for all that is missing, in the order of the requests", async () => {
    const { cache, answerer } = openAnswerer();
    await cache.wrapMany([ask("b")], answerer.produce);
    const answers = await cache.wrapMany([ask("a"), ask("b"), ask("c"), ask("a")], answerer.produce);
    assert.deepEqual(answers.map((answer) => answer.id), ["about a", "about b", "about c", "about a"]);
    assert.deepEqual(answerer.calls.map(topicsOf), [["b"], ["a", "c"]]);
  });

  it("asks for nothing when all is there, and for nothing when nothing is asked", async () => {
    const { cache, answerer } = openAnswerer();
    const requests = [ask("a"), ask("b")];
    const bought = await cache.wrapMany(requests, answerer.produce);
    assert.deepEqual(await cache.wrapMany(requests, answerer.produce), bought);
    assert.deepEqual(await cache.wrapMany([], answerer.produce), []);
    assert.equal(answerer.calls.length, 1);
  });

  it("hands over the very bodies, and with fewer samples where some are there", async () => {
    const { cache, answerer } = openAnswerer();
    const [a, b] = [ask("a"), ask("b", { n: 3 })];
    await cache.wrapMany([ask("b")], answerer.produce);
    const [, answer] = await cache.wrapMany([a, b], answerer.produce);
    assert.equal(answerer.calls[1]![0], a);
    assert.deepEqual(answerer.calls[1]![1], { ...b, n: 2 });
    assert.equal(answer!.choices.length, 3);
  });

  it("gives the buyer the very value, and every duplicate a value of its own", async () => {
    const { cache } = openTestCache();
    const value = answerTo(ask("a"));
    const [first, second, third] = await cache.wrapMany([ask("a"), ask("a"), ask("a")], () => Promise.resolve([value]));
    assert.equal(first, value);
    assert.notEqual(second, value);
    assert.notEqual(third, second);
    assert.deepEqual(second, value);
  });

  it("shares entries with wrap and get", async () => {
    const { cache, provider, answerer } = openAnswerer();
    await cache.wrap(ask("a"), provider.answer);
    const [a] = await cache.wrapMany([ask("a"), ask("b")], answerer.produce);
    assert.deepEqual(saidBy(a), ["text 1"]);
    assert.deepEqual(saidBy((await cache.get(ask("b")))?.json()), ["b"]);
  });

  it("keeps every answer with its question, whatever is stored and in whatever order the answers come", async () => {
    const topics = [..."abcdefgh"];
    for (let mask = 0; mask < 2 ** topics.length; mask++) {
      const random = seededRandom(mask);
      const { cache, answerer } = openAnswerer();
      const isStored = (topic: string): boolean => (mask & (1 << topics.indexOf(topic))) !== 0;
      for (const topic of topics.filter(isStored)) {
        const samples = 1 + Math.floor(random() * 2);
        await cache.put(ask(topic), answerTo(ask(topic, { n: samples })));
      }
      const requests = [...topics, ...topics.filter(() => random() < 0.4)]
        .map((topic) => ({ topic, at: random() }))
        .toSorted((one, other) => one.at - other.at)
        .map(({ topic }) => ask(topic, { n: 1 + Math.floor(random() * 3) }));
      const outOfOrder = async (missing: readonly ChatRequest[]): Promise<Promise<ChatAnswer>[]> => {
        await answerer.produce(missing);
        const answers = missing.map((request) => ({ request, ...Promise.withResolvers<ChatAnswer>(), at: random() }));
        const resolving = async (): Promise<void> => {
          for (const { request, resolve } of answers.toSorted((one, other) => one.at - other.at)) {
            await settled();
            resolve(answerTo(request));
          }
        };
        void resolving();
        return answers.map(({ promise }) => promise);
      };
      const isPromised = random() < 0.2;
      const answers = await cache.wrapMany<ChatAnswer, ChatRequest>(
        requests,
        isPromised ? outOfOrder : answerer.produce,
      );
      const expected = requests.map((request) => Array.from({ length: request.n! }, () => topicOf(request)));
      assert.deepEqual(answers.map(saidBy), expected, `mask ${mask}`);
      const asked = answerer.calls.flatMap(topicsOf);
      assert.equal(new Set(asked).size, asked.length, `mask ${mask}: asked twice`);
      assert.equal(answerer.calls.length <= 1, true, `mask ${mask}: called twice`);
      const entries = await cache.getMany(requests);
      assert.deepEqual(entries.map((entry) => saidBy(entry!.json())), expected, `mask ${mask}: stored`);
      const never = (): Promise<ChatAnswer[]> => Promise.reject(new Error("asked again"));
      assert.deepEqual((await cache.wrapMany(requests, never)).map(saidBy), expected, `mask ${mask}: again`);
    }
  });

  it("answers thousands in one pass for each model, and lets others have their turns meanwhile", async () => {
    const { cache, store, answerer } = openAnswerer();
    const requests = Array.from({ length: 5000 }, (_, index) => ask(`${index}`, { model: `model ${index % 3}` }));
    let turns = 0;
    let isOver = false;
    const count = async (): Promise<void> => {
      for (; !isOver; turns++) await settled();
    };
    const counting = count();
    const answers = await cache.wrapMany(requests, answerer.produce);
    assert.deepEqual(answers.map((answer) => answer.id), requests.map((request) => `about ${topicOf(request)}`));
    assert.deepEqual(answerer.calls.length, 1);
    assert.equal(answerer.calls[0]!.length, 5000);
    assert.equal(turns > 50, true, `${turns} turns`);
    store.lookups = 0;
    const stored = await cache.wrapMany(requests, answerer.produce);
    assert.deepEqual(stored, answers);
    assert.equal(store.lookups, 3 * Math.ceil(5000 / 3 / 256));
    isOver = true;
    await counting;
  });

  it("counts every request, and says of each how it fared", async () => {
    const { cache, answerer } = openAnswerer();
    await cache.wrapMany([ask("a")], answerer.produce);
    const statuses: CacheStatus[] = [];
    await cache.wrapMany([ask("a"), ask("b"), ask("b")], answerer.produce, { statuses, costMicrodollars: 4 });
    assert.deepEqual(statuses.map(({ outcome }) => outcome), ["hit", "miss", "miss"]);
    assert.deepEqual(statuses.map(({ shared }) => shared), [false, false, true]);
    assert.deepEqual(statuses.map(({ billedMicrodollars }) => billedMicrodollars), [0, 4, 0]);
    const { hits, misses, shared, writes, spentMicrodollars } = await cache.stats();
    assert.deepEqual({ hits, misses, shared, writes, spentMicrodollars }, {
      hits: 1,
      misses: 2,
      shared: 1,
      writes: 2,
      spentMicrodollars: 4,
    });
  });

  describe("when produce", () => {
    it("throws: throws that, and fails nobody who was not asked for", async () => {
      const { cache, answerer } = openAnswerer();
      await cache.wrapMany([ask("a")], answerer.produce);
      const failure = new Error("no");
      const statuses: CacheStatus[] = [];
      const failing = cache.wrapMany([ask("a"), ask("b"), ask("c"), ask("b")], () => {
        throw failure;
      }, { statuses });
      await assert.rejects(failing, (error) => error === failure);
      assert.deepEqual(statuses.map(({ outcome, stored }) => [outcome, stored]), [
        ["hit", false],
        ["miss", false],
        ["miss", false],
        ["miss", false],
      ]);
      assert.equal((await cache.wrapMany([ask("b")], answerer.produce)).length, 1);
    });

    it("fails one of many: stores the others before it throws the first failure", async () => {
      const { cache, answerer } = openAnswerer();
      const produce = (missing: readonly ChatRequest[]): Promise<Promise<ChatAnswer>[]> =>
        Promise.resolve(missing.map(async (request) => {
          // The later, the sooner: the first failure is the first request's, not the first one's in time.
          if (topicOf(request) === "b") await settled();
          if ("bd".includes(topicOf(request))) throw new Error(`no ${topicOf(request)}`);
          return answerTo(request);
        }));
      const statuses: CacheStatus[] = [];
      const failing = cache.wrapMany([..."abcde"].map((topic) => ask(topic)), produce, { statuses });
      await assert.rejects(failing, /no b/);
      assert.deepEqual(statuses.map(({ stored }) => stored), [true, false, true, false, true]);
      await cache.wrapMany([..."abcde"].map((topic) => ask(topic)), answerer.produce);
      assert.deepEqual(answerer.calls.map(topicsOf), [["b", "d"]]);
    });

    const wrong: [what: string, answers: (missing: readonly ChatRequest[]) => unknown, found: RegExp][] = [
      ["too few answers", (missing) => missing.slice(1).map(answerTo), /one for each of 2 is needed\): 1 answers/],
      ["too many", (missing) => [...missing, ask("c")].map(answerTo), /3 answers/],
      ["none", () => [], /0 answers/],
      ["no list", (missing) => ({ ...missing.map(answerTo) }), /object/],
      ["nothing", () => undefined, /undefined/],
    ];
    for (const [what, answers, found] of wrong) {
      it(`gives ${what}: does not guess whose they are, and hands back what it gave`, async () => {
        const { cache, store } = openTestCache();
        let given: unknown;
        const produce = (missing: readonly ChatRequest[]) =>
          Promise.resolve(given = answers(missing)) as Promise<never>;
        await assert.rejects(cache.wrapMany([ask("a"), ask("b")], produce), (error: Error) => {
          assert.match(error.message, found);
          return error instanceof TypeError && error.cause === given;
        });
        assert.equal(store.puts.length, 0);
      });
    }

    it("fails for several: does not hold it against any of them, for nobody knows whose fault it is", async () => {
      const { cache, answerer } = openAnswerer();
      const refusal = Object.assign(new Error("one is too long"), { status: 400 });
      await assert.rejects(cache.wrapMany([ask("a"), ask("b")], () => Promise.reject(refusal)), (e) => e === refusal);
      assert.equal((await cache.wrapMany([ask("a")], answerer.produce)).length, 1);
    });

    it("refuses one alone, or one by itself: does not ask for it again at once", async () => {
      const { cache, provider } = openTestCache();
      const refusal = Object.assign(new Error("too long"), { status: 400 });
      await assert.rejects(cache.wrapMany([ask("a")], () => Promise.reject(refusal)));
      await assert.rejects(cache.wrap(ask("a"), provider.answer), /refused as such/);
      const one = (): Promise<Promise<object>[]> =>
        Promise.resolve([Promise.reject(refusal), Promise.resolve(answerTo(ask("c")))]);
      await assert.rejects(cache.wrapMany([ask("b"), ask("c")], one));
      await assert.rejects(cache.wrap(ask("b"), provider.answer), /refused as such/);
    });

    it("gives too many promises of which some fail: leaves no rejection to nobody", async () => {
      const { cache } = openTestCache();
      const produce = (): Promise<Promise<object>[]> =>
        Promise.resolve([Promise.reject(new Error("first")), Promise.reject(new Error("second"))]);
      await assert.rejects(cache.wrapMany([ask("a")], produce), /2 answers/);
      await settled();
    });

    it("gives what is like a promise: asks it once", async () => {
      const { cache } = openTestCache();
      let asked = 0;
      const thenable = {
        then(resolve: (value: object) => void): void {
          asked++;
          resolve(answerTo(ask("a")));
        },
      };
      await cache.wrapMany<object, ChatRequest>([ask("a")], () => Promise.resolve([thenable as PromiseLike<object>]));
      assert.equal(asked, 1);
    });

    it("gives what is no JSON: returns it, and stores what is beside it", async () => {
      const { cache } = openTestCache();
      const odd = { date: new Date(0) };
      const produce = (): Promise<object[]> => Promise.resolve([odd, answerTo(ask("b"))]);
      const statuses: CacheStatus[] = [];
      const answers = await cache.wrapMany([ask("a"), ask("b")], produce, { statuses });
      assert.equal(answers[0], odd);
      assert.deepEqual(statuses.map(({ stored }) => stored), [false, true]);
    });

    it("gives an error, an empty answer or a refused one: returns it, and does not store it", async () => {
      const { cache, store } = openTestCache();
      const empty = { choices: [{ index: 0, message: { content: "" }, finish_reason: "stop" }] };
      const produce = (): Promise<object[]> => Promise.resolve([{ error: {} }, empty, answerTo(ask("c"))]);
      const isValid = (answer: JsonObject): boolean => answer.id !== "about c";
      const answers = await cache.wrapMany([ask("a"), ask("b"), ask("c")], produce, { isValid });
      assert.deepEqual(answers, [{ error: {} }, empty, answerTo(ask("c"))]);
      assert.equal(store.puts.length, 0);
    });

    it("cannot have its answers stored: returns them", async () => {
      const { cache, store, answerer } = openAnswerer();
      store.beforePut = () => {
        throw new CacheError("unavailable", "Cannot write: the disk is full");
      };
      const statuses: CacheStatus[] = [];
      const answers = await cache.wrapMany([ask("a"), ask("b")], answerer.produce, { statuses });
      assert.deepEqual(answers.map((answer) => answer.id), ["about a", "about b"]);
      assert.deepEqual(statuses.map(({ stored }) => stored), [false, false]);
    });
  });

  describe("at the same time as others", () => {
    it("asks for every request once, in whatever order lists overlap", async () => {
      const { cache, answerer } = openAnswerer();
      const lists = ["ab", "ba", "bc", "ca", "abc", "cba"].map((topics) => [...topics].map((topic) => ask(topic)));
      const answers = await Promise.all(lists.map((list) => cache.wrapMany(list, answerer.produce)));
      for (const [index, list] of lists.entries()) {
        assert.deepEqual(
          answers[index]!.map((answer) => answer.id),
          list.map((request) => `about ${topicOf(request)}`),
        );
      }
      assert.deepEqual(answerer.calls.flatMap(topicsOf).toSorted(), ["a", "b", "c"]);
    });

    it("shares with wrap, whoever comes first", async () => {
      const { cache, provider, answerer } = openAnswerer();
      const [first, second] = [gate(), gate()];
      const a = cache.wrap(ask("a"), async (body) => {
        await first.pass();
        return await provider.answer(body);
      });
      await first.reached;
      const many = cache.wrapMany([ask("a"), ask("b")], async (missing) => {
        await second.pass();
        return await answerer.produce(missing);
      });
      await second.reached;
      const b = cache.wrap(ask("b"), provider.answer);
      await settled();
      second.open();
      first.open();
      assert.deepEqual(await many, [await a, await b]);
      assert.deepEqual(answerer.calls.map(topicsOf), [["b"]]);
      assert.deepEqual(topicsOf(provider.calls), ["a"]);
    });

    it("buys only what is missing when somebody else has bought fewer samples meanwhile", async () => {
      const { cache, provider, answerer } = openAnswerer();
      const meet = gate();
      const slow = async (body: ChatRequest): Promise<ChatAnswer> => {
        await meet.pass();
        return await provider.answer(body);
      };
      const two = cache.wrap(ask("a", { n: 2 }), slow);
      await meet.reached;
      const five = cache.wrapMany([ask("a", { n: 5 }), ask("b")], answerer.produce);
      await settled();
      // What nobody else buys is not kept waiting.
      assert.deepEqual(answerer.calls.map(topicsOf), [["b"]]);
      meet.open();
      await two;
      assert.deepEqual(saidBy((await five)[0]), ["text 1", "text 2", "a", "a", "a"]);
      assert.deepEqual(answerer.calls.slice(1), [[ask("a", { n: 3 })]]);
    });

    it("asks together for what others have failed to bring", async () => {
      const { cache, answerer } = openAnswerer();
      const meet = gate();
      const given = new AbortController();
      const hang = async (missing: readonly ChatRequest[], { signal }: { signal: AbortSignal }): Promise<never[]> => {
        await meet.pass();
        signal.throwIfAborted();
        return missing.map(() => assert.fail());
      };
      const requests = [ask("a"), ask("b"), ask("c")];
      const leaving = cache.wrapMany(requests, hang, { signal: given.signal });
      await meet.reached;
      given.abort(new DOMException("enough", "AbortError"));
      await assert.rejects(leaving, /enough/);
      const answers = await cache.wrapMany(requests, answerer.produce);
      meet.open();
      assert.equal(answers.length, 3);
      assert.deepEqual(answerer.calls.map(topicsOf), [["a", "b", "c"]]);
    });

    it("does not deadlock with another cache that claims the same in another order", async () => {
      const shared = new SharedMemory();
      const [one, two] = [shared.open(), shared.open()];
      const [first, second] = [new Answerer(), new Answerer()];
      const forward = [..."abcd"].map((topic) => ask(topic));
      const backward = forward.toReversed();
      const [answers, others] = await passTime(
        shared.clock,
        Promise.all([
          one.cache.wrapMany(forward, first.produce),
          two.cache.wrapMany(backward, second.produce),
        ]),
      );
      assert.deepEqual(others.toReversed(), answers);
      const asked = [...first.calls, ...second.calls].flatMap(topicsOf);
      assert.deepEqual(asked.toSorted(), [..."abcd"]);
    });

    it("goes round the cache for what it is itself producing", async () => {
      const storage = new AsyncLocalStorage<Production>();
      const callContext: CallContext<Production> = {
        run: (value, work) => storage.run(value, work),
        current: () => storage.getStore(),
      };
      const { cache, provider } = openTestCache({ callContext });
      const requests = [..."abc"].map((topic) => ask(topic));
      await cache.wrapMany([ask("c")], (missing) => Promise.resolve(missing.map(answerTo)));
      const nested = (missing: readonly ChatRequest[]): Promise<Promise<ChatAnswer>[]> =>
        Promise.resolve(missing.map(async (request) => {
          await settled();
          return await cache.wrap(request, provider.answer);
        }));
      const answers = await cache.wrapMany(requests, nested);
      assert.deepEqual(answers.map(saidBy).flat().toSorted(), ["c", "text 1", "text 2"]);
      const deeper = (missing: readonly ChatRequest[]): Promise<ChatAnswer[]> => cache.wrapMany(missing, nested);
      assert.equal((await cache.wrapMany([ask("d"), ask("e")], deeper)).length, 2);
    });
  });

  describe("with a signal", () => {
    it("asks for nothing when it is aborted before", async () => {
      const { cache, answerer } = openAnswerer();
      const signal = AbortSignal.abort(new Error("changed my mind"));
      await assert.rejects(cache.wrapMany([ask("a")], answerer.produce, { signal }), /changed my mind/);
      assert.deepEqual(answerer.calls, []);
    });

    it("gives the call up when nobody waits for any of it, and not before", async () => {
      const { cache } = openTestCache();
      const [one, two] = [new AbortController(), new AbortController()];
      const meet = gate();
      let given: AbortSignal | undefined;
      const produce = async (missing: readonly ChatRequest[], context: { signal: AbortSignal }) => {
        given = context.signal;
        await meet.pass();
        return missing.map(answerTo);
      };
      const leaving = cache.wrapMany([ask("a"), ask("b")], produce, { signal: one.signal });
      await meet.reached;
      const staying = cache.wrapMany([ask("b")], produce, { signal: two.signal });
      await settled();
      one.abort(new Error("enough"));
      await assert.rejects(leaving, /enough/);
      assert.equal(given?.aborted, false);
      two.abort(new Error("enough of this too"));
      await assert.rejects(staying, /enough of this too/);
      assert.equal(given?.aborted, true);
      meet.open();
    });
  });

  describe("in the mode", () => {
    it("off: asks for all, duplicates included, and stores nothing", async () => {
      const { cache, store, answerer } = openAnswerer();
      await cache.wrapMany([ask("a"), ask("a")], answerer.produce, { mode: "off" });
      assert.deepEqual(answerer.calls.map(topicsOf), [["a", "a"]]);
      assert.deepEqual([store.lookups, store.puts.length], [0, 0]);
    });

    it("read-only: stores nothing", async () => {
      const { cache, store, answerer } = openAnswerer();
      await cache.wrapMany([ask("a")], answerer.produce);
      await cache.wrapMany([ask("a"), ask("b")], answerer.produce, { mode: "read-only" });
      assert.deepEqual(answerer.calls.map(topicsOf), [["a"], ["b"]]);
      assert.equal(store.puts.length, 1);
    });

    it("refresh: asks for all", async () => {
      const { cache, store, answerer } = openAnswerer();
      await cache.wrapMany([ask("a")], answerer.produce);
      await cache.wrapMany([ask("a"), ask("b")], answerer.produce, { mode: "refresh" });
      assert.deepEqual(answerer.calls.map(topicsOf), [["a"], ["a", "b"]]);
      assert.deepEqual(store.puts.slice(1).map(({ placement }) => placement), ["replace", "replace"]);
    });

    it("replay: asks for nothing", async () => {
      const { cache, answerer } = openAnswerer();
      await cache.wrapMany([ask("a")], answerer.produce);
      const statuses: CacheStatus[] = [];
      await assert.rejects(
        cache.wrapMany([ask("a"), ask("b")], answerer.produce, { mode: "replay", statuses }),
        (error) => error instanceof CacheError && error.code === "replay_miss",
      );
      assert.deepEqual(statuses.map(({ outcome }) => outcome), ["hit", "miss"]);
      assert.equal(answerer.calls.length, 1);
    });
  });

  it("serves what has expired, and buys all of it anew by few calls in the background", async () => {
    const { cache, clock, answerer } = openAnswerer({ ttl: 1000, staleWhileRevalidate: 60_000 });
    const requests = Array.from({ length: 20 }, (_, index) => ask(`${index}`));
    await cache.wrapMany(requests, answerer.produce);
    clock.advance(2000);
    const statuses: CacheStatus[] = [];
    assert.equal((await cache.wrapMany(requests, answerer.produce, { statuses })).length, 20);
    assert.equal(statuses.every(({ expiredServed }) => expiredServed), true);
    await settled();
    const anew = answerer.calls.slice(1);
    assert.deepEqual(topicsOf(anew.flat()).toSorted(), topicsOf(requests).toSorted());
    assert.equal(anew.length < 5, true, `${anew.length} calls`);
    await cache.wrapMany(requests, answerer.produce, { statuses });
    assert.equal(statuses.every(({ outcome }) => outcome === "hit"), true);
  });

  it("asks for what goes round the cache together with what is missing", async () => {
    const { cache, store } = openTestCache();
    const stream = { ...ask("a"), stream: true };
    const calls: unknown[] = [];
    const produce = (missing: readonly object[]): Promise<object[]> => {
      calls.push(missing);
      return Promise.resolve(missing.map((_, index) => ({ id: index })));
    };
    const statuses: CacheStatus[] = [];
    const answers = await cache.wrapMany([stream, ask("b"), stream], produce, { statuses });
    assert.deepEqual(calls, [[stream, ask("b"), stream]]);
    assert.deepEqual(answers, [{ id: 0 }, { id: 1 }, { id: 2 }]);
    assert.deepEqual(statuses.map(({ outcome }) => outcome), ["bypass", "miss", "bypass"]);
    assert.equal(store.puts.length, 1);
  });

  it("refuses a body that was changed while it was looked up, and answers the others", async () => {
    const { cache, store, answerer } = openAnswerer();
    const changing = { ...ask("a") };
    store.beforeLookup = () => {
      changing.temperature = 1;
    };
    const failing = cache.wrapMany([changing, ask("b")], answerer.produce);
    await assert.rejects(failing, /body was changed/);
    assert.deepEqual(answerer.calls.map(topicsOf), [["b"]]);
  });

  it("does not store the answer to a body that was changed while it was answered", async () => {
    const { cache, store } = openTestCache();
    const changing = { ...ask("a") };
    const produce = (missing: readonly ChatRequest[]): Promise<ChatAnswer[]> => {
      changing.temperature = 1;
      return Promise.resolve(missing.map(answerTo));
    };
    const statuses: CacheStatus[] = [];
    await cache.wrapMany([changing, ask("b")], produce, { statuses });
    assert.deepEqual(statuses.map(({ stored }) => stored), [false, true]);
    assert.equal(store.puts.length, 1);
  });

  it("does not mind what becomes of the list meanwhile", async () => {
    const { cache, answerer } = openAnswerer();
    const requests = [ask("a"), ask("b")];
    const answers = cache.wrapMany(requests, answerer.produce);
    requests.reverse();
    requests.push(ask("c"));
    assert.deepEqual((await answers).map((answer) => answer.id), ["about a", "about b"]);
  });

  describe("refuses, before anything is bought,", () => {
    const bad: [what: string, requests: unknown, options: object][] = [
      ["what is no list", { 0: ask("a"), length: 1 }, {}],
      ["nothing", undefined, {}],
      ["a list with what is no request", [ask("a"), null], {}],
      ["a request that cannot be keyed", [ask("a"), ask("b", { temperature: NaN })], {}],
      ["a bad number of samples", [ask("a", { n: 0 })], {}],
      ["a status for all", [ask("a")], { status: {} }],
      ["a reason for all", [ask("a")], { bypass: "because" }],
      ["statuses that are no list", [ask("a")], { statuses: {} }],
      ["an option that does not exist", [ask("a")], { modes: "off" }],
    ];
    for (const [what, requests, options] of bad) {
      it(what, async () => {
        const { cache, answerer } = openAnswerer();
        await assert.rejects(cache.wrapMany(requests as ChatRequest[], answerer.produce, options), TypeError);
        assert.deepEqual(answerer.calls, []);
      });
    }

    it("what is no function", async () => {
      const { cache } = openTestCache();
      await assert.rejects(cache.wrapMany([ask("a")], {} as never), TypeError);
    });
  });
});

describe("ResponseCache.getMany", () => {
  it("keeps the order, with duplicates and gaps, and each with as many samples as it asks for", async () => {
    const { cache } = openTestCache();
    await cache.put(ask("a"), answerTo(ask("a", { n: 3 })));
    await cache.put(ask("b"), answerTo(ask("b")));
    const requests = [ask("b"), ask("c"), ask("a", { n: 3 }), ask("a"), ask("b", { n: 2 }), ask("b")];
    const entries = await cache.getMany(requests);
    assert.deepEqual(entries.map((entry) => entry && saidBy(entry.json())), [
      ["b"],
      undefined,
      ["a", "a", "a"],
      ["a"],
      undefined,
      ["b"],
    ]);
    const { hits, misses } = await cache.stats();
    assert.deepEqual([hits, misses], [4, 2]);
  });

  it("asks the store model by model, a few hundred at a time, and lets others have their turns", async () => {
    const { cache, store } = openTestCache();
    const requests = Array.from({ length: 5000 }, (_, index) => ask(`${index}`, { model: `model ${index % 4}` }));
    for (const request of requests.slice(0, 8)) await cache.put(request, answerTo(request));
    let turns = 0;
    let isOver = false;
    const count = async (): Promise<void> => {
      for (; !isOver; turns++) await settled();
    };
    const counting = count();
    const entries = await cache.getMany(requests);
    isOver = true;
    await counting;
    assert.equal(store.lookups, 4 * Math.ceil(5000 / 4 / 256));
    assert.equal(turns > 20, true, `${turns} turns`);
    assert.equal(entries.length, 5000);
    assert.deepEqual(
      entries.slice(0, 9).map((entry) => entry && saidBy(entry.json())[0]),
      ["0", "1", "2", "3", "4", "5", "6", "7", undefined],
    );
  });

  it("refuses what is no list of requests", async () => {
    const { cache } = openTestCache();
    for (const requests of [undefined, ask("a"), [ask("a"), 1]]) {
      await assert.rejects(cache.getMany(requests as object[]), TypeError);
    }
  });
});
