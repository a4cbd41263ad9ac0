/** Where a frame of zstd ends, by its headers alone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import "../../src/runtime/load.ts";
import { loadZstd } from "../../src/codec/zstd.ts";
import { frameLength } from "../../src/codec/zstd_frames.ts";

const zstd = await loadZstd();
const noise = (length: number): Uint8Array => {
  let state = length;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 24);
};

describe("frameLength", () => {
  it("finds the end of every frame in a row of them: compressed, repeated, plain, of several blocks, empty", () => {
    const contents = [0, 1, 10, 255, 256, 65_536, 300_000].flatMap((length) => [noise(length), new Uint8Array(length)]);
    const frames = contents.map((content) => zstd.compress(content));
    const all = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
    let end = 0;
    for (const frame of frames) {
      all.set(frame, end);
      end += frame.length;
    }
    let at = 0;
    for (const frame of frames) {
      assert.equal(frameLength(all, at), frame.length);
      at += frame.length;
    }
  });

  it("says that a frame which is cut off anywhere has no end", () => {
    const frame = zstd.compress(noise(200_000));
    for (let length = 0; length < 40; length++) assert.equal(frameLength(frame.subarray(0, length), 0), undefined);
    assert.equal(frameLength(frame.subarray(0, frame.length - 1), 0), undefined);
  });

  it("refuses what is no frame", () => {
    const notFrames = [[1, 2, 3, 4, 5], [0x28, 0xb5, 0x2f, 0xfe], [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]];
    for (const bytes of notFrames) {
      assert.throws(() => frameLength(Uint8Array.from(bytes), 0), {
        name: "CodecError",
        message: /another kind of data/,
      });
    }
    const reserved = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 6, 0, 0, 0]);
    assert.throws(() => frameLength(reserved, 0), { name: "CodecError", message: /no known kind/ });
  });
});
