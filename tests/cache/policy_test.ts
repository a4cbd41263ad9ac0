import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { Gate, type OutcomePolicy } from "../../src/cache/answer/policy.ts";
import type { Scope } from "../../src/cache/request/scope.ts";
import type { Outcome } from "../../src/store/store.ts";
import { pick } from "./pick.ts";
import { ask, type ChatAnswer, openTestCache, saidBy } from "./support.ts";

const OPENAI = { endpoint: "/v1/chat/completions" };
const COMPLETIONS = { endpoint: "/v1/completions" };
const RESPONSES = { endpoint: "/v1/responses" };
const ANTHROPIC = { provider: "anthropic", endpoint: "/v1/messages" };
const GEMINI = { provider: "google", endpoint: "/v1beta/models/gemini-2.5-flash:generateContent" };

const chat = (message: object, finish_reason: string): object => ({ choices: [{ index: 0, message, finish_reason }] });
const text = (said: string, finish_reason: string): object => ({ choices: [{ index: 0, text: said, finish_reason }] });
const message = (content: object[], stop_reason: string): object => ({ type: "message", content, stop_reason });
const response = (output: object[], rest: object = {}): object => ({
  object: "response",
  status: "completed",
  output,
  ...rest,
});
const gemini = (parts: object[], finishReason: string): object => ({
  candidates: [{ content: { parts }, finishReason }],
});
const cut = (reason: string): object => ({ status: "incomplete", incomplete_details: { reason } });
const says = (said: string): object => ({ type: "message", content: [{ type: "output_text", text: said }] });

/** What each provider's answer comes to, and whether it is stored by default. */
const MATRIX: [what: string, scope: Scope, answer: object, outcome: Outcome][] = [
  ["chat that ended", OPENAI, chat({ content: "hi" }, "stop"), "stop"],
  ["chat cut short", OPENAI, chat({ content: "hi" }, "length"), "length"],
  ["chat that calls tools", OPENAI, chat({ content: null, tool_calls: [{ id: "1" }] }, "tool_calls"), "tool_calls"],
  ["chat that refused", OPENAI, chat({ content: null, refusal: "No." }, "stop"), "refusal"],
  ["filtered chat", OPENAI, chat({ content: "" }, "content_filter"), "content_filter"],
  ["chat that only thought", OPENAI, chat({ content: "", reasoning_content: "hm" }, "length"), "length"],
  ["empty chat", OPENAI, chat({ content: "" }, "stop"), "empty"],
  ["chat without choices", OPENAI, { choices: [] }, "empty"],
  ["an error in place of chat", OPENAI, { error: { message: "overloaded", code: 503 } }, "error"],
  ["an error in a choice", OPENAI, { choices: [{ error: { code: 502 }, message: { content: "" } }] }, "error"],
  ["a completion", COMPLETIONS, text("hi", "stop"), "stop"],
  ["a completion cut short", COMPLETIONS, text("hi", "length"), "length"],
  ["an empty completion", COMPLETIONS, text("", "stop"), "empty"],
  ["an error in place of a completion", COMPLETIONS, { error: "no such model" }, "error"],
  ["a response", RESPONSES, response([says("hi")]), "stop"],
  ["a response cut short", RESPONSES, response([says("hi")], cut("max_output_tokens")), "length"],
  ["a filtered response", RESPONSES, response([], cut("content_filter")), "content_filter"],
  ["a response that calls", RESPONSES, response([{ type: "function_call", name: "f" }]), "tool_calls"],
  ["a response that refused", RESPONSES, response([{ type: "message", content: [{ type: "refusal" }] }]), "refusal"],
  ["a response that only thought", RESPONSES, response([{ type: "reasoning" }], cut("max_output_tokens")), "length"],
  ["an empty response", RESPONSES, response([says("")]), "empty"],
  ["a failed response", RESPONSES, response([], { status: "failed", error: { code: "server_error" } }), "error"],
  ["a response not there yet", RESPONSES, response([], { status: "in_progress" }), "invalid"],
  ["a message", ANTHROPIC, message([{ type: "text", text: "hi" }], "end_turn"), "stop"],
  ["a message cut short", ANTHROPIC, message([{ type: "text", text: "hi" }], "max_tokens"), "length"],
  ["a message that uses a tool", ANTHROPIC, message([{ type: "tool_use", id: "1" }], "tool_use"), "tool_calls"],
  ["a message that refused", ANTHROPIC, message([], "refusal"), "refusal"],
  ["a message that only thought", ANTHROPIC, message([{ type: "thinking" }], "max_tokens"), "length"],
  ["an empty message", ANTHROPIC, message([], "end_turn"), "empty"],
  ["an error in place of a message", ANTHROPIC, { type: "error", error: { type: "overloaded_error" } }, "error"],
  ["Gemini that ended", GEMINI, gemini([{ text: "hi" }], "STOP"), "stop"],
  ["Gemini cut short", GEMINI, gemini([{ text: "hi" }], "MAX_TOKENS"), "length"],
  ["Gemini that calls", GEMINI, gemini([{ functionCall: { name: "f" } }], "STOP"), "tool_calls"],
  ["Gemini stopped for safety", GEMINI, gemini([], "SAFETY"), "content_filter"],
  ["Gemini with a blocked prompt", GEMINI, { promptFeedback: { blockReason: "SAFETY" } }, "content_filter"],
  ["empty Gemini", GEMINI, gemini([], "STOP"), "empty"],
  ["an error in place of Gemini", GEMINI, { error: { code: 429, status: "RESOURCE_EXHAUSTED" } }, "error"],
];

/** A chat that ended so. */
function endedBy(finish_reason: string): ChatAnswer {
  return chat({ role: "assistant", content: "hi" }, finish_reason) as ChatAnswer;
}

describe("the outcome of an answer decides whether it is kept", () => {
  for (const [what, scope, answer, outcome] of MATRIX) {
    const isKept = !["error", "empty", "invalid"].includes(outcome);
    it(`${what}: ${outcome}, ${isKept ? "stored" : "returned and not stored"}`, async () => {
      const { cache, events } = openTestCache();
      const status: CacheStatus = {};
      const body = { model: "m", n: undefined };
      assert.equal(await cache.wrap(body, () => Promise.resolve(answer), { ...scope, status }), answer);
      assert.equal(status.stored, isKept);
      const entry = await cache.get(body, scope);
      assert.equal(entry?.outcome, isKept ? outcome : undefined);
      assert.deepEqual(entry?.json(), isKept ? answer : undefined);
      if (isKept) return;
      assert.equal(status.why, `the outcome is ${outcome}`);
      assert.deepEqual(events.map(({ type }) => type), ["not_stored"]);
      await cache.put(body, answer, scope);
      assert.equal(await cache.get(body, scope), undefined);
    });
  }
});

describe("OutcomePolicy", () => {
  const endings: [Outcome, ChatAnswer][] = [["length", endedBy("length")], [
    "content_filter",
    endedBy("content_filter"),
  ]];

  it("keeps what it says, and all else as by default", async () => {
    const { cache } = openTestCache({ policy: { length: "never", empty: "store" } });
    for (const [topic, answer] of endings) await cache.wrap(ask(topic), () => Promise.resolve(answer));
    await cache.wrap<object>(ask("empty"), () => Promise.resolve({ choices: [] }));
    assert.equal(await cache.get(ask("length")), undefined);
    assert.equal((await cache.get(ask("content_filter")))?.outcome, "content_filter");
    assert.equal((await cache.get(ask("empty")))?.outcome, "empty");
  });

  it("keeps some for a while only, but never longer than the ttl", async () => {
    const { cache, clock, provider } = openTestCache({ policy: { length: { ttl: 1000 }, refusal: { ttl: 5000 } } });
    const short = (): Promise<ChatAnswer> => Promise.resolve(endedBy("length"));
    await cache.wrap(ask("as it says"), short);
    await cache.wrap(ask("less"), short, { ttl: 500 });
    await cache.wrap(ask("more"), short, { ttl: 5000 });
    await cache.wrap(ask("another"), provider.answer);
    const there = async (): Promise<boolean[]> => {
      const entries = await cache.getMany(["as it says", "less", "more", "another"].map((topic) => ask(topic)));
      return entries.map((entry) => entry !== undefined);
    };
    clock.advance(499);
    assert.deepEqual(await there(), [true, true, true, true]);
    clock.advance(1);
    assert.deepEqual(await there(), [true, false, true, true]);
    clock.advance(500);
    assert.deepEqual(await there(), [false, false, false, true]);
  });

  it("holds for put as well", async () => {
    const { cache, clock } = openTestCache({ policy: { length: { ttl: 1000 } } });
    await cache.put(ask("cats"), endedBy("length"));
    assert.equal((await cache.get(ask("cats")))?.expires, clock.now() + 1000);
  });

  it("is checked when the cache is made", () => {
    const wrong: unknown[] = [{ stopped: "store" }, { length: "briefly" }, { length: { ttl: -1 } }, { length: null }, {
      length: { ttl: "1" },
    }];
    for (const policy of wrong) assert.throws(() => new Gate(policy as OutcomePolicy), /Cannot (keep|use an outcome)/);
  });
});

describe("isValid", () => {
  const saysHi = (answer: JsonObject): boolean => saidBy(answer)[0] === "hi";
  const isLong = (answer: JsonObject): boolean => Number(saidBy(answer)[0]!.slice(5)) > 1;

  it("passes over stored answers that it refuses, and keeps what is bought beside them", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    const status: CacheStatus = {};
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { isValid: isLong, status })), ["text 2"]);
    assert.deepEqual(pick(status, "outcome", "stored"), { outcome: "miss", stored: true });
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { isValid: isLong, status })), ["text 2"]);
    assert.equal(status.outcome, "hit");
    assert.deepEqual(saidBy((await cache.get(ask("cats"), { isValid: isLong }))!.json()), ["text 2"]);
    assert.deepEqual(saidBy((await cache.get(ask("cats")))!.json()), ["text 1"], "it is one for who does not mind");
    assert.equal(provider.calls.length, 2);
  });

  it("is asked about each of several samples", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats", { n: 3 }), provider.answer);
    const even = (answer: JsonObject): boolean => Number(saidBy(answer)[0]!.slice(5)) % 2 === 0;
    const two = await cache.wrap(ask("cats", { n: 2 }), provider.answer, { isValid: even });
    assert.deepEqual(saidBy(two), ["text 2", "text 4"]);
    assert.equal(provider.calls.at(-1)!.n, 1);
  });

  it("returns, but does not store, what was bought and is none", async () => {
    const { cache, provider, store, events } = openTestCache();
    const status: CacheStatus = {};
    const answer = await cache.wrap(ask("cats"), provider.answer, { isValid: saysHi, status });
    assert.deepEqual(saidBy(answer), ["text 1"]);
    assert.deepEqual(pick(status, "stored", "why"), { stored: false, why: "the outcome is invalid" });
    assert.equal(store.puts.length, 0);
    assert.equal(events[0]?.type, "not_stored");
    assert.equal((await cache.stats()).failedCalls, 1);
  });

  it("stores the good ones of several that were bought", async () => {
    const { cache, provider } = openTestCache();
    const three = await cache.wrap(ask("cats", { n: 3 }), provider.answer, { isValid: isLong });
    assert.equal(saidBy(three).length, 3);
    assert.deepEqual(saidBy((await cache.get(ask("cats", { n: 2 })))!.json()), ["text 2", "text 3"]);
  });

  it("lets the policy store them, marked, and nobody else is given them", async () => {
    const { cache, provider } = openTestCache({ policy: { invalid: "store" } });
    await cache.wrap(ask("cats"), provider.answer, { isValid: saysHi });
    assert.equal(await cache.get(ask("cats")), undefined);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 2"]);
  });

  it("that throws fails the call before anything is bought", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    const isValid = (): boolean => {
      throw new RangeError("no such field");
    };
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { isValid }), RangeError);
    await assert.rejects(cache.get(ask("cats"), { isValid }), RangeError);
    assert.equal(provider.calls.length, 1);
  });

  it("that throws does not cost an answer that was just bought", async () => {
    const { cache, provider, events } = openTestCache();
    const isValid = (): boolean => {
      throw new RangeError("no such field");
    };
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer, { isValid })), ["text 1"]);
    const why = events.map((event) => event.type === "not_stored" ? event.why : event.type);
    assert.match(why[0]!, /isValid threw: no such field/);
  });

  it("makes those call for themselves whom the leader's answer does not suit", async () => {
    const { cache, provider } = openTestCache();
    const [first, second, third] = await Promise.all([
      cache.wrap(ask("cats"), provider.answer),
      cache.wrap(ask("cats"), provider.answer, { isValid: isLong }),
      cache.wrap(ask("cats"), provider.answer),
    ]);
    assert.deepEqual([first, second, third].map(saidBy), [["text 1"], ["text 2"], ["text 1"]]);
  });

  it("that throws is its caller's mistake, and nobody else's", async () => {
    const { cache, provider } = openTestCache();
    await cache.wrap(ask("cats"), provider.answer);
    const isValid = (): boolean => {
      throw new RangeError("no such field");
    };
    const [wrong, right] = await Promise.allSettled([
      cache.wrap(ask("cats"), provider.answer, { isValid }),
      cache.wrap(ask("cats"), provider.answer),
    ]);
    assert.equal(wrong.status, "rejected");
    assert.equal(right.status, "fulfilled");
  });

  it("has to be a function", async () => {
    const { cache, provider } = openTestCache();
    const isValid = true as unknown as () => boolean;
    await assert.rejects(cache.wrap(ask("cats"), provider.answer, { isValid }), /isValid/);
    assert.equal(provider.calls.length, 0);
  });
});
