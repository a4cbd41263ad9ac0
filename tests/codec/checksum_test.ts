/** XXH64, against its authors' vectors. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../src/codec/checksum.ts";

describe("checksum", () => {
  it("is XXH64", async () => {
    const checksum = await loadChecksum();
    const encoder = new TextEncoder();
    assert.equal(checksum(new Uint8Array(0)), 0xef46db3751d8e999n);
    assert.equal(checksum(encoder.encode("abc")), 0x44bc2cf5ad770999n);
    assert.notEqual(checksum(encoder.encode("abc"), 1n), checksum(encoder.encode("abc")));
  });
});
