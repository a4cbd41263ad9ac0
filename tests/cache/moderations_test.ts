import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InputFault, InputList } from "../../src/cache/batch/inputs.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import {
  joinModerations,
  type ModerationsAnswer,
  readModerations,
  splitModerations,
} from "../../src/cache/batch/moderations.ts";

const MODEL = "omni-moderation-latest";

describe("splitModerations", () => {
  it("makes a request of every different text", () => {
    const { items, places } = split(["a", "b", "a"]);
    assert.deepEqual(items, [{ model: MODEL, input: "a" }, { model: MODEL, input: "b" }]);
    assert.deepEqual(places, [0, 1, 0]);
  });

  it("takes a text, and a list of parts, for one input", () => {
    const parts = [{ type: "text", text: "a" }, { type: "image_url", image_url: { url: "https://example.com/a.png" } }];
    for (const input of ["a", parts]) {
      const request = split(input);
      assert.deepEqual(request.items, [{ model: MODEL, input }]);
      assert.deepEqual(request.gather([0]), { model: MODEL, input });
    }
  });

  it("works without a model, which is OpenAI's to choose", () => {
    assert.deepEqual(splitModerations({ input: ["a"] })!.items, [{ input: "a" }]);
  });

  it("does not divide what it does not understand", () => {
    for (const input of [undefined, null, 1, [], ["a", { type: "text" }], [{ text: "a" }], [1, 2], [["a"]]]) {
      assert.equal(splitModerations({ model: MODEL, input }), undefined, JSON.stringify(input));
    }
  });
});

describe("readModerations", () => {
  it("gives every input the answer that a call for it alone would have got", () => {
    assert.deepEqual(read(answer(1, 2), ["a", "b"]), [answer(1), answer(2)]);
  });

  it("divides usage where a provider counts it", () => {
    const counted = { ...answer(1, 2), usage: { prompt_tokens: 5 } };
    const usages = read(counted, ["aaa", "b"]).map(({ usage }) => usage);
    assert.deepEqual(usages, [{ prompt_tokens: 4 }, { prompt_tokens: 1 }]);
  });

  it("finds a fault in another number of results, for nobody could say which is whose", () => {
    const cases: [answer: unknown, fault: RegExp][] = [
      [answer(1), /1 results for 2 inputs/],
      [answer(1, 2, 3), /3 results for 2 inputs/],
      [{ ...answer(), results: "none" }, /no list of results/],
      [{ error: { message: "no" } }, /no list of results/],
      [null, /no list of results/],
      [{ ...answer(), results: [null, {}] }, /a result is no object/],
    ];
    for (const [given, fault] of cases) {
      assert.match((readModerations(given, split(["a", "b"]).items) as InputFault).fault, fault);
    }
  });
});

describe("joinModerations", () => {
  it("puts the answers together, at every place of the request", () => {
    assert.deepEqual(joinModerations(split(["a", "b", "a"]), [answer(1), answer(2)]), answer(1, 2, 1));
  });

  it("gives back the answer that was divided, usage included", () => {
    const whole = { ...answer(1, 2, 3), usage: { prompt_tokens: 7, total_tokens: 7 } };
    const texts = ["a", "bb", "ccc"];
    assert.deepEqual(joinModerations(split(texts), read(whole, texts)), whole);
  });

  it("says nothing of usage when one part is unknown", () => {
    const counted = { ...answer(1), usage: { prompt_tokens: 5 } };
    assert.deepEqual(joinModerations(split(["a", "b"]), [counted, answer(2)]), answer(1, 2));
  });

  it("does not put answers of different models together", () => {
    const other = { ...answer(2), model: "another" };
    assert.equal(joinModerations(split(["a", "b"]), [answer(1), other]), undefined);
  });

  it("puts nothing together with an answer that does not have one result", () => {
    const odd = [answer(), answer(1, 2), { model: MODEL }, { model: MODEL, results: [null] }, [], null, "text"];
    for (const other of odd) assert.equal(joinModerations(split(["a", "b"]), [answer(1), other]), undefined);
  });
});

function split(input: unknown): InputList {
  return splitModerations({ model: MODEL, input })!;
}

function read(given: unknown, texts: string[]): readonly JsonObject[] {
  return (readModerations(given, split(texts).items) as ModerationsAnswer).answers;
}

/** An answer whose results are told apart by their scores. */
function answer(...scores: number[]): JsonObject {
  const results = scores.map((score) => ({ flagged: false, categories: {}, category_scores: { violence: score } }));
  return { id: "modr-1", model: MODEL, results };
}
