/** What the playground works out for itself, apart from any page: pieces, differences, what was asked before. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { groupAnswered } from "../../examples/playground/asked.ts";
import { difference } from "../../examples/playground/difference.ts";
import { type CompletionChunk, type Piece, PieceReader } from "../../examples/playground/pieces.ts";

/** A chunk with one token; where its logarithm is 0 it was certain. */
function chunk(token: string, text = token, finishReason: string | null = null, logprob = 0): CompletionChunk {
  const logprobs = { tokens: [token], token_logprobs: [logprob], top_logprobs: [{ [token]: logprob, other: -3 }] };
  return { choices: [{ text, finish_reason: finishReason, logprobs }] };
}

function end(finishReason: string, text = ""): CompletionChunk {
  const logprobs = { tokens: [], token_logprobs: [], top_logprobs: [] };
  return { choices: [{ text, finish_reason: finishReason, logprobs }] };
}

function readAll(chunks: readonly CompletionChunk[]): Piece[] {
  const reader = new PieceReader();
  return chunks.flatMap((each) => reader.read(each));
}

describe("PieceReader", () => {
  it("gives a piece for each token, with its probability and what else was likely, the likeliest first", () => {
    const [piece] = readAll([chunk(" law", " law", null, -4)]);
    assert.equal(piece!.text, " law");
    assert.equal(piece!.probability, Math.exp(-4));
    assert.deepEqual(piece!.alternatives.map(({ text }) => text), ["other", " law"]);
  });

  it("makes one piece of the tokens that are one character together", () => {
    const pieces = readAll([chunk("bytes:\\xe2\\x80", "", null, -1), chunk("bytes:\\x94", "—", null, -2), chunk(" a")]);
    assert.deepEqual(pieces.map(({ text }) => text), ["—", " a"]);
    assert.ok(Math.abs(pieces[0]!.probability! - Math.exp(-3)) < 1e-12);
    assert.deepEqual(pieces[0]!.alternatives.map(({ text }) => text), ["‹e2 80›", "other"]);
  });

  it("shows a character that never ends as one that is broken", () => {
    assert.deepEqual(readAll([chunk("bytes:\\xe2", ""), chunk(" a")]).map(({ text }) => text), ["\ufffd", " a"]);
    assert.deepEqual(readAll([chunk("bytes:\\xe2", ""), end("length")]).map(({ text }) => text), ["\ufffd"]);
  });

  it("takes the text of a chunk for a piece where there are no probabilities", () => {
    const bare: CompletionChunk = { choices: [{ text: "word", finish_reason: null, logprobs: null }] };
    assert.deepEqual(readAll([bare]), [{ text: "word", probability: undefined, alternatives: [] }]);
  });

  it("passes over chunks that bring nothing, the last one with the usage too", () => {
    assert.deepEqual(readAll([{ choices: [] }, { choices: [{ text: "", finish_reason: null, logprobs: null }] }]), []);
  });

  it("tells why the answer ended, once it has", () => {
    const reader = new PieceReader();
    reader.read(chunk("a"));
    assert.equal(reader.finishReason, undefined);
    reader.read(end("stop"));
    reader.read({ choices: [] });
    assert.equal(reader.finishReason, "stop");
  });
});

/** Two texts, a piece a word; the words that only one of them has. */
function onlyIn(base: string, adapter: string): { parting: number | undefined; base: string; adapter: string } {
  const [one, other] = [base.split(" "), adapter.split(" ")];
  const found = difference(one, other);
  return {
    parting: found.parting,
    base: one.filter((_, at) => !found.base[at]).join(" "),
    adapter: other.filter((_, at) => !found.adapter[at]).join(" "),
  };
}

describe("difference", () => {
  it("finds nothing in two texts that are the same", () => {
    assert.deepEqual(onlyIn("in the beginning", "in the beginning"), { parting: undefined, base: "", adapter: "" });
  });

  it("finds the first piece in which they part", () => {
    assert.deepEqual(onlyIn("the law of Moses", "the man and woman"), {
      parting: 1,
      base: "law of Moses",
      adapter: "man and woman",
    });
  });

  it("has no parting where one text only goes on", () => {
    assert.deepEqual(onlyIn("the law", "the law of men"), { parting: undefined, base: "", adapter: "of men" });
    assert.deepEqual(onlyIn("a", "b"), { parting: 0, base: "a", adapter: "b" });
    assert.deepEqual(difference([], ["a"]), { parting: undefined, base: [], adapter: [false] });
  });

  it("takes pieces in a row for common, and a single one for chance", () => {
    assert.deepEqual(onlyIn("one of the kings , and more", "two of the queens , or less"), {
      parting: 0,
      base: "one kings , and more",
      adapter: "two queens , or less",
    });
  });
});

function answered(seed: number, { created = 0, prompt = "And", temperature = 1 } = {}) {
  return { question: { prompt, maxTokens: 8, temperature, seed }, created };
}

describe("groupAnswered", () => {
  it("makes one question of both sides' answers and of samples whose seeds are in a row", () => {
    const asked = groupAnswered([answered(8), answered(7), answered(7), answered(8, { created: 5 })]);
    assert.deepEqual(asked, [{ question: answered(7).question, samples: 2, created: 5 }]);
  });

  it("keeps apart what was asked otherwise, and seeds with a gap between them", () => {
    const asked = groupAnswered([
      answered(1),
      answered(3),
      answered(1, { temperature: 0 }),
      answered(1, { prompt: "A" }),
    ]);
    assert.deepEqual(asked.map(({ samples }) => samples), [1, 1, 1, 1]);
  });

  it("puts no more samples together than can be asked for", () => {
    const asked = groupAnswered([1, 2, 3, 4, 5, 6, 7].map((seed) => answered(seed)));
    assert.deepEqual(asked.map(({ question: { seed }, samples }) => [seed, samples]), [[1, 5], [6, 2]]);
  });

  it("has the question with the newest answer first", () => {
    const asked = groupAnswered([
      answered(1, { created: 1 }),
      answered(9, { created: 3 }),
      answered(20, { created: 2 }),
    ]);
    assert.deepEqual(asked.map(({ created }) => created), [3, 2, 1]);
  });
});
