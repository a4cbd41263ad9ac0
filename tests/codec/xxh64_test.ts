/** XXH64 without WebAssembly gives what the specification's own build gives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../src/codec/checksum.ts";
import { xxh64 } from "../../src/codec/xxh64.ts";
import { noise } from "../../src/testing/store/values.ts";

const checksum = await loadChecksum();

describe("xxh64", () => {
  it("is that of the specification's test vectors", () => {
    // https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md names the algorithm; "" and "abc" are widely given.
    assert.equal(xxh64(new Uint8Array(0)), 0xef46db3751d8e999n);
    assert.equal(xxh64(new TextEncoder().encode("abc")), 0x44bc2cf5ad770999n);
  });

  it("is that of WebAssembly for every length around its stripes, and for any seed", () => {
    for (let length = 0; length <= 300; length++) {
      const bytes = noise(length);
      assert.equal(xxh64(bytes), checksum(bytes), `${length} bytes`);
      const seed = BigInt(length) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn;
      assert.equal(xxh64(bytes, seed), checksum(bytes, seed), `${length} bytes with the seed ${seed}`);
    }
  });

  it("looks at a view's own bytes only", () => {
    const bytes = noise(100);
    assert.equal(xxh64(bytes.subarray(3, 71)), checksum(bytes.slice(3, 71)));
  });
});
