/** zstd: what goes in comes out, and nothing that lies about its size gets any memory. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import "../../src/runtime/load.ts";
import type { Codec } from "../../src/codec/codec.ts";
import { FAST, THOROUGH } from "../../src/codec/codec.ts";
import { CodecError } from "../../src/codec/error.ts";
import { declaredSize, loadZstd, ZSTD_SIZE_LIMIT } from "../../src/codec/zstd.ts";

const encoder = new TextEncoder();
const prose = encoder.encode("In the beginning was the word, and the word was cached. ".repeat(40));

function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = (state * 48271) % 0x7fffffff) & 0xff);
}

describe("zstd", () => {
  let zstd: Codec;
  before(async () => {
    zstd = await loadZstd();
  });

  it("gives back what was compressed, whatever its length", () => {
    for (const length of [0, 1, 63, 255, 256, 257, 65_791, 65_792, 65_793, 1_000_000]) {
      const bytes = noise(length);
      const frame = zstd.compress(bytes);
      assert.equal(declaredSize(frame), length);
      assert.deepEqual(zstd.decompress(frame, length), bytes);
    }
  });

  it("shortens text", () => {
    const frame = zstd.compress(prose);
    assert.ok(frame.byteLength * 10 < prose.byteLength);
    assert.deepEqual(zstd.decompress(frame, prose.byteLength), prose);
  });

  it("takes more trouble at the level for idle time, to the same end", () => {
    const text = encoder.encode(Array.from({ length: 2_000 }, (_, at) => (at * at % 977).toString(36)).join(" "));
    const frame = zstd.compress(text, { level: THOROUGH });
    assert.ok(frame.byteLength < zstd.compress(text, { level: FAST }).byteLength);
    assert.deepEqual(zstd.compress(text), zstd.compress(text, { level: FAST }));
    assert.deepEqual(zstd.decompress(frame, text.byteLength), text);
  });

  it("lets a caller look at the bytes without a copy, as long as the call lasts", () => {
    const frame = zstd.compress(prose);
    const seen = zstd.read(frame, prose.byteLength, (bytes) => bytes);
    assert.equal(
      zstd.read(frame, prose.byteLength, (bytes) => new TextDecoder().decode(bytes)),
      new TextDecoder().decode(prose),
    );
    assert.notEqual(seen.buffer, zstd.decompress(frame, prose.byteLength).buffer);
    assert.throws(() => zstd.read(frame, prose.byteLength + 1, () => {}), CodecError);
  });

  it("is none the worse for large ones and refused ones in between", () => {
    const small = zstd.compress(prose);
    for (const size of [3_000_000, 10, 1_500_000]) {
      const bytes = noise(size);
      const frame = zstd.compress(bytes);
      assert.deepEqual(zstd.decompress(frame, size), bytes);
      assert.throws(() => zstd.decompress(frame.subarray(0, frame.byteLength - 1), size), CodecError);
      assert.deepEqual(zstd.decompress(small, prose.byteLength), prose);
    }
  });

  it("refuses a frame of another size than the caller expects", () => {
    const frame = zstd.compress(prose);
    assert.throws(() => zstd.decompress(frame, prose.byteLength - 1), {
      name: "CodecError",
      message: `Cannot decompress a frame of ${prose.byteLength - 1} bytes: it declares ${prose.byteLength}`,
    });
  });

  it("refuses a frame that declares more than the limit, however little it holds", () => {
    const bomb = new Uint8Array(32);
    const view = new DataView(bomb.buffer);
    view.setUint32(0, 0xfd2fb528, true);
    view.setUint8(4, 0xe0);
    view.setBigUint64(5, BigInt(ZSTD_SIZE_LIMIT) + 1n, true);
    assert.equal(declaredSize(bomb), ZSTD_SIZE_LIMIT + 1);
    assert.throws(() => zstd.decompress(bomb, ZSTD_SIZE_LIMIT + 1), CodecError);
    assert.throws(() => zstd.compress(new Uint8Array(ZSTD_SIZE_LIMIT + 1)), CodecError);
  });

  it("refuses what is no frame, and a frame cut short", () => {
    const frame = zstd.compress(prose);
    for (const bytes of [new Uint8Array(0), prose, frame.subarray(0, 5), frame.subarray(0, frame.byteLength - 1)]) {
      assert.throws(() => zstd.decompress(bytes, prose.byteLength), CodecError);
    }
    assert.deepEqual(zstd.decompress(frame, prose.byteLength), prose);
  });
});

describe("declaredSize", () => {
  it("is undefined where a frame declares none", () => {
    // Magic, a descriptor with no size and several segments, a window byte.
    assert.equal(declaredSize(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0, 0, 0)), undefined);
  });
});
