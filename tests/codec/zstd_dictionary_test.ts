/** zstd with dictionaries: smaller frames, no wrong answer that a checksum of the id would not catch, and no lost memory. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { loadChecksum } from "../../src/codec/checksum.ts";
import { FAST, THOROUGH } from "../../src/codec/codec.ts";
import { CodecError } from "../../src/codec/error.ts";
import { Dictionary, DICTIONARY_LIMIT, type Sha256 } from "../../src/codec/dictionary.ts";
import { Zstd, ZSTD_SIZE_LIMIT } from "../../src/codec/zstd.ts";
import { loadRawZstd, type RawZstd } from "../../src/codec/zstd_wasm.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const encoder = new TextEncoder();
const sentence = encoder.encode("And the word was cached. In the beginning was the word.");

function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = (state * 48271) % 0x7fffffff) & 0xff);
}

describe("zstd with a dictionary", () => {
  let raw: RawZstd;
  let zstd: Zstd;
  let sha256: Sha256;
  let dictionary: Dictionary;
  before(async () => {
    const runtime = await loadRuntime();
    sha256 = (bytes) => runtime.sha256(bytes);
    raw = await loadRawZstd();
    zstd = new Zstd(raw);
    dictionary = new Dictionary(encoder.encode("In the beginning was the word, and the word was cached. "), sha256);
  });

  it("makes smaller frames, which give back what was compressed", () => {
    const plain = zstd.compress(sentence);
    for (const level of [FAST, THOROUGH] as const) {
      const frame = zstd.compress(sentence, { level, dictionary });
      assert.ok(frame.byteLength < 0.8 * plain.byteLength, `${frame.byteLength} of ${plain.byteLength}`);
      assert.deepEqual(zstd.decompress(frame, sentence.byteLength, dictionary), sentence);
      assert.deepEqual(zstd.read(frame, sentence.byteLength, (bytes) => bytes.slice(), dictionary), sentence);
    }
  });

  it("reads frames without one as ever, whichever it is given", () => {
    const frame = zstd.compress(sentence);
    assert.deepEqual(zstd.decompress(frame, sentence.byteLength, dictionary), sentence);
    assert.deepEqual(zstd.decompress(frame, sentence.byteLength), sentence);
  });

  it("refuses a frame whose dictionary is missing", () => {
    const frame = zstd.compress(sentence, { dictionary });
    assert.throws(() => zstd.decompress(frame, sentence.byteLength), CodecError);
    assert.deepEqual(zstd.decompress(frame, sentence.byteLength, dictionary), sentence);
  });

  it("does not notice the wrong dictionary, which is why ids name their content", () => {
    const wrong = new Dictionary(dictionary.content.toReversed(), sha256);
    const frame = zstd.compress(sentence, { dictionary });
    assert.notDeepEqual(zstd.decompress(frame, sentence.byteLength, wrong), sentence);
    assert.notEqual(wrong.id, dictionary.id);
    assert.throws(() => new Dictionary(wrong.content, sha256, dictionary.id), CodecError);
  });

  it("keeps several apart, used in turn", () => {
    const several = Array.from({ length: 20 }, (_, index) => new Dictionary(noise(2_000, index + 1), sha256));
    const frames = several.map(({ content }, index) => zstd.compress(content, { dictionary: several[index]! }));
    for (let round = 0; round < 3; round++) {
      for (const [index, frame] of frames.entries()) {
        assert.ok(frame.byteLength < 40);
        assert.deepEqual(zstd.decompress(frame, 2_000, several[index]!), several[index]!.content);
      }
    }
  });

  it("takes one for nothing at all, and for as much as can be compressed", async () => {
    const nothing = zstd.compress(new Uint8Array(0), { dictionary });
    assert.deepEqual(zstd.decompress(nothing, 0, dictionary), new Uint8Array(0));
    const checksum = await loadChecksum();
    const most = new Uint8Array(ZSTD_SIZE_LIMIT);
    most.set(sentence);
    most.set(noise(100_000, 1), 5_000_000);
    most.set(sentence, ZSTD_SIZE_LIMIT - sentence.byteLength);
    const large = new Zstd(await loadRawZstd());
    const frame = large.compress(most, { dictionary });
    assert.equal(large.read(frame, most.byteLength, (bytes) => checksum(bytes), dictionary), checksum(most));
    assert.throws(() => large.compress(new Uint8Array(ZSTD_SIZE_LIMIT + 1), { dictionary }), CodecError);
    assert.deepEqual(large.decompress(large.compress(sentence, { dictionary }), sentence.length, dictionary), sentence);
  });

  it("gives an error or bytes of the right size for a broken frame, and is none the worse for it", () => {
    const frame = zstd.compress(sentence, { dictionary });
    for (let bit = 0; bit < frame.byteLength * 8; bit++) {
      const broken = frame.slice();
      broken[bit >> 3]! ^= 1 << (bit & 7);
      try {
        assert.equal(zstd.decompress(broken, sentence.byteLength, dictionary).byteLength, sentence.byteLength);
      } catch (error) {
        assert.ok(error instanceof CodecError, String(error));
      }
      assert.deepEqual(zstd.decompress(frame, sentence.byteLength, dictionary), sentence);
    }
  });

  it("takes no more memory for 10,000 calls than for ten", () => {
    const text = noise(8_000, 3);
    const frame = zstd.compress(text, { dictionary });
    const turn = (): void => {
      zstd.compress(text, { dictionary });
      zstd.compress(sentence, { level: THOROUGH, dictionary });
      zstd.read(frame, text.byteLength, () => {}, dictionary);
      assert.throws(() => zstd.decompress(frame.subarray(1), text.byteLength, dictionary), CodecError);
      assert.throws(() => zstd.decompress(frame.subarray(0, -1), text.byteLength, dictionary), CodecError);
    };
    for (let count = 0; count < 10; count++) turn();
    const before = raw.heap.byteLength;
    for (let count = 0; count < 2_000; count++) turn();
    assert.equal(raw.heap.byteLength, before);
  });

  it("gives the memory of dictionaries back that it has not used for long", () => {
    const content = noise(DICTIONARY_LIMIT, 5);
    const use = (index: number): void => {
      content[0] = index;
      content[1] = index >> 8;
      const large = new Dictionary(content, sha256);
      assert.deepEqual(zstd.decompress(zstd.compress(sentence, { dictionary: large }), 55, large), sentence);
    };
    for (let index = 0; index < 40; index++) use(index);
    const before = raw.heap.byteLength;
    // 32 MiB of them.
    for (let index = 40; index < 296; index++) use(index);
    assert.equal(raw.heap.byteLength, before);
    assert.deepEqual(
      zstd.decompress(zstd.compress(sentence, { dictionary }), sentence.byteLength, dictionary),
      sentence,
      "the first is taken in again",
    );
  });

  it("says so when there is no memory for one", () => {
    const full = new Proxy(raw, { get: (target, name) => name === "malloc" ? () => 0 : Reflect.get(target, name) });
    const poor = new Zstd(full);
    assert.throws(() => poor.compress(sentence, { dictionary }), {
      name: "CodecError",
      message: "Cannot compress 55 bytes: no memory",
    });
    assert.throws(() => poor.decompress(zstd.compress(sentence), 55, dictionary), CodecError);
  });
});
