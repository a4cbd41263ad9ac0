/**
 * The law of all protocols: a stream made of an answer gives the answer again, however its bytes are cut, and nothing
 * passes for an answer before everything has come.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../../src/cache/json.ts";
import type { Expected, StreamProtocol } from "../../../src/cache/stream/protocol.ts";
import { streamProtocol } from "../../../src/cache/stream/protocols.ts";
import type { SseEvent } from "../../../src/cache/stream/sse.ts";
import {
  assembled,
  chatAnswer,
  completionAnswer,
  contentAnswer,
  Maker,
  messageAnswer,
  modelAnswer,
  ONE,
  parseInPieces,
  responseAnswer,
  sseBytes,
} from "./support.ts";

interface Case {
  readonly endpoint: string;
  readonly make: (make: Maker) => JsonObject;
  /** Which event completes the stream: the last one, or the last that brings a `finish_reason`. */
  readonly isLast: (event: SseEvent) => boolean;
}

const hasFinishReason = ({ data }: SseEvent): boolean => /"finish_reason":"/.test(data);
const CASES: readonly Case[] = [
  { endpoint: "/v1/chat/completions", make: chatAnswer, isLast: hasFinishReason },
  { endpoint: "/v1/completions", make: completionAnswer, isLast: hasFinishReason },
  { endpoint: "/v1/responses", make: responseAnswer, isLast: () => true },
  { endpoint: "/v1/messages", make: messageAnswer, isLast: () => true },
  { endpoint: "/v1beta/models/gemini:generateContent", make: contentAnswer, isLast: () => true },
  { endpoint: "/ai-sdk/v4/language-model", make: modelAnswer, isLast: () => true },
];
const ANSWERS = 300;

describe("streamProtocol", () => {
  it("knows the endpoints that stream, at every provider", () => {
    assert.ok(streamProtocol("/openai/deployments/x/chat/completions"));
    assert.ok(streamProtocol("/v1/messages"));
    assert.notEqual(streamProtocol("/v1/chat/completions"), streamProtocol("/v1/completions"));
  });

  it("knows no other", () => {
    for (const endpoint of ["/v1/embeddings", "/v1/messages/batches", "/v1beta/models/gemini:embedContent"]) {
      assert.equal(streamProtocol(endpoint), undefined);
    }
  });
});

for (const { endpoint, make, isLast } of CASES) {
  const protocol = streamProtocol(endpoint)!;

  describe(`a stream of ${endpoint}`, () => {
    it("gives the answer that it was made of", () => {
      for (let seed = 0; seed < ANSWERS; seed++) {
        const answer = make(new Maker(seed));
        const stream = protocol.disassemble(answer, { includeUsage: true });
        const assembler = assembled(protocol, stream, expectedOf(answer));
        assert.equal(assembler.failure, undefined);
        assert.deepEqual(assembler.answer(), answer, `seed ${seed}`);
      }
    });

    it("leaves the answer as it was", () => {
      const answer = make(new Maker(1));
      const before = structuredClone(answer);
      const stream = protocol.disassemble(answer, { includeUsage: true });
      assembled(protocol, stream, expectedOf(answer));
      assert.deepEqual(answer, before);
    });

    it("gives the same answer in pieces of every size", () => {
      const { answer, bytes } = smallest(protocol, make);
      for (let size = 1; size <= bytes.length; size++) {
        const assembler = assembled(protocol, parseInPieces(bytes, size), expectedOf(answer));
        assert.deepEqual(assembler.answer(), answer, `pieces of ${size}`);
      }
    });

    it("is no answer before its last event, and none ever when one is missing", () => {
      for (let seed = 0; seed < ANSWERS / 10; seed++) {
        const answer = make(new Maker(seed));
        const stream = protocol.disassemble(answer, { includeUsage: true });
        const last = stream.findLastIndex(isLast);
        const assembler = protocol.assembler(expectedOf(answer));
        for (const [at, event] of stream.entries()) {
          assert.equal(assembler.isComplete, at > last, `seed ${seed}, before event ${at}`);
          assert.equal(assembler.answer() !== undefined, assembler.isComplete);
          assembler.add(event);
        }
        assert.equal(assembler.isComplete, true);
      }
    });

    it("is no answer when it is cut at any byte before its last event's end", () => {
      const { answer, bytes } = smallest(protocol, make);
      const stream = protocol.disassemble(answer, { includeUsage: true });
      const last = sseBytes(stream.slice(0, stream.findLastIndex(isLast) + 1)).length;
      // The blank line after an event, and its line end, say nothing.
      for (let cut = 0; cut < last - 2; cut++) {
        const assembler = assembled(protocol, parseInPieces(bytes.slice(0, cut), cut || 1), expectedOf(answer));
        assert.equal(assembler.answer(), undefined, `cut at ${cut}`);
      }
    });

    it("is a failure when an event holds no JSON object", () => {
      for (const data of ["", "{", "null", "[]", '"text"', "<html>", "[DONE"]) {
        const answer = make(new Maker(1));
        const stream = protocol.disassemble(answer, { includeUsage: true });
        const assembler = assembled(
          protocol,
          [...stream.slice(0, 2), { data }, ...stream.slice(2)],
          expectedOf(answer),
        );
        assert.match(assembler.failure ?? "", /no JSON object/, data);
        assert.equal(assembler.isComplete, false);
        assert.equal(assembler.answer(), undefined);
      }
    });

    it("is a failure in the provider's words when there is an error in its middle", () => {
      const errors: [SseEvent, string][] = [
        [{ data: '{"error":{"message":"Overloaded","code":529}}' }, "Overloaded"],
        [{ data: '{"error":"no credit"}' }, "no credit"],
        [{ data: '{"error":{"code":1}}' }, '{"code":1}'],
        [{ event: "error", data: '{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}' }, "Busy"],
        [{ event: "error", data: '{"message":"Gone"}' }, "Gone"],
        [{ data: '{"type":"error","code":"server_error","message":"Broken","param":null}' }, "Broken"],
      ];
      for (const [error, words] of errors) {
        const answer = make(new Maker(2));
        const stream = protocol.disassemble(answer, { includeUsage: true });
        const assembler = assembled(protocol, [...stream.slice(0, 1), error, ...stream.slice(1)], expectedOf(answer));
        assert.equal(assembler.failure, words);
        assert.equal(assembler.answer(), undefined);
      }
    });

    it("is no answer when nothing came but the end mark", () => {
      assert.match(assembled(protocol, [{ data: "[DONE]" }]).failure ?? "", /it ended before/);
      assert.equal(assembled(protocol, []).isComplete, false);
    });

    it("has its texts in pieces of a few words", () => {
      const text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
      const answer = JSON.parse(JSON.stringify(make(new Maker(3))));
      const stream = protocol.disassemble(withText(endpoint, answer, text), { includeUsage: true });
      const deltas = stream.filter(({ data }) => !data.includes(text.slice(0, 80)));
      assert.ok(deltas.length > 20 && deltas.length < 80, String(deltas.length));
    });
  });
}

describe("every protocol", () => {
  it("refuses to make a stream of what is no answer of its own", () => {
    for (const { endpoint } of CASES) {
      for (const answer of [{}, { choices: [] }, { choices: [1] }, { content: "text" }, { output: 1 }]) {
        assert.throws(() => streamProtocol(endpoint)!.disassemble(answer, { includeUsage: true }), TypeError);
      }
    }
  });

  it("does not let a chunk change what an object is", () => {
    const stream: SseEvent[] = [
      { data: '{"choices":[{"index":0,"delta":{"__proto__":{"a":"x"}}}],"__proto__":{"polluted":1}}' },
      { data: '{"choices":[{"index":0,"delta":{"__proto__":{"a":"y"}},"finish_reason":"stop"}]}' },
    ];
    const answer = assembled(streamProtocol("/v1/chat/completions")!, stream).answer()!;
    assert.equal((answer as { polluted?: number }).polluted, undefined);
    assert.equal(
      JSON.stringify(answer),
      '{"__proto__":{"polluted":1},"choices":[{"index":0,"finish_reason":"stop","message":' +
        '{"role":"assistant","content":null,"__proto__":{"a":"xy"}}}]}',
    );
  });

  it("survives a chunk that is nested too deep to be taken in", () => {
    const deep = '{"a":'.repeat(200_000) + "1" + "}".repeat(200_000);
    const chunk = { data: `{"choices":[{"index":0,"delta":{"x":${deep}}}]}` };
    const assembler = assembled(streamProtocol("/v1/chat/completions")!, [chunk, chunk]);
    assert.ok(assembler.failure);
    assert.equal(assembler.isComplete, false);
  });
});

/** The shortest of some streams, so that it can be cut everywhere. */
function smallest(protocol: StreamProtocol, make: Case["make"]): { answer: JsonObject; bytes: Uint8Array } {
  const answers = Array.from({ length: 60 }, (_, seed) => make(new Maker(seed + 1000)));
  const streams = answers.map((answer) => ({
    answer,
    bytes: sseBytes(protocol.disassemble(answer, { includeUsage: true })),
  }));
  const rich = streams.filter(({ bytes }) => bytes.some((byte) => byte >= 0x80));
  return rich.toSorted((one, other) => one.bytes.length - other.bytes.length)[0]!;
}

function expectedOf({ choices }: JsonObject): Expected {
  return Array.isArray(choices) ? { samples: choices.length, prompts: 1 } : ONE;
}

function withText(endpoint: string, answer: JsonObject, text: string): JsonObject {
  switch (endpoint) {
    case "/v1/chat/completions":
      return {
        ...answer,
        choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
      };
    case "/v1/completions":
      return { ...answer, choices: [{ index: 0, text, finish_reason: "stop" }] };
    case "/v1/responses":
      return { ...answer, output: [{ id: "m", type: "message", content: [{ type: "output_text", text }] }] };
    case "/v1/messages":
    case "/ai-sdk/v4/language-model":
      return { ...answer, content: [{ type: "text", text }] };
    default:
      return { ...answer, candidates: [{ content: { parts: [{ text }], role: "model" }, finishReason: "STOP" }] };
  }
}
