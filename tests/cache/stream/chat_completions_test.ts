/** Chat completions as OpenAI and its followers stream them, each with its own habits. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeText, type JsonObject } from "../../../src/cache/json.ts";
import { chatCompletions } from "../../../src/cache/stream/chat_completions.ts";
import type { SseEvent } from "../../../src/cache/stream/sse.ts";
import { assembled, chatAnswer, dataEvents, Maker, ONE, openaiFor, parseInPieces } from "./support.ts";

const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "gpt-4o-mini" };

/** A chunk with a piece of choice `index`. */
function chunk(delta: JsonObject, rest: JsonObject = {}): JsonObject {
  return { ...HEAD, choices: [{ index: 0, delta, finish_reason: null, ...rest }] };
}

const STOP = chunk({}, { finish_reason: "stop" });

// deno-lint-ignore no-explicit-any -- tests read what they know is there
function answerOf(...chunks: unknown[]): any {
  const assembler = assembled(chatCompletions, dataEvents(...chunks));
  assert.equal(assembler.failure, undefined);
  return assembler.answer();
}

// deno-lint-ignore no-explicit-any -- tests read what they know is there
const messageOf = (...chunks: unknown[]): any => answerOf(...chunks).choices[0].message;

describe("a chat completion, assembled", () => {
  it("is what a call without stream would have had", () => {
    assert.deepEqual(
      answerOf(
        { ...chunk({ role: "assistant", content: "", refusal: null }, { logprobs: null }), system_fingerprint: "fp_1" },
        { ...chunk({ content: "Hel" }, { logprobs: null }), service_tier: "default" },
        chunk({ content: "lo" }),
        STOP,
        "[DONE]",
      ),
      {
        ...HEAD,
        object: "chat.completion",
        system_fingerprint: "fp_1",
        service_tier: "default",
        choices: [{
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        }],
      },
    );
  });

  it("takes the usage from a chunk without choices", () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const answer = answerOf({ ...STOP, usage: null }, { ...HEAD, choices: [], usage }, "[DONE]");
    assert.deepEqual(answer.usage, usage);
    assert.equal(answer.choices.length, 1);
  });

  it("takes the usage from the last chunk that tells it, and Groq's from where Groq puts it", () => {
    assert.deepEqual(
      answerOf({ ...chunk({}), usage: { total_tokens: 1 } }, { ...STOP, usage: { total_tokens: 2 } }).usage,
      { total_tokens: 2 },
    );
    const groq = answerOf({ ...chunk({}), x_groq: { id: "r" } }, {
      ...STOP,
      x_groq: { id: "r", usage: { total_tokens: 3 } },
    });
    assert.deepEqual(groq.usage, { total_tokens: 3 });
    assert.equal(groq.x_groq.id, "r");
  });

  it("has no usage where nobody told it", () => {
    assert.ok(!("usage" in answerOf({ ...STOP, usage: null })));
  });

  it("puts interleaved choices in order", () => {
    const piece = (index: number, delta: JsonObject, reason: string | null = null): JsonObject => ({
      ...HEAD,
      choices: [{ index, delta, finish_reason: reason }],
    });
    const stream = dataEvents(
      piece(1, { role: "assistant", content: "b1" }),
      piece(0, { role: "assistant", content: "a1" }),
      {
        ...HEAD,
        choices: [...piece(0, { content: "a2" }).choices as [], ...piece(1, { content: "b2" }).choices as []],
      },
      piece(1, {}, "length"),
      piece(0, {}, "stop"),
    );
    const assembler = assembled(chatCompletions, stream, { samples: 2, prompts: 1 });
    // deno-lint-ignore no-explicit-any -- a test reads what it knows is there
    const { choices } = assembler.answer() as any;
    assert.deepEqual(choices.map((each: { message: { content: string } }) => each.message.content), ["a1a2", "b1b2"]);
    assert.deepEqual(choices.map((each: JsonObject) => each.finish_reason), ["stop", "length"]);
  });

  it("joins the pieces of parallel tool calls, in the order of their numbers", () => {
    const call = (index: number, rest: JsonObject): JsonObject => chunk({ tool_calls: [{ index, ...rest }] });
    const message = messageOf(
      chunk({ role: "assistant", content: null }),
      call(1, { id: "call_b", type: "function", function: { name: "set", arguments: "" } }),
      call(0, { id: "call_a", type: "function", function: { name: "get", arguments: "" } }),
      call(0, { function: { arguments: '{"a"' } }),
      call(1, { id: "", type: null, function: { name: null, arguments: '{"b":' } }),
      call(0, { function: { name: "", arguments: ":1}" } }),
      call(1, { id: "call_b", type: "function", function: { name: "set", arguments: "2}" } }),
      chunk({}, { finish_reason: "tool_calls" }),
    );
    assert.deepEqual(message, {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_a", type: "function", function: { name: "get", arguments: '{"a":1}' } },
        { id: "call_b", type: "function", function: { name: "set", arguments: '{"b":2}' } },
      ],
    });
  });

  it("tells tool calls apart that have all one number, or none", () => {
    for (const numbers of [[0, 0], [undefined, undefined]]) {
      const whole = numbers.map((index, at) => ({
        ...(index !== undefined && { index }),
        id: `call_${at}`,
        type: "function",
        function: { name: "get", arguments: `{"n":${at}}` },
      }));
      const expected = [0, 1].map((at) => ({
        id: `call_${at}`,
        type: "function",
        function: { name: "get", arguments: `{"n":${at}}` },
      }));
      assert.deepEqual(messageOf(chunk({ tool_calls: whole }), STOP).tool_calls, expected);
      const apart = whole.map((call) => chunk({ tool_calls: [call] }));
      assert.deepEqual(messageOf(...apart, STOP).tool_calls, expected);
    }
  });

  it("goes on with the last tool call when pieces have no number", () => {
    const call = (rest: JsonObject): JsonObject => chunk({ tool_calls: [rest] });
    const { tool_calls: calls } = messageOf(
      call({ id: "a", function: { name: "get", arguments: "{" } }),
      call({ function: { arguments: "}" } }),
      call({ id: "b", function: { name: "get", arguments: "[" } }),
      call({ id: "b", function: { arguments: "]" } }),
      call({ function: { name: "nameless", arguments: "1" } }),
      STOP,
    );
    assert.deepEqual(calls.map((each: { function: JsonObject }) => each.function.arguments), ["{}", "[]", "1"]);
  });

  it("does not begin a tool call at each piece that has an id of its own", () => {
    const call = (id: string, tool: JsonObject): JsonObject =>
      chunk({ tool_calls: [{ index: 0, id, function: tool }] });
    const { tool_calls: calls } = messageOf(
      call("x1", { name: "get", arguments: "{" }),
      call("x2", { arguments: "}" }),
      STOP,
    );
    assert.equal(calls.length, 1);
    assert.equal(calls[0].function.arguments, "{}");
  });

  it("joins a legacy function call", () => {
    const { function_call: called } = messageOf(
      chunk({ role: "assistant", content: null, function_call: { name: "get", arguments: "" } }),
      chunk({ function_call: { arguments: '{"a":' } }),
      chunk({ function_call: { arguments: "1}" } }),
      chunk({}, { finish_reason: "function_call" }),
    );
    assert.deepEqual(called, { name: "get", arguments: '{"a":1}' });
  });

  it("joins a refusal, and what the model thought, whatever it is called", () => {
    const message = messageOf(
      chunk({ role: "assistant", reasoning: "Hm", reasoning_content: "A", refusal: null }),
      chunk({ reasoning: "m.", reasoning_content: "B", refusal: "I " }),
      chunk({ reasoning: null, reasoning_content: null, refusal: "won't" }),
      STOP,
    );
    assert.deepEqual(message, {
      role: "assistant",
      content: null,
      reasoning: "Hmm.",
      reasoning_content: "AB",
      refusal: "I won't",
    });
  });

  it("joins reasoning details by number and type", () => {
    const detail = (rest: JsonObject): JsonObject => chunk({ reasoning_details: [rest] });
    const { reasoning_details: details } = messageOf(
      detail({ type: "reasoning.text", text: "Let ", format: "x-v1", index: 0 }),
      detail({ type: "reasoning.text", text: "me", format: "x-v1", index: 0 }),
      detail({ type: "reasoning.text", signature: "sig", index: 0 }),
      detail({ type: "reasoning.encrypted", data: "AAA", index: 0 }),
      STOP,
    );
    assert.deepEqual(details, [
      { type: "reasoning.text", text: "Let me", format: "x-v1", index: 0, signature: "sig" },
      { type: "reasoning.encrypted", data: "AAA", index: 0 },
    ]);
  });

  it("appends annotations and log-probabilities, and joins audio", () => {
    const token = (text: string): JsonObject => ({ token: text, logprob: -1, bytes: null, top_logprobs: [] });
    const [choice] = answerOf(
      chunk({ content: "a", annotations: [{ n: 1 }], audio: { id: "x", data: "AA" } }, {
        logprobs: { content: [token("a")], refusal: null },
      }),
      chunk({ content: "b", annotations: [{ n: 2 }], audio: { data: "BB", transcript: "hi", expires_at: 9 } }, {
        logprobs: { content: [token("b")], refusal: [token("r")] },
      }),
      STOP,
    ).choices;
    assert.deepEqual(choice.logprobs, { content: [token("a"), token("b")], refusal: [token("r")] });
    assert.deepEqual(choice.message.annotations, [{ n: 1 }, { n: 2 }]);
    assert.deepEqual(choice.message.audio, { id: "x", data: "AABB", transcript: "hi", expires_at: 9 });
  });

  it("keeps what nobody here has heard of, and drops padding", () => {
    const answer = answerOf(
      { ...chunk({ mood: "gl", level: 1 }, { score: 1 }), citations: ["u"], obfuscation: "x8" },
      {
        ...chunk({ mood: "ad", level: 2 }, { score: 2, finish_reason: "stop" }),
        citations: ["u", "v"],
        obfuscation: "y",
      },
    );
    assert.deepEqual(answer.citations, ["u", "v"]);
    assert.equal(answer.choices[0].score, 2);
    assert.deepEqual(answer.choices[0].message, { role: "assistant", content: null, mood: "glad", level: 2 });
    assert.ok(!("obfuscation" in answer));
  });

  it("takes a message that came whole, and does not add one that is repeated", () => {
    assert.equal(
      messageOf({ ...HEAD, choices: [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }] }).content,
      "Hi",
    );
    const repeated = [["H", "H"], ["i", "Hi"]].map(([content, message]) =>
      chunk({ content }, { message: { content: message } })
    );
    assert.equal(messageOf(...repeated, STOP).content, "Hi");
  });

  it("survives Azure's chunks without text", () => {
    const answer = answerOf(
      {
        id: "",
        object: "",
        created: 0,
        model: "",
        choices: [],
        prompt_filter_results: [{ prompt_index: 0 }],
        usage: null,
      },
      chunk({ role: "assistant", content: "Hi" }),
      STOP,
      { ...HEAD, choices: [{ index: 0, content_filter_offsets: { start: 0 }, finish_reason: null }] },
    );
    assert.equal(answer.id, "chatcmpl-1");
    assert.equal(answer.model, "gpt-4o-mini");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.deepEqual(answer.prompt_filter_results, [{ prompt_index: 0 }]);
  });

  it("passes over comments between events", () => {
    const text = `: OPENROUTER PROCESSING\n\ndata: ${JSON.stringify(STOP)}\n\n: OPENROUTER PROCESSING\n\ndata: [DONE]`;
    assert.ok(assembled(chatCompletions, parseInPieces(encodeText(text), 7)).answer());
  });
});

describe("a chat completion's stream", () => {
  it("is complete without [DONE] once every choice has its finish_reason", () => {
    const assembler = chatCompletions.assembler({ samples: 2, prompts: 1 });
    const completes = [0, 1].map((index) => {
      assembler.add({ data: JSON.stringify({ ...HEAD, choices: [{ index, delta: {}, finish_reason: "stop" }] }) });
      return assembler.isComplete;
    });
    assert.deepEqual(completes, [false, true]);
  });

  it("is complete after [DONE] though the provider gave fewer choices than were asked for", () => {
    const assembler = assembled(chatCompletions, dataEvents(STOP, "[DONE]"), { samples: 3, prompts: 1 });
    assert.equal(assembler.isComplete, true);
  });

  it("is a failure when [DONE] comes before a finish_reason", () => {
    for (const reason of [null, ""]) {
      const assembler = assembled(
        chatCompletions,
        dataEvents(chunk({ content: "Hi" }, { finish_reason: reason }), "[DONE]"),
      );
      assert.equal(assembler.isComplete, false);
      assert.match(assembler.failure!, /finish_reason/);
    }
  });

  it("does not look behind [DONE]", () => {
    assert.equal(answerOf(STOP, "[DONE]", "not JSON").choices.length, 1);
  });

  it("is a failure when a choice failed", () => {
    const failing = chunk({}, { error: { code: 502, message: "Provider returned error" }, finish_reason: "error" });
    assert.equal(assembled(chatCompletions, dataEvents(failing)).failure, "Provider returned error");
  });

  it("is a failure when chunks are not of the protocol", () => {
    const wrong: [unknown, RegExp][] = [
      [{ type: "message_start", message: {} }, /neither choices nor usage/],
      [{ choices: {} }, /neither choices nor usage/],
      [{ choices: ["text"] }, /no object/],
      [{ choices: [{ index: -1, delta: {} }] }, /no index/],
      [{ choices: [{ index: "0", delta: {} }] }, /no index/],
      [chunk({ tool_calls: {} }), /tool calls/],
      [chunk({ tool_calls: ["get"] }), /tool calls/],
      [chunk({ content: ["Hi"] }), /not of one kind/],
      [chunk({ content: { text: "Hi" } }), /not of one kind/],
    ];
    for (const [bad, message] of wrong) {
      const assembler = assembled(chatCompletions, dataEvents(chunk({ content: "Hi" }), bad, STOP, "[DONE]"));
      assert.match(assembler.failure ?? "", message);
      assert.equal(assembler.answer(), undefined);
    }
  });

  it("needs an index where there are several choices", () => {
    const stream = dataEvents({ ...HEAD, choices: [{ delta: { content: "Hi" }, finish_reason: "stop" }] });
    assert.ok(assembled(chatCompletions, stream).isComplete);
    assert.match(assembled(chatCompletions, stream, { samples: 2, prompts: 1 }).failure!, /no index/);
  });

  it("says the usage only to whom it is meant for", () => {
    const usageChunk = dataEvents({ ...HEAD, choices: [], usage: { total_tokens: 1 } })[0]!;
    const others = dataEvents(
      { ...STOP, usage: { total_tokens: 1 } },
      { ...STOP, usage: null },
      chunk({ content: '"usage"' }),
      "[DONE]",
    );
    for (const includeUsage of [true, false]) {
      assert.equal(chatCompletions.trim!(usageChunk, { includeUsage }), includeUsage);
      for (const event of others) assert.equal(chatCompletions.trim!(event, { includeUsage }), true);
    }
    const answer = { ...chatAnswer(new Maker(1)), usage: { total_tokens: 1 } };
    const told = (includeUsage: boolean): SseEvent[] =>
      chatCompletions.disassemble(answer, { includeUsage }).filter(({ data }) => data.includes("total_tokens"));
    assert.equal(told(true).length, 1);
    assert.equal(told(false).length, 0);
  });
});

describe("a chat completion, disassembled", () => {
  it("gives each piece of text the log-probabilities of its tokens", () => {
    const token = (text: string): JsonObject => ({ token: text, logprob: -1, bytes: null, top_logprobs: [] });
    const words = ["It", " is", " rain", "ing", " in", " Spain"];
    const events = chatCompletions.disassemble({
      choices: [{
        index: 0,
        message: { role: "assistant", content: words.join("") },
        logprobs: { content: words.map(token), refusal: null },
        finish_reason: "stop",
      }],
    }, { includeUsage: false });
    const choices = events.slice(0, -1).map(({ data }) => JSON.parse(data).choices[0]);
    const said = choices.filter(({ delta }) => delta.content);
    assert.ok(said.length > 1);
    for (const { delta, logprobs } of said) {
      assert.equal(logprobs.content.map((each: { token: string }) => each.token).join(""), delta.content);
    }
  });

  it("is read by the openai client as if OpenAI had sent it", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const answer = chatAnswer(new Maker(seed));
      const client = openaiFor(chatCompletions.disassemble(answer, { includeUsage: true }));
      const stream = client.chat.completions.stream({
        model: "gpt-4o-mini",
        messages: [],
        n: (answer.choices as []).length,
        stream_options: { include_usage: true },
      });
      const got = await stream.finalChatCompletion();
      const wanted = answer.choices as { message: { content: string | null; tool_calls?: JsonObject[] } }[];
      for (const [index, { message }] of wanted.entries()) {
        const read = got.choices[index]!.message as unknown as JsonObject;
        assert.equal(read.content ?? null, message.content);
        assert.deepEqual(toPlain(read.tool_calls ?? []), message.tool_calls ?? []);
      }
      assert.deepEqual(toPlain(got.usage ?? null), answer.usage ?? null);
    }
  });

  it("is read chunk by chunk by the openai client, and assembled again", async () => {
    const answer = chatAnswer(new Maker(7), 2);
    const client = openaiFor(chatCompletions.disassemble(answer, { includeUsage: true }));
    const chunks: unknown[] = [];
    for await (const each of await client.chat.completions.create({ model: "m", messages: [], stream: true })) {
      chunks.push(each);
    }
    assert.deepEqual(assembled(chatCompletions, dataEvents(...chunks), { ...ONE, samples: 2 }).answer(), answer);
  });
});

function toPlain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
