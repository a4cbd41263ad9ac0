/** Anthropic's messages as they are streamed, by the grammar that its documentation gives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../../src/cache/json.ts";
import type { Assembler } from "../../../src/cache/stream/protocol.ts";
import { messages } from "../../../src/cache/stream/messages.ts";
import { assembled, Maker, messageAnswer, typedEvents } from "./support.ts";

type Event = { type: string } & JsonObject;

const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-4-20250514",
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: { input_tokens: 25, cache_read_input_tokens: 5, output_tokens: 1 },
};
const START: Event = { type: "message_start", message: MESSAGE };
const END: Event[] = [
  {
    type: "message_delta",
    delta: { stop_reason: "end_turn", stop_sequence: null },
    usage: { output_tokens: 15, input_tokens: null, server_tool_use: { web_search_requests: 1 } },
  },
  { type: "message_stop" },
];

function block(index: number, content: JsonObject, ...deltas: JsonObject[]): Event[] {
  return [
    { type: "content_block_start", index, content_block: content },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ];
}

const TEXT = block(0, { type: "text", text: "" }, { type: "text_delta", text: "Hel" }, {
  type: "text_delta",
  text: "lo",
});

function assemble(...events: Event[]): Assembler {
  return assembled(messages, typedEvents(...events));
}

function contentOf(...events: Event[]): unknown {
  const assembler = assemble(START, ...events, ...END);
  assert.equal(assembler.failure, undefined);
  return assembler.answer()!.content;
}

describe("a message, assembled", () => {
  it("is what a call without stream would have had", () => {
    assert.deepEqual(assemble(START, { type: "ping" }, ...TEXT, ...END).answer(), {
      ...MESSAGE,
      content: [{ type: "text", text: "Hello" }],
      stop_reason: "end_turn",
      usage: {
        input_tokens: 25,
        cache_read_input_tokens: 5,
        output_tokens: 15,
        server_tool_use: { web_search_requests: 1 },
      },
    });
  });

  it("joins a tool's input and reads it when the block stops", () => {
    const pieces = ["", '{"city": "Par', 'is", "n": [1', ", 2.5]}"];
    const deltas = pieces.map((piece) => ({ type: "input_json_delta", partial_json: piece }));
    for (const type of ["tool_use", "server_tool_use", "mcp_tool_use"]) {
      const call = { type, id: "toolu_1", name: "weather", input: {} };
      assert.deepEqual(contentOf(...block(0, call, ...deltas)), [{ ...call, input: { city: "Paris", n: [1, 2.5] } }]);
    }
  });

  it("leaves a tool's input as it was at the start when no piece comes", () => {
    const call = { type: "tool_use", id: "toolu_1", name: "now", input: {} };
    assert.deepEqual(contentOf(...block(0, call, { type: "input_json_delta", partial_json: "" })), [call]);
    const given = { ...call, input: { a: 1 } };
    assert.deepEqual(contentOf(...block(0, given)), [given]);
  });

  it("joins thinking and takes its signature", () => {
    const thought = { type: "thinking", thinking: "", signature: "" };
    const deltas = [
      { type: "thinking_delta", thinking: "Let me " },
      { type: "thinking_delta", thinking: "see" },
      { type: "signature_delta", signature: "EqQB" },
    ];
    assert.deepEqual(contentOf(...block(0, thought, ...deltas)), [
      { type: "thinking", thinking: "Let me see", signature: "EqQB" },
    ]);
  });

  it("appends citations", () => {
    const cite = (n: number): JsonObject => ({ type: "citations_delta", citation: { n } });
    const [text] = contentOf(
      ...block(0, { type: "text", text: "", citations: null }, cite(1), cite(2)),
    ) as JsonObject[];
    assert.deepEqual(text!.citations, [{ n: 1 }, { n: 2 }]);
  });

  it("keeps blocks that come whole, and orders blocks by number", () => {
    const hidden = { type: "redacted_thinking", data: "Emw" };
    const result = { type: "web_search_tool_result", tool_use_id: "s", content: [{ url: "u" }] };
    assert.deepEqual(contentOf(...block(2, result), ...block(1, hidden), ...TEXT), [
      { type: "text", text: "Hello" },
      hidden,
      result,
    ]);
  });

  it("keeps deltas and members that nobody here has heard of", () => {
    const [odd] = contentOf(
      ...block(0, { type: "odd", said: "a" }, { type: "odd_delta", said: "b", n: 1 }),
    ) as unknown[];
    assert.deepEqual(odd, { type: "odd", said: "ab", n: 1 });
    const changed = {
      ...END[0]!,
      context_management: { applied_edits: [] },
      delta: { stop_reason: "end_turn", container: { id: "c" } },
    };
    const answer = assemble(START, ...TEXT, changed, END[1]!).answer()!;
    assert.deepEqual(answer.context_management, { applied_edits: [] });
    assert.deepEqual(answer.container, { id: "c" });
  });

  it("passes over events of a type that nobody here has heard of", () => {
    assert.ok(assemble(START, { type: "weather_report" }, ...TEXT, ...END).isComplete);
  });
});

describe("a message's stream", () => {
  it("is a failure in the provider's words when an error comes", () => {
    const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    assert.equal(assemble(START, ...TEXT, error).failure, "Overloaded");
  });

  it("is not complete before the message stops, though its stop_reason is known", () => {
    const assembler = assemble(START, ...TEXT, END[0]!);
    assert.equal(assembler.isComplete, false);
    assert.equal(assembler.failure, undefined);
  });

  it("does not look behind message_stop", () => {
    const late = block(1, { type: "text", text: "late" });
    assert.deepEqual(assemble(START, ...TEXT, ...END, late[0]!).answer(), assemble(START, ...TEXT, ...END).answer());
  });

  it("is a failure when its events do not follow the grammar", () => {
    const [begin, delta, , stop] = TEXT;
    const json = (text: unknown): Event[] =>
      block(0, { type: "tool_use", input: {} }, { type: "input_json_delta", partial_json: text });
    const wrong: [Event[], RegExp][] = [
      [[START, START], /start once/],
      [[{ type: "message_start" }], /start once/],
      [TEXT, /no message/],
      [[START, { ...begin!, content_block: "text" }], /no content/],
      [[START, { ...begin!, index: "0" }], /no index/],
      [[START, begin!, begin!], /block 0 starts twice/],
      [[START, delta!], /block 0 is not open/],
      [[START, begin!, stop!, delta!], /block 0 is not open/],
      [[START, begin!, { ...delta!, index: 1 }], /block 1 is not open/],
      [[START, begin!, { ...delta!, delta: null }], /no object/],
      [[START, begin!, { ...delta!, delta: { type: "text_delta", text: 7 } }], /not of one kind/],
      [[START, ...json('{"a":')], /no JSON/],
      [[START, ...json(7)], /no text/],
      [[START, ...json('{"id":12345678901234567890}')], /beyond 2\^53/],
      [[END[0]!], /before it starts/],
      [[END[1]!], /without a stop_reason/],
      [[START, ...TEXT, END[1]!], /without a stop_reason/],
      [[START, begin!, delta!, ...END], /before a block/],
    ];
    for (const [events, message] of wrong) {
      const assembler = assemble(...events, ...END);
      assert.match(assembler.failure ?? "", message);
      assert.equal(assembler.answer(), undefined);
    }
    assert.match(assembled(messages, [{ data: "{}" }]).failure!, /no type/);
  });
});

describe("a message, disassembled", () => {
  it("follows the grammar of the provider's documentation", () => {
    for (let seed = 0; seed < 100; seed++) {
      const answer = messageAnswer(new Maker(seed));
      const events = messages.disassemble(answer, { includeUsage: false }).map(({ event, data }) => {
        const parsed = JSON.parse(data);
        assert.equal(parsed.type, event);
        return parsed;
      });
      const grammar =
        /^message_start( content_block_start( content_block_delta)* content_block_stop)* message_delta message_stop$/;
      assert.match(events.map(({ type }) => type).join(" "), grammar);
      const { message } = events[0];
      assert.deepEqual([message.content, message.stop_reason, message.usage.output_tokens], [[], null, 0]);
      assert.deepEqual(events.at(-2).usage, { output_tokens: (answer.usage as JsonObject).output_tokens });
      const starts = events.filter(({ type }) => type === "content_block_start");
      assert.deepEqual(starts.map(({ index }) => index), starts.map((_, at) => at));
      for (const { content_block: { type, text, thinking, input } } of starts) {
        if (type === "text") assert.equal(text, "");
        if (type === "thinking") assert.equal(thinking, "");
        if (type === "tool_use") assert.deepEqual(input, {});
      }
    }
  });

  it("writes what each kind of block is written with", () => {
    const content = [
      { type: "text", text: "Hi", citations: [{ n: 1 }] },
      { type: "thinking", thinking: "Hm", signature: "S" },
      { type: "tool_use", id: "t", name: "get", input: { a: 1 } },
      { type: "redacted_thinking", data: "E" },
    ];
    const events = messages.disassemble({ ...MESSAGE, content, stop_reason: "end_turn" }, { includeUsage: false });
    const deltas = events.map(({ data }) => JSON.parse(data)).filter(({ type }) => type === "content_block_delta");
    assert.deepEqual(deltas.map(({ index, delta }) => [index, delta]), [
      [0, { type: "text_delta", text: "Hi" }],
      [0, { type: "citations_delta", citation: { n: 1 } }],
      [1, { type: "thinking_delta", thinking: "Hm" }],
      [1, { type: "signature_delta", signature: "S" }],
      [2, { type: "input_json_delta", partial_json: '{"a":1}' }],
    ]);
  });

  it("is refused when a tool's input has an integer that JSON.parse may have changed", () => {
    const call = { type: "tool_use", id: "t", name: "get", input: { deep: [{ id: 12345678901234567000 }] } };
    assert.throws(() => messages.disassemble({ ...MESSAGE, content: [call] }, { includeUsage: false }), {
      name: "TypeError",
      message: /2\^53/,
    });
  });
});
