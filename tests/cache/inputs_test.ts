import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  addUsage,
  inputLength,
  listedInputs,
  shareCost,
  shareOut,
  shareUsage,
  singleInput,
} from "../../src/cache/batch/inputs.ts";

describe("listedInputs", () => {
  it("makes a request of every different input, with everything else kept", () => {
    const { items, places } = listedInputs({ model: "m", input: ["a", "b", "a"], user: "u" }, ["a", "b", "a"]);
    assert.deepEqual(items, [{ model: "m", input: "a", user: "u" }, { model: "m", input: "b", user: "u" }]);
    assert.deepEqual(places, [0, 1, 0]);
  });

  it("asks for some of them in the order given, always as a list", () => {
    const list = listedInputs({ model: "m", input: ["a", "b", "c"] }, ["a", "b", "c"]);
    assert.deepEqual(list.gather([2, 0]), { model: "m", input: ["c", "a"] });
    assert.deepEqual(list.gather([1]), { model: "m", input: ["b"] });
  });

  it("does not take a text for the list of tokens it looks like", () => {
    assert.deepEqual(listedInputs({}, ["1,2", [1, 2], "[1,2", [1, 2]]).places, [0, 1, 2, 1]);
  });
});

describe("singleInput", () => {
  it("is its own only item", () => {
    const body = { model: "m", input: "a" };
    const { items, places, gather } = singleInput(body);
    assert.deepEqual({ items, places }, { items: [body], places: [0] });
    assert.deepEqual(gather([0]), body);
    assert.notEqual(gather([0]), body);
  });
});

describe("inputLength", () => {
  it("counts bytes of a text in UTF-8, and members of a list", () => {
    assert.equal(inputLength({ input: "a€😀" }), 1 + 3 + 4);
    assert.equal(inputLength({ input: [1, 2, 3] }), 3);
    assert.equal(inputLength({}), 0);
  });
});

describe("shareOut", () => {
  it("divides by largest remainder, the first of equals first", () => {
    assert.deepEqual(shareOut(10, [1, 1, 1]), [4, 3, 3]);
    assert.deepEqual(shareOut(10, [3, 3, 1]), [4, 4, 2]);
    assert.deepEqual(shareOut(7, [1, 0, 6]), [1, 0, 6]);
    assert.deepEqual(shareOut(1, [1, 2]), [0, 1]);
    assert.deepEqual(shareOut(0, [1, 2]), [0, 0]);
  });

  it("divides evenly where nothing has weight", () => {
    assert.deepEqual(shareOut(5, [0, 0]), [3, 2]);
  });

  it("always adds up, also where products are beyond 2^53", () => {
    let state = 7;
    const next = (): number => state = (state * 48271) % 2147483647;
    for (let round = 0; round < 500; round++) {
      const weights = Array.from({ length: 1 + next() % 40 }, () => next() % 1e8);
      const total = next() * 4000;
      assert.equal(shareOut(total, weights).reduce((sum, share) => sum + share), total);
    }
  });
});

describe("shareCost", () => {
  it("divides an amount in proportion to lengths, evenly where nothing has one, and nothing that is not known", () => {
    assert.deepEqual(shareCost(8, [4, 2, 2]), [4, 2, 2]);
    assert.deepEqual(shareCost(3, [0, 0]), [1.5, 1.5]);
    assert.deepEqual(shareCost(0, [1, 2]), [0, 0]);
    assert.deepEqual(shareCost(null, [1, 2]), [null, null]);
  });
});

describe("shareUsage", () => {
  it("divides whole numbers, inner ones included, and addUsage gives them back", () => {
    const usage = { prompt_tokens: 10, details: { audio: 3, kind: "x" }, total_tokens: 10, tier: "default", cost: 0.5 };
    const parts = shareUsage(usage, [1, 1, 1]);
    assert.deepEqual(parts.map(({ prompt_tokens }) => prompt_tokens), [4, 3, 3]);
    assert.deepEqual(parts.map(({ details }) => details), Array(3).fill({ audio: 1, kind: "x" }));
    assert.deepEqual(addUsage(parts), usage);
  });
});
