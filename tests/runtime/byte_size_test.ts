/** Sizes as people write them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseByteSize } from "../../src/runtime/byte_size.ts";

describe("parseByteSize", () => {
  it("reads bytes, decimal and binary units, in any case, with or without a space", () => {
    assert.equal(parseByteSize("500000000"), 500_000_000);
    assert.equal(parseByteSize("12b"), 12);
    assert.equal(parseByteSize("4GB"), 4e9);
    assert.equal(parseByteSize("2GiB"), 2 ** 31);
    assert.equal(parseByteSize(" 1.5 gib "), 1.5 * 2 ** 30);
    assert.equal(parseByteSize("0.3kb"), 300);
    assert.equal(parseByteSize("1tib"), 2 ** 40);
  });

  it("rounds down", () => {
    assert.equal(parseByteSize("1.0019kb"), 1001);
  });

  it("finds none in anything else, nor in less than a byte", () => {
    for (const text of ["", "GB", "4G", "4 XB", "-1", "1e9", "1,5GB", "0", "0.2", "4GB and more", "99999999TB"]) {
      assert.equal(parseByteSize(text), undefined, text);
    }
  });
});
