/** Gemini's answers as they are streamed: what a chunk adds to, and what it does not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../../src/cache/json.ts";
import type { Assembler } from "../../../src/cache/stream/protocol.ts";
import { generateContent } from "../../../src/cache/stream/generate_content.ts";
import { assembled, dataEvents } from "./support.ts";

const USAGE = { promptTokenCount: 4, candidatesTokenCount: 2, totalTokenCount: 6 };

function chunk(parts: JsonObject[], rest: JsonObject = {}, head: JsonObject = {}): JsonObject {
  return {
    candidates: [{ content: { parts, role: "model" }, index: 0, ...rest }],
    usageMetadata: { promptTokenCount: 4, totalTokenCount: 4 },
    modelVersion: "gemini-2.5-flash",
    responseId: "r1",
    ...head,
  };
}

const stop = (parts: JsonObject[]): JsonObject => chunk(parts, { finishReason: "STOP" }, { usageMetadata: USAGE });
const assemble = (...chunks: JsonObject[]): Assembler => assembled(generateContent, dataEvents(...chunks));

function partsOf(...chunks: JsonObject[]): unknown {
  const assembler = assemble(...chunks);
  assert.equal(assembler.failure, undefined);
  const [candidate] = assembler.answer()!.candidates as { content: { parts: unknown } }[];
  return candidate!.content.parts;
}

describe("an answer of generateContent, assembled", () => {
  it("is what a call without stream would have had", () => {
    assert.deepEqual(
      assemble(chunk([{ text: "It" }]), chunk([{ text: " will" }]), stop([{ text: " rain." }])).answer(),
      {
        candidates: [{
          content: { parts: [{ text: "It will rain." }], role: "model" },
          index: 0,
          finishReason: "STOP",
        }],
        usageMetadata: USAGE,
        modelVersion: "gemini-2.5-flash",
        responseId: "r1",
      },
    );
  });

  it("keeps thoughts apart from what is said", () => {
    const thought = (text: string): JsonObject => ({ text, thought: true });
    assert.deepEqual(
      partsOf(chunk([thought("Cl")]), chunk([thought("ouds?"), { text: "It" }]), stop([{ text: " will." }])),
      [
        thought("Clouds?"),
        { text: "It will." },
      ],
    );
  });

  it("leaves a signature with the part in which it came", () => {
    const signed = { text: "", thoughtSignature: "CpcB" };
    const call = { functionCall: { name: "umbrella", args: { open: true } }, thoughtSignature: "Cs8B" };
    assert.deepEqual(partsOf(chunk([{ text: "It" }]), chunk([signed]), chunk([{ text: " will." }]), stop([call])), [
      { text: "It" },
      signed,
      { text: " will." },
      call,
    ]);
  });

  it("has calls of functions whole, however many there are", () => {
    const calls = [1, 2].map((n) => ({ functionCall: { id: `c${n}`, name: "umbrella", args: { n } } }));
    assert.deepEqual(partsOf(chunk(calls.slice(0, 1)), stop(calls.slice(1))), calls);
  });

  it("keeps candidates apart by their index", () => {
    const two = (text: string, index: number, rest: JsonObject = {}): JsonObject =>
      chunk([{ text }], { index, ...rest });
    const done = { finishReason: "STOP" };
    const assembler = assemble(two("a", 1), two("b", 0), two("A", 1, done));
    assert.equal(assembler.isComplete, false, "one has not finished");
    assembler.add(dataEvents(two("B", 0, done))[0]!);
    const candidates = assembler.answer()!.candidates as { content: { parts: unknown } }[];
    assert.deepEqual(candidates.map(({ content }) => content.parts), [[{ text: "bB" }], [{ text: "aA" }]]);
  });

  it("goes on after a finishReason, which some models name in every chunk", () => {
    assert.deepEqual(partsOf(stop([{ text: "It" }]), stop([{ text: " will" }]), stop([{ text: " rain." }])), [
      { text: "It will rain." },
    ]);
    assert.equal(generateContent.ending, "close");
  });

  it("is there when the prompt was refused, without candidates", () => {
    const feedback = { promptFeedback: { blockReason: "SAFETY" }, usageMetadata: USAGE };
    assert.deepEqual(assemble(feedback).answer(), feedback);
    assert.deepEqual(generateContent.disassemble(feedback, { includeUsage: false }), dataEvents(feedback));
  });

  it("adds sources up, and takes the last word on anything else", () => {
    const cited = (uri: string): JsonObject => ({ citationMetadata: { citationSources: [{ uri }] } });
    const assembler = assemble(
      chunk([{ text: "a" }], { ...cited("1"), groundingMetadata: { webSearchQueries: ["x"] } }),
      chunk([{ text: "b" }], {
        ...cited("2"),
        groundingMetadata: { webSearchQueries: ["x", "y"] },
        finishReason: "STOP",
      }),
    );
    const [candidate] = assembler.answer()!.candidates as JsonObject[];
    assert.deepEqual(candidate!.citationMetadata, { citationSources: [{ uri: "1" }, { uri: "2" }] });
    assert.deepEqual(candidate!.groundingMetadata, { webSearchQueries: ["x", "y"] });
  });

  it("is none while no finishReason has come, nor for one that says nothing", () => {
    for (const finishReason of [undefined, "", null, "FINISH_REASON_UNSPECIFIED"]) {
      assert.equal(assemble(chunk([{ text: "It" }], { finishReason })).isComplete, false);
    }
    assert.equal(assemble({ usageMetadata: USAGE }).isComplete, false);
  });

  it("is a failure when something does not fit", () => {
    const cases: [JsonObject, RegExp][] = [
      [{}, /neither candidates nor usage/],
      [{ candidates: {} }, /no list/],
      [{ candidates: ["x"] }, /no object/],
      [{ candidates: [{ index: "x" }] }, /no index/],
      [chunk(["x" as unknown as JsonObject]), /part is no object/],
      [chunk([{ functionCall: { name: "f", willContinue: true } }]), /come in pieces/],
      [chunk([{ functionCall: { name: "f", args: { id: 2 ** 60 } } }]), /beyond 2\^53/],
      [{ error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } }, /^overloaded$/],
    ];
    for (const [bad, words] of cases) assert.match(assemble(chunk([{ text: "a" }]), bad).failure ?? "", words);
  });
});

describe("an answer of generateContent, as a stream", () => {
  it("refuses what would be another answer afterwards", () => {
    const call = { functionCall: { name: "f", args: { id: 2 ** 60 } } };
    assert.throws(() => generateContent.disassemble(stop([call]), { includeUsage: true }), TypeError);
    assert.throws(() => generateContent.disassemble({ usageMetadata: USAGE }, { includeUsage: true }), TypeError);
  });
});
