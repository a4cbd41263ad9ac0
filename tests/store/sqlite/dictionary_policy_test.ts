/** When a database builds a dictionary, and for which answers. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  isBuildDue,
  LARGEST_RECOMPRESSED,
  SAMPLED_ANSWERS,
  takesDictionary,
} from "../../../src/store/sqlite/dictionary_policy.ts";

describe("isBuildDue", () => {
  it("waits until there are answers enough to pay for a dictionary", () => {
    assert.equal(isBuildDue(0, 0), false);
    assert.equal(isBuildDue(199, 0), false);
    assert.equal(isBuildDue(200, 0), true);
    assert.ok(isBuildDue(SAMPLED_ANSWERS, 0), "there are as many as the builder looks at");
  });

  it("looks again once the database has twice the answers, whatever came of it the last time", () => {
    assert.equal(isBuildDue(200, 200), false);
    assert.equal(isBuildDue(399, 200), false);
    assert.equal(isBuildDue(400, 200), true);
  });

  it("does not look again after answers were removed", () => {
    assert.equal(isBuildDue(1_000, 5_000), false);
  });
});

describe("takesDictionary", () => {
  it("is for answers up to 32 KiB", () => {
    assert.equal(takesDictionary(0), true);
    assert.equal(takesDictionary(32 * 1024), true);
    assert.equal(takesDictionary(32 * 1024 + 1), false);
  });

  it("is for no answer that is too large to be recompressed", () => {
    assert.equal(takesDictionary(LARGEST_RECOMPRESSED), false);
  });
});
