/** The codec that changes nothing. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plain } from "../../src/codec/plain.ts";

describe("plain", () => {
  it("gives bytes back as they are", () => {
    const bytes = Uint8Array.of(1, 2, 3);
    assert.deepEqual(plain.decompress(plain.compress(bytes), 3), bytes);
    assert.deepEqual(plain.read(plain.compress(bytes), 3, (content) => content.slice()), bytes);
  });

  it("refuses bytes of another size than the caller expects", () => {
    assert.throws(() => plain.decompress(Uint8Array.of(1, 2, 3), 4), { name: "CodecError" });
  });
});
