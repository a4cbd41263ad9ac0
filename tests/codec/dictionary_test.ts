/** Dictionaries: an id that is the content's own, and a content that is never another's. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { CodecError } from "../../src/codec/error.ts";
import { Dictionary, DICTIONARY_LIMIT, dictionaryId, type Sha256 } from "../../src/codec/dictionary.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const content = new TextEncoder().encode("In the beginning was the word, and the word was cached.");

describe("Dictionary", () => {
  let sha256: Sha256;
  before(async () => {
    const runtime = await loadRuntime();
    sha256 = (bytes) => runtime.sha256(bytes);
  });

  it("is its content, under the id that stands for it", () => {
    const dictionary = new Dictionary(content, sha256);
    assert.deepEqual(dictionary.content, content);
    assert.equal(dictionary.id, dictionaryId(content, sha256));
    assert.equal(new Dictionary(content, sha256, dictionary.id).id, dictionary.id);
  });

  it("refuses content that is not what its id stands for, be it by a single bit", () => {
    const { id } = new Dictionary(content, sha256);
    for (let bit = 0; bit < content.byteLength * 8; bit++) {
      const flipped = content.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.throws(() => new Dictionary(flipped, sha256, id), CodecError);
    }
    assert.throws(() => new Dictionary(content.subarray(1), sha256, id), CodecError);
    assert.throws(() => new Dictionary(content, sha256, id + 1), {
      name: "CodecError",
      message: `Cannot use dictionary ${id + 1}: its content is that of ${id}`,
    });
    assert.throws(() => new Dictionary(content, sha256, 0), CodecError);
    assert.throws(() => new Dictionary(content, sha256, NaN), CodecError);
  });

  it("does not change with the bytes it was made of", () => {
    const bytes = content.slice();
    const dictionary = new Dictionary(bytes, sha256);
    bytes.fill(0);
    assert.deepEqual(dictionary.content, content);
  });

  it("has at least 8 bytes, which is the least that zstd takes notice of, and 128 KiB at most", () => {
    for (const size of [0, 7, DICTIONARY_LIMIT + 1]) {
      assert.throws(() => new Dictionary(new Uint8Array(size), sha256), {
        name: "CodecError",
        message: `Cannot use a dictionary of ${size} bytes: it needs between 8 and 131072`,
      });
    }
    for (const size of [8, DICTIONARY_LIMIT]) {
      assert.equal(new Dictionary(new Uint8Array(size), sha256).content.length, size);
    }
  });

  it("is refused where zstd would take its content for tables", () => {
    assert.throws(() => new Dictionary(Uint8Array.of(0x37, 0xa4, 0x30, 0xec, 1, 2, 3, 4, 5), sha256), CodecError);
  });
});

describe("dictionaryId", () => {
  const digest = (...bytes: number[]): Sha256 => () => Uint8Array.from({ length: 32 }, (_, at) => bytes[at] ?? 0);

  it("is the first 52 bits of the SHA-256, which is a whole number everywhere", async () => {
    const runtime = await loadRuntime();
    // SHA-256 of "abc" begins with ba7816bf 8f01cfea (FIPS 180-4, example).
    const id = dictionaryId(new TextEncoder().encode("abc"), (bytes) => runtime.sha256(bytes));
    assert.equal(id, 0xba7816bf8f01c);
    const all = dictionaryId(content, digest(...Array.from({ length: 32 }, () => 0xff)));
    assert.equal(all, 2 ** 52 - 1);
    assert.ok(Number.isSafeInteger(all));
  });

  it("is never 0, which stands for no dictionary in other programs", () => {
    assert.equal(dictionaryId(content, digest(0, 0, 0, 0, 0, 0, 0x0f)), 1);
  });
});
