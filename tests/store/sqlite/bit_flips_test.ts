import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flipBits } from "./bit_flips.ts";

describe("flipped bits anywhere in a database", () => {
  it("never make a wrong answer, nor an exception of a lookup", async () => {
    const { right, missed, wrong, thrown } = await flipBits({ flips: 500, seed: 1 });
    assert.deepEqual({ wrong, thrown }, { wrong: [], thrown: [] });
    assert.ok(right > 0 && missed > 0, "some rows were hit, and some were not");
  });
});
