/** Names of models as labels. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BoundedNames } from "../../src/http/operations/bounded_names.ts";

describe("BoundedNames.labelOf", () => {
  it("takes a name once there is such a thing for sure, and then always", () => {
    const names = new BoundedNames(10);
    assert.equal(names.labelOf("a", false), "other");
    assert.equal(names.labelOf("a", true), "a");
    assert.equal(names.labelOf("a", false), "a");
  });

  it("takes so many and no more", () => {
    const names = new BoundedNames(2);
    assert.deepEqual(["a", "b", "c", "a", "b"].map((name) => names.labelOf(name, true)), ["a", "b", "other", "a", "b"]);
  });

  it("takes none that is longer than a name is", () => {
    assert.equal(new BoundedNames(2).labelOf("x".repeat(129), true), "other");
    assert.equal(new BoundedNames(2).labelOf("x".repeat(128), true), "x".repeat(128));
  });
});
