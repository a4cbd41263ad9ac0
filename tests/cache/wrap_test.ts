import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { Production } from "../../src/cache/flow/production.ts";

import type { CallContext } from "../../src/runtime/runtime.ts";
import { CacheError } from "../../src/store/error.ts";
import { gate } from "../support/gate.ts";
import { pick } from "./pick.ts";
import { ask, type ChatAnswer, type ChatRequest, openTestCache, saidBy } from "./support.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("ResponseCache.wrap", () => {
  it("buys an answer once and serves it after that", async () => {
    const { cache, provider } = openTestCache();
    const bought = await cache.wrap(ask("cats"), provider.answer);
    const served = await cache.wrap(ask("cats"), provider.answer);
    assert.deepEqual(served, bought);
    assert.equal(provider.calls.length, 1);
  });

  it("gives the buyer the very value, and everybody else one of their own", async () => {
    const { cache, provider } = openTestCache();
    const answer = provider.choices(1);
    assert.equal(await cache.wrap(ask("cats"), () => Promise.resolve(answer)), answer);
    const first = await cache.wrap(ask("cats"), provider.answer);
    first.choices.pop();
    assert.deepEqual(await cache.wrap(ask("cats"), provider.answer), answer);
  });

  it("hands produce the very body when all of it is missing", async () => {
    const { cache, provider } = openTestCache();
    const body = ask("cats", { n: 2 });
    await cache.wrap(body, provider.answer);
    assert.equal(provider.calls[0], body);
  });

  it("fills in the status it is given", async () => {
    const { cache, provider } = openTestCache();
    const status: CacheStatus = {};
    await cache.wrap(ask("cats"), provider.answer, { status });
    assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
      outcome: "miss",
      stored: true,
      shared: false,
      why: undefined,
    });
    await cache.wrap(ask("cats"), provider.answer, { status });
    assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
      outcome: "hit",
      stored: false,
      shared: false,
      why: undefined,
    });
  });

  it("rethrows what produce throws, untouched, and stores nothing", async () => {
    const { cache, provider, store } = openTestCache();
    const failure = Object.assign(new Error("429"), { status: 429 });
    const status: CacheStatus = {};
    const failing = cache.wrap(ask("cats"), () => Promise.reject(failure), { status });
    await assert.rejects(failing, (error) => error === failure);
    assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
      outcome: "miss",
      stored: false,
      shared: false,
      why: undefined,
    });
    assert.equal(store.puts.length, 0);
    await assert.rejects(
      cache.wrap(ask("cats"), () => {
        throw failure;
      }),
      (error) => error === failure,
    );
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
  });

  it("keeps requests apart by what is asked of whom", async () => {
    const { cache, provider } = openTestCache();
    const scopes = [{}, { namespace: "b" }, { provider: "b" }, { endpoint: "/b/chat/completions" }, { identity: "b" }];
    for (const scope of scopes) await cache.wrap(ask("cats"), provider.answer, scope);
    await cache.wrap(ask("cats", { model: "gpt-4o" }), provider.answer);
    await cache.wrap(ask("cats", { temperature: 0 }), provider.answer);
    assert.equal(provider.calls.length, scopes.length + 2);
  });

  it("shares entries among requests that mean the same", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap({ model: "m", messages: [], temperature: 0 } as object, () => provider.answer(ask("")));
    const same: object[] = [
      { temperature: -0, messages: [], model: "m" },
      { model: "m", messages: [], temperature: 0, stop: undefined },
      { model: "m", messages: [], temperature: 0, user: "u", metadata: {}, store: true },
      { toJSON: () => ({ model: "m", messages: [], temperature: 0 }) },
    ];
    for (const body of same) await cache.wrap(body, () => provider.answer(ask("")));
    assert.equal(provider.calls.length, 1);
  });

  describe("with n", () => {
    it("reads the first five of twenty", async () => {
      const { cache, provider } = openTestCache();
      const twenty = await cache.wrap(ask("cats", { n: 20 }), provider.answer);
      assert.deepEqual(await cache.wrap(ask("cats", { n: 20 }), provider.answer), twenty);
      const five = await cache.wrap(ask("cats", { n: 5 }), provider.answer);
      assert.deepEqual(saidBy(five), saidBy(twenty).slice(0, 5));
      assert.deepEqual(five.usage, { prompt_tokens: 10, completion_tokens: 25, total_tokens: 35 });
      assert.equal(provider.calls.length, 1);
    });

    it("buys only what is missing, and keeps both", async () => {
      const { cache, provider, store } = openTestCache();
      const ten = await cache.wrap(ask("cats", { n: 10 }), provider.answer);
      const twenty = await cache.wrap(ask("cats", { n: 20 }), provider.answer);
      assert.deepEqual(provider.calls.map(({ n }) => n), [10, 10]);
      assert.deepEqual(saidBy(twenty).slice(0, 10), saidBy(ten));
      assert.equal(new Set(saidBy(twenty)).size, 20);
      assert.deepEqual(twenty.usage, { prompt_tokens: 10, completion_tokens: 100, total_tokens: 110 });
      assert.deepEqual(store.puts.map(({ placement }) => placement), ["append", "append"]);
      assert.deepEqual(await cache.wrap(ask("cats", { n: 20 }), provider.answer), twenty);
      assert.equal(provider.calls.length, 2);
    });

    it("tops up from a request that did not name n", async () => {
      const { cache, provider } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      const body = ask("cats", { n: 2 });
      assert.deepEqual(saidBy(await cache.wrap(body, provider.answer)), ["text 1", "text 2"]);
      assert.deepEqual(provider.calls[1], { ...body, n: 1 });
      assert.equal(body.n, 2, "the caller's body is not touched");
    });

    it("asks for all anew where a seed makes the provider repeat itself, and replaces", async () => {
      const { cache, provider, store } = openTestCache();
      await cache.wrap(ask("cats", { n: 2, seed: 1 }), provider.answer);
      const three = await cache.wrap(ask("cats", { n: 3, seed: 1 }), provider.answer);
      assert.deepEqual(provider.calls.map(({ n }) => n), [2, 3]);
      assert.deepEqual(saidBy(three), ["text 3", "text 4", "text 5"]);
      assert.deepEqual(store.puts.map(({ placement }) => placement), ["replace_all", "replace_all"]);
      assert.deepEqual(await cache.wrap(ask("cats", { n: 3, seed: 1 }), provider.answer), three);
      assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 2, seed: 1 }), provider.answer)), ["text 3", "text 4"]);
    });

    it("returns and stores what came, when fewer came than were asked for", async () => {
      const { cache, provider } = openTestCache();
      const miserly = (): Promise<ChatAnswer> => Promise.resolve(provider.choices(2));
      assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 5 }), miserly)), ["text 1", "text 2"]);
      const topped = await cache.wrap(ask("cats", { n: 5 }), provider.answer);
      assert.equal(provider.calls.at(-1)!.n, 3);
      assert.equal(saidBy(topped).length, 5);
    });

    it("returns no more than was asked for, when a top-up brings more, and stores it", async () => {
      const { cache, provider } = openTestCache();
      await cache.wrap(ask("cats", { n: 2 }), provider.answer);
      const generous = (): Promise<ChatAnswer> => Promise.resolve(provider.choices(4));
      assert.equal(saidBy(await cache.wrap(ask("cats", { n: 3 }), generous)).length, 3);
      assert.equal((await cache.get(ask("cats", { n: 6 })))?.samples, 6);
    });

    it("stores the good ones of several choices", async () => {
      const { cache, provider } = openTestCache();
      const mixed = provider.choices(3);
      mixed.choices[1]!.message.content = "";
      assert.equal(await cache.wrap(ask("cats", { n: 3 }), () => Promise.resolve(mixed)), mixed);
      assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))!.json()), ["text 1", "text 3"]);
      assert.equal(await cache.get(ask("cats", { n: 3 })), undefined);
    });

    it("does not hide an error among the choices that were there", async () => {
      const { cache, provider } = openTestCache();
      await cache.wrap(ask("cats", { n: 2 }), provider.answer);
      const error = { error: { message: "quota" } };
      assert.equal(await cache.wrap<object>(ask("cats", { n: 3 }), () => Promise.resolve(error)), error);
      assert.equal((await cache.get(ask("cats", { n: 2 })))?.samples, 2);
    });

    it("refuses an n that is no positive integer, before anything is bought", async () => {
      const { cache, provider } = openTestCache();
      for (const n of [0, -1, 1.5, "2"]) {
        await assert.rejects(cache.wrap(ask("cats", { n: n as number }), provider.answer), TypeError);
      }
      assert.equal(provider.calls.length, 0);
    });

    it("keeps completions of several prompts with their prompts", async () => {
      const { cache } = openTestCache();
      const scope = { endpoint: "/v1/completions" };
      let round = 0;
      const complete = (body: { prompt: string[]; n: number }) => {
        round++;
        const texts = body.prompt.flatMap((prompt) =>
          Array.from({ length: body.n }, (_, sample) => `${prompt} ${round}.${sample}`)
        );
        return Promise.resolve({ choices: texts.map((text, index) => ({ index, text, finish_reason: "stop" })) });
      };
      const body = (n: number) => ({ model: "m", prompt: ["a", "b"], n });
      const textsOf = (answer: { choices: { text: string }[] }) => answer.choices.map(({ text }) => text);
      await cache.wrap(body(1), complete, scope);
      const topped = await cache.wrap(body(3), complete, scope);
      assert.deepEqual(textsOf(topped), ["a 1.0", "a 2.0", "a 2.1", "b 1.0", "b 2.0", "b 2.1"]);
      const served = await cache.wrap(body(2), complete, scope);
      assert.deepEqual(textsOf(served), ["a 1.0", "a 2.0", "b 1.0", "b 2.0"]);
      assert.equal(round, 2);
    });

    it("returns, but does not store, completions that cover not every prompt", async () => {
      const { cache, store, events } = openTestCache();
      const answer = { choices: [{ index: 1, text: "for b" }] };
      const body = { model: "m", prompt: ["a", "b"] };
      const status: CacheStatus = {};
      const scope = { endpoint: "/v1/completions", status };
      assert.equal(await cache.wrap(body, () => Promise.resolve(answer), scope), answer);
      assert.equal(store.puts.length, 0);
      assert.match(status.why ?? "", /cover every prompt/);
      assert.equal(events[0]?.type, "not_stored");
    });
  });

  describe("when an answer is not one to keep", () => {
    const cycle: Record<string, unknown> = { text: "a" };
    cycle.self = cycle;
    const answers: [what: string, answer: unknown][] = [
      ["an error with status 200", { error: { message: "overloaded" } }],
      ["an empty answer", { choices: [{ index: 0, message: { content: "" }, finish_reason: "stop" }] }],
      ["no choices", { choices: [] }],
      ["a text", "hi"],
      ["nothing", undefined],
      ["null", null],
      ["an instance of a class", new (class Answer {})()],
      ["a cycle inside", cycle],
      ["a stream", new ReadableStream()],
      ["bytes, which wrapEntry is for", bytesOf("{}")],
      ["a BigInt inside", { choices: [{ index: 0n, text: "a" }] }],
      ["a Map inside, which JSON would empty", { choices: [{ text: "a" }], seen: new Map([[1, 2]]) }],
      ["a Date inside, which JSON would make a text", { choices: [{ text: "a" }], at: new Date(0) }],
      ["an infinity inside, which JSON would make null", { choices: [{ text: "a", logprob: -Infinity }] }],
      ["a gap inside, which JSON would make null", { choices: [{ text: "a" }], ids: [1, undefined] }],
      ["a response beside the answer", { data: { choices: [{ text: "a" }] }, response: new Response() }],
    ];
    for (const [what, answer] of answers) {
      it(`returns ${what}, stores nothing, and says so`, async () => {
        const { cache, provider, store, events } = openTestCache();
        const status: CacheStatus = {};
        assert.equal(await cache.wrap<unknown>(ask("cats"), () => Promise.resolve(answer), { status }), answer);
        assert.equal(store.puts.length, 0);
        assert.equal(status.stored, false);
        assert.ok(status.why);
        assert.deepEqual(events.map(({ type }) => type), ["not_stored"]);
        await cache.wrap(ask("cats"), provider.answer);
        assert.equal(provider.calls.length, 1);
      });
    }

    it("takes members that are undefined for absent", async () => {
      const { cache, provider } = openTestCache();
      const answer = provider.choices(1);
      await cache.wrap(ask("cats"), () => Promise.resolve({ ...answer, service_tier: undefined }));
      assert.deepEqual((await cache.get(ask("cats")))?.json(), answer);
    });

    it("stores a truncated answer, marked as one", async () => {
      const { cache, provider } = openTestCache();
      const cut = provider.choices(1);
      cut.choices[0]!.finish_reason = "length";
      await cache.wrap(ask("cats"), () => Promise.resolve(cut));
      assert.equal((await cache.get(ask("cats")))?.outcome, "length");
    });
  });

  describe("called many times at once", () => {
    it("makes one call", async () => {
      const { cache, provider } = openTestCache();
      const door = gate();
      const statuses: CacheStatus[] = Array.from({ length: 100 }, () => ({}));
      const callers = statuses.map((status) =>
        cache.wrap(ask("cats"), async (body) => {
          await door.pass();
          return await provider.answer(body);
        }, { status })
      );
      await door.reached;
      door.open();
      const answers = await Promise.all(callers);
      assert.equal(provider.calls.length, 1);
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      assert.equal(new Set(answers).size, 100, "each has its own");
      assert.deepEqual(statuses.map(({ shared }) => shared), [false, ...Array(99).fill(true)]);
      const { misses, shared, writes } = await cache.stats();
      assert.deepEqual({ misses, shared, writes }, { misses: 1, shared: 99, writes: 1 });
    });

    it("shares the leader's error, and calls again for who comes later", async () => {
      const { cache, provider } = openTestCache();
      const failure = new Error("503");
      const callers = [1, 2, 3].map(() => cache.wrap(ask("cats"), () => Promise.reject(failure)));
      for (const result of await Promise.allSettled(callers)) {
        assert.equal(result.status === "rejected" && result.reason, failure);
      }
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    });

    it("lets who wants fewer share, and who wants more top up", async () => {
      const { cache, provider } = openTestCache();
      const counts = [2, 1, 5, 3, 2];
      const answers = await Promise.all(counts.map((n) => cache.wrap(ask("cats", { n }), provider.answer)));
      assert.deepEqual(provider.calls.map(({ n }) => n), [2, 3]);
      const texts = ["text 1", "text 2", "text 3", "text 4", "text 5"];
      assert.deepEqual(answers.map(saidBy), counts.map((n) => texts.slice(0, n)));
    });

    it("shares a hit's lookup, counting every caller", async () => {
      const { cache, provider, store } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      await Promise.all([1, 2, 3].map(() => cache.wrap(ask("cats"), provider.answer)));
      assert.equal(store.lookups, 2);
      const { hits, shared, saved } = await cache.stats();
      assert.deepEqual({ hits, shared, tokens: saved.completionTokens }, { hits: 3, shared: 0, tokens: 15 });
    });

    it("shares an answer that is not stored too", async () => {
      const { cache } = openTestCache();
      let calls = 0;
      const empty = (): Promise<object> => Promise.resolve({ choices: [], call: ++calls });
      const answers = await Promise.all([1, 2, 3].map(() => cache.wrap(ask("cats"), empty)));
      assert.equal(calls, 1);
      for (const answer of answers) assert.deepEqual(answer, { choices: [], call: 1 });
    });

    it("does not pass the error of a call for more on to who wants fewer", async () => {
      const { cache, provider } = openTestCache();
      await cache.wrap(ask("stored", { n: 2 }), provider.answer);
      const upToTwo = (body: ChatRequest): Promise<ChatAnswer> =>
        body.n! > 2 ? Promise.reject(new RangeError("n is too large")) : provider.answer(body);
      for (const topic of ["stored", "new"]) {
        const [many, two, one] = await Promise.allSettled(
          [200, 2, 1].map((n) => cache.wrap(ask(topic, { n }), upToTwo)),
        );
        assert.equal(many!.status === "rejected" && many!.reason instanceof RangeError, true);
        assert.equal(two!.status === "fulfilled" && saidBy(two!.value).length, 2);
        assert.equal(one!.status === "fulfilled" && saidBy(one!.value).length, 1);
      }
      assert.equal(provider.calls.length, 2, "what was stored was served, what was not was bought once");
      const error = { error: { message: "n is too large" } };
      const answers = await Promise.all([
        cache.wrap<object>(ask("in the body", { n: 200 }), () => Promise.resolve(error)),
        cache.wrap(ask("in the body"), provider.answer),
      ]);
      assert.equal(answers[0], error);
      assert.equal(saidBy(answers[1]).length, 1);
    });

    it("does not make others give up who asked the same", async () => {
      const { cache, provider } = openTestCache();
      for (const name of ["AbortError", "TimeoutError"]) {
        const gaveUp = (): Promise<never> => Promise.reject(new DOMException("gave up", name));
        const [first, ...others] = await Promise.allSettled([
          cache.wrap(ask(name), gaveUp),
          ...[1, 2].map(() => cache.wrap(ask(name), provider.answer)),
        ]);
        assert.equal(first!.status === "rejected" && first!.reason.name, name);
        for (const other of others) assert.equal(other.status, "fulfilled");
      }
      assert.equal(provider.calls.length, 2);
    });

    it("shares nothing that only one can read", async () => {
      const { cache } = openTestCache();
      const answers = [1, 2, 3].map((n) => cache.wrap(ask("cats"), () => Promise.resolve(new Response(`${n}`))));
      assert.deepEqual(await Promise.all(answers.map(async (answer) => await (await answer).text())), ["1", "2", "3"]);
      assert.equal((await cache.stats()).misses, 3);
      const [value, entry] = await Promise.all([
        cache.wrap<object>(ask("cats"), () => Promise.resolve(bytesOf("{}"))),
        cache.wrapEntry(ask("cats"), () => Promise.resolve(bytesOf('{"choices":[{"text":"hi"}]}'))),
      ]);
      assert.deepEqual(value, bytesOf("{}"));
      assert.equal(entry.text(), '{"choices":[{"text":"hi"}]}');
    });

    it("gives every caller of wrapEntry bytes of its own", async () => {
      const { cache } = openTestCache();
      const raw = '{"choices":[{"text":"hi"}]}';
      for (let round = 0; round < 2; round++) {
        const produce = (): Promise<Uint8Array> => Promise.resolve(bytesOf(raw));
        const [first, second, third] = await Promise.all([1, 2, 3].map(() => cache.wrapEntry(ask("cats"), produce)));
        first!.bytes().fill(0);
        second!.bytes().fill(0);
        assert.equal(third!.text(), raw);
      }
    });

    it("keeps different requests apart", async () => {
      const { cache, provider } = openTestCache();
      const topics = ["cats", "dogs", "cats", "birds"];
      const answers = await Promise.all(topics.map((topic) => cache.wrap(ask(topic), provider.answer)));
      assert.equal(provider.calls.length, 3);
      assert.deepEqual(answers[0], answers[2]);
    });
  });

  describe("when the store fails", () => {
    const failure = (code: "unavailable" | "corrupt" | "locked" | "newer_schema" | "foreign_file") => () => {
      throw new CacheError(code, `the disk is ${code}`);
    };

    it("returns an answer that could not be written; counts and reports it", async () => {
      const { cache, provider, store, events, clock } = openTestCache();
      store.beforePut = failure("unavailable");
      const status: CacheStatus = {};
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { status })), ["text 1"]);
      assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
        outcome: "miss",
        stored: false,
        shared: false,
        why: "the disk is unavailable",
      });
      assert.deepEqual(events.map(({ type }) => type), ["write_failed"]);
      const { writes, failedWrites, lastError } = await cache.stats();
      assert.deepEqual({ writes, failedWrites }, { writes: 0, failedWrites: 1 });
      assert.deepEqual(lastError, { message: "the disk is unavailable", time: clock.now() });
    });

    it("returns what was topped up though it could not be written", async () => {
      const { cache, provider, store } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      store.beforePut = failure("unavailable");
      assert.deepEqual(saidBy(await cache.wrap(ask("cats", { n: 2 }), provider.answer)), ["text 1", "text 2"]);
    });

    for (const code of ["unavailable", "corrupt"] as const) {
      it(`takes a lookup that fails with ${code} as a miss, and still tries to write`, async () => {
        const { cache, provider, store, events } = openTestCache();
        store.beforeLookup = failure(code);
        const status: CacheStatus = {};
        await cache.wrap(ask("cats"), provider.answer, { status });
        assert.equal(await cache.get(ask("cats")), undefined);
        assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
          outcome: "miss",
          stored: true,
          shared: false,
          why: `the disk is ${code}`,
        });
        assert.deepEqual(events.map(({ type }) => type), ["lookup_failed", "lookup_failed"]);
        const { misses, failedLookups, lookups } = await cache.stats();
        assert.deepEqual({ misses, failedLookups, lookups }, { misses: 2, failedLookups: 2, lookups: 2 });
        store.beforeLookup = () => {};
        assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 1"]);
      });
    }

    for (const code of ["locked", "newer_schema", "foreign_file"] as const) {
      it(`throws ${code} before anything is bought`, async () => {
        const { cache, provider, store } = openTestCache();
        store.beforeLookup = failure(code);
        const isRefusal = (error: unknown): boolean => error instanceof CacheError && error.code === code;
        await assert.rejects(cache.wrap(ask("cats"), provider.answer), isRefusal);
        await assert.rejects(cache.get(ask("cats")), isRefusal);
        await assert.rejects(cache.getMany([ask("cats")]), isRefusal);
        assert.equal(provider.calls.length, 0);
      });

      it(`answers without the cache in spite of ${code}, if so told`, async () => {
        const { cache, provider, store, events } = openTestCache({ refusedStore: "bypass" });
        store.beforeLookup = failure(code);
        const status: CacheStatus = {};
        await cache.wrap(ask("cats"), provider.answer, { status });
        assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
          outcome: "bypass",
          stored: false,
          shared: false,
          why: `the disk is ${code}`,
        });
        assert.equal(await cache.get(ask("cats")), undefined);
        assert.deepEqual(await cache.getMany([ask("cats"), ask("dogs")]), [undefined, undefined]);
        assert.equal(store.puts.length, 0);
        const { bypassed, failedLookups, lookups } = await cache.stats();
        assert.deepEqual({ bypassed, failedLookups, lookups }, { bypassed: 4, failedLookups: 4, lookups: 0 });
        assert.ok(events.some(({ type }) => type === "bypassed"));
      });
    }

    it("survives a listener that throws", async () => {
      const { cache, provider, store } = openTestCache({
        report: () => {
          throw new Error("the log is full");
        },
      });
      store.beforePut = failure("unavailable");
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    });
  });

  describe("bypasses the cache", () => {
    it("for a stream, whose shape a stored answer does not have", async () => {
      const { cache, provider, store } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      const stream = new ReadableStream();
      const status: CacheStatus = {};
      const body = { ...ask("cats"), stream: true };
      assert.equal(await cache.wrap<unknown>(body, () => Promise.resolve(stream), { status }), stream);
      assert.deepEqual(pick(status, "outcome", "stored", "shared", "why"), {
        outcome: "bypass",
        stored: false,
        shared: false,
        why: "the answer is a stream: wrapStream, wrapEvents",
      });
      assert.equal(store.puts.length, 1);
    });

    it("for a stream however the request says so", async () => {
      const { cache, provider } = openTestCache();
      await cache.wrap(ask("cats"), provider.answer);
      const streams: object[] = [
        { ...ask("cats"), stream: 1 },
        { toJSON: () => ({ ...ask("cats"), stream: true }) },
      ];
      for (const body of streams) {
        const status: CacheStatus = {};
        await cache.wrap(body, () => Promise.resolve(new ReadableStream()), { status });
        assert.equal(status.outcome, "bypass");
      }
      const status: CacheStatus = {};
      await cache.wrap({ ...ask("cats"), stream: null } as object, () => Promise.reject(new Error()), { status });
      assert.equal(status.outcome, "hit");
    });

    it("for a reason of the caller's, who may then ask what has no key", async () => {
      const { cache, provider, store, events } = openTestCache();
      const body = { ...ask("cats"), seed: 2 ** 60, weight: NaN };
      await cache.wrap(body, provider.answer, { bypass: 'the name "a" appears twice' });
      await cache.wrap(body, provider.answer, { bypass: 'the name "a" appears twice' });
      assert.equal(provider.calls.length, 2);
      assert.equal(store.lookups + store.puts.length, 0);
      assert.equal((await cache.stats()).bypassed, 2);
      assert.deepEqual(events[0], { type: "bypassed", model: "gpt-4o-mini", why: 'the name "a" appears twice' });
    });

    it("for a response whose answer hangs on more than the request", async () => {
      const { cache, store } = openTestCache();
      const scope = { endpoint: "/v1/responses" };
      const answer = { object: "response", status: "completed", output: [{ type: "reasoning", summary: [] }] };
      const states = [{ conversation: "conv_1" }, { conversation: { id: "c" } }, { background: true }];
      for (const state of states) {
        const body = { model: "gpt-5", input: "Hi", ...state };
        await cache.wrap(body, () => Promise.resolve(answer), scope);
        await cache.put(body, answer, scope);
        assert.equal(await cache.get(body, scope), undefined);
      }
      assert.equal(store.lookups + store.puts.length, 0);
      assert.equal((await cache.stats()).bypassed, 6, "each wrap and each get; a put looks nothing up");
      const plain = { model: "gpt-5", input: "Hi", conversation: null, background: false };
      await cache.wrap(plain, () => Promise.resolve(answer), scope);
      assert.equal(store.puts.length, 1);
    });
  });

  it("answers a request for embeddings text by text, in the form asked for", async () => {
    const { cache } = openTestCache();
    const scope = { endpoint: "/v1/embeddings" };
    let calls = 0;
    const vectors = (embedding: unknown) => {
      calls++;
      return Promise.resolve({ object: "list", data: [{ object: "embedding", index: 0, embedding }] });
    };
    const body = { model: "text-embedding-3-small", input: "Hi" };
    await cache.wrap({ ...body, encoding_format: "float" }, () => vectors([0.5]), scope);
    const base64 = await cache.wrap({ ...body, encoding_format: "base64" }, () => vectors([0.25]), scope);
    assert.equal(base64.data[0]!.embedding, "AAAAPw==");
    assert.equal(calls, 1);
  });

  describe("refuses, before anything is bought,", () => {
    it("what has no key", async () => {
      const { cache, provider } = openTestCache();
      const cyclic: Record<string, unknown> = { model: "m" };
      cyclic.self = cyclic;
      const bodies: unknown[] = [{ model: "m", x: NaN }, { model: "m", x: 1n }, cyclic, { model: "\ud800" }, [], null];
      for (const body of bodies) {
        await assert.rejects(cache.wrap(body as object, () => provider.answer(ask(""))), TypeError);
        await assert.rejects(cache.get(body as object), TypeError);
        await assert.rejects(cache.put(body as object, {}), TypeError);
      }
      assert.equal(provider.calls.length, 0);
    });

    it("a body without model, when provider and endpoint would be guesses", async () => {
      const { cache, provider } = openTestCache();
      const body = { contents: [] };
      await assert.rejects(cache.wrap(body, () => provider.answer(ask(""))), TypeError);
      const scope = { provider: "google", endpoint: "/v1beta/models/gemini:generateContent" };
      await cache.wrap(body, () => provider.answer(ask("")), scope);
      assert.equal((await cache.get(body, scope))?.modelAsked, "gemini");
    });

    it("options it does not have, by name", async () => {
      const { cache, provider } = openTestCache();
      const misspelled = { namspace: "x" } as object;
      const byName = (error: unknown): boolean => error instanceof TypeError && /namspace/.test(error.message);
      await assert.rejects(cache.wrap(ask("cats"), provider.answer, misspelled), byName);
      await assert.rejects(cache.wrapEntry(ask("cats"), provider.answer, misspelled), byName);
      await assert.rejects(cache.get(ask("cats"), misspelled), byName);
      await assert.rejects(cache.getMany([ask("cats")], misspelled), byName);
      await assert.rejects(cache.put(ask("cats"), {}, misspelled), byName);
    });

    it("a body that was changed while it was looked up", async () => {
      const { cache, provider, store } = openTestCache();
      const door = gate();
      store.beforeLookup = () => door.pass();
      const messages = [{ role: "user", content: "cats" }];
      const asked = cache.wrap({ model: "m", messages }, () => provider.answer(ask("")));
      const followed = cache.wrap({ model: "m", messages: [...messages] }, () => provider.answer(ask("")));
      await door.reached;
      messages.push({ role: "user", content: "no, dogs" });
      door.open();
      await assert.rejects(asked, /changed while it was looked up/);
      assert.deepEqual(saidBy(await followed), ["text 1"], "it was not he who changed his");
      assert.equal(provider.calls.length, 1);
    });
  });
});

describe("ResponseCache.wrap, called by what produces the same answer,", () => {
  const callContext = (): CallContext<Production> => {
    const storage = new AsyncLocalStorage<Production>();
    return { run: (value, work) => storage.run(value, work), current: () => storage.getStore() };
  };

  it("goes round the cache instead of waiting for itself", async () => {
    const { cache, provider, store } = openTestCache({ callContext: callContext() });
    const status: CacheStatus = {};
    const inner = async (body: ChatRequest): Promise<ChatAnswer> => {
      await Promise.resolve();
      return await cache.wrap(body, provider.answer, { status });
    };
    await cache.wrap(ask("cats"), provider.answer);
    const answer = await cache.wrap(ask("cats", { n: 3 }), inner);
    assert.equal(status.outcome, "bypass");
    assert.match(status.why ?? "", /produces/);
    assert.deepEqual(saidBy(answer), ["text 1", "text 2", "text 3"]);
    assert.deepEqual(provider.calls.map(({ n }) => n), [undefined, 2]);
    assert.deepEqual(store.puts.map(({ entries }) => entries), [1, 2], "nothing is stored twice");
  });

  it("does so through a request between them, and only while the answer is being made", async () => {
    const { cache, provider } = openTestCache({ callContext: callContext() });
    let later: Promise<ChatAnswer> | undefined;
    const door = gate();
    const answer = await cache.wrap(ask("cats"), () => {
      later = door.pass().then(() => cache.wrap(ask("cats"), provider.answer));
      return cache.wrap(ask("dogs"), () => cache.wrap(ask("cats"), provider.answer));
    });
    door.open();
    assert.deepEqual(await later, answer);
    const { bypassed, hits } = await cache.stats();
    assert.deepEqual({ bypassed, hits }, { bypassed: 1, hits: 1 });
  });

  it("lets everybody else join", async () => {
    const { cache, provider } = openTestCache({ callContext: callContext() });
    const door = gate();
    const inner = async (body: ChatRequest): Promise<ChatAnswer> => {
      await door.pass();
      return await cache.wrap(body, provider.answer);
    };
    const asked = cache.wrap(ask("cats"), inner);
    await door.reached;
    const followed = cache.wrap(ask("cats"), provider.answer);
    door.open();
    assert.deepEqual(await followed, await asked);
    assert.equal(provider.calls.length, 1);
  });
});

describe("ResponseCache.wrapEntry", () => {
  const RAW =
    '{ "choices": [ {"index":0, "message": {"content":"h\\u0069"}, "finish_reason":"stop"} ],  "cost": 1.0 }\n';

  it("passes bytes on untouched, on a miss and on a hit", async () => {
    const { cache } = openTestCache();
    const bought = await cache.wrapEntry(ask("cats"), () => Promise.resolve(bytesOf(RAW)));
    const served = await cache.wrapEntry(ask("cats"), () => Promise.reject(new Error("not called")));
    assert.equal(bought.text(), RAW);
    assert.equal(served.text(), RAW);
    assert.deepEqual(served.bytes(), bytesOf(RAW));
    assert.deepEqual(served.json(), JSON.parse(RAW));
  });

  it("passes several choices on untouched when they were just bought", async () => {
    const { cache, provider } = openTestCache();
    const raw = JSON.stringify(provider.choices(3), null, 2);
    const bought = await cache.wrapEntry(ask("cats", { n: 3 }), () => Promise.resolve(bytesOf(raw)));
    assert.equal(bought.text(), raw);
    assert.equal(bought.samples, 3);
    const served = await cache.wrapEntry(ask("cats", { n: 3 }), () => Promise.reject(new Error("not called")));
    assert.deepEqual(served.json(), JSON.parse(raw));
  });

  it("tells what is known of the answer, and how long the provider took", async () => {
    const { cache, provider, clock } = openTestCache({ ttl: 1000 });
    const slow = (body: ReturnType<typeof ask>) => {
      clock.advance(250);
      return provider.answer(body);
    };
    const bought = await cache.wrapEntry(ask("cats", { n: 2 }), slow);
    const served = await cache.wrapEntry(ask("cats", { n: 2 }), slow);
    for (const entry of [bought, served]) {
      assert.equal(entry.mediaType, "application/json");
      assert.equal(entry.outcome, "stop");
      assert.equal(entry.modelAsked, "gpt-4o-mini");
      assert.equal(entry.modelAnswered, "gpt-4o-mini-2024-07-18");
      assert.equal(entry.fingerprint, "fp_1");
      assert.deepEqual(entry.usage, { promptTokens: 10, completionTokens: 10 });
      assert.equal(entry.costMicrodollars, null);
      assert.equal(entry.latency, 250);
      assert.equal(entry.created, clock.now());
      assert.equal(entry.expires, clock.now() + 1000);
      assert.equal(entry.samples, 2);
    }
  });

  it("passes on, but does not store, what is not JSON", async () => {
    const { cache, store } = openTestCache();
    const bodies = [bytesOf("<html>busy</html>"), bytesOf(""), new Uint8Array([0x22, 0xff, 0x22]), bytesOf("\ufeff{}")];
    for (const body of bodies) {
      const status: CacheStatus = {};
      const entry = await cache.wrapEntry(ask("cats"), () => Promise.resolve(body), { status });
      assert.equal(entry.bytes(), body);
      assert.equal(entry.outcome, "invalid");
      assert.match(status.why ?? "", /not JSON/);
    }
    assert.equal(store.puts.length, 0);
  });

  it("shares its entries with wrap", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrapEntry(ask("cats"), () => Promise.resolve(bytesOf(RAW)));
    assert.deepEqual(await cache.wrap(ask("cats"), provider.answer), JSON.parse(RAW));
    assert.equal(provider.calls.length, 0);
  });

  it("answers a request for a stream from what is stored: the caller makes the stream", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrapEntry(ask("cats"), provider.answer);
    await cache.wrapEntry({ ...ask("cats"), stream: true }, provider.answer);
    assert.equal(provider.calls.length, 1);
  });

  it("makes an entry of an answer that bypassed the cache", async () => {
    const { cache } = openTestCache();
    const options = { bypass: "no-store" };
    const entry = await cache.wrapEntry(ask("cats"), () => Promise.resolve(bytesOf(RAW)), options);
    assert.equal(entry.text(), RAW);
  });

  it("refuses an answer that is neither JSON nor bytes", async () => {
    const { cache } = openTestCache();
    const answer = (): Promise<object> => Promise.resolve("text" as unknown as object);
    await assert.rejects(cache.wrapEntry(ask("cats"), answer), /neither|JSON or bytes/);
  });
});
