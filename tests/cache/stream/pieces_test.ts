/** Texts cut into pieces: nothing lost, nothing broken, neither giants nor crumbs. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { piecesOf, tokenPiecesOf } from "../../../src/cache/stream/pieces.ts";
import { Maker } from "./support.ts";

describe("piecesOf", () => {
  it("cuts between words", () => {
    const text = "The quick brown fox jumps over the lazy dog.";
    assert.deepEqual(piecesOf(text), ["The quick brown fox jumps", " over the lazy dog."]);
  });

  it("loses nothing and breaks no code point", () => {
    for (let seed = 0; seed < 500; seed++) {
      const text = new Maker(seed).text();
      const pieces = piecesOf(text);
      assert.equal(pieces.join(""), text);
      for (const piece of pieces) assert.ok(piece.isWellFormed() && piece !== "");
    }
    assert.ok(piecesOf("🦊".repeat(1000)).every((piece) => piece.isWellFormed()));
  });

  it("keeps a text that is not well-formed as it is", () => {
    const text = "\udc00\ud83e".repeat(50);
    assert.equal(piecesOf(text).join(""), text);
  });

  it("makes no piece of an empty text", () => {
    assert.deepEqual(piecesOf(""), []);
  });

  it("cuts what has no spaces, too", () => {
    const lengths = piecesOf("x".repeat(200)).map(({ length }) => length);
    assert.ok(lengths.length === 10 && lengths.every((length) => length === 20));
  });

  it("makes at most about a thousand pieces", () => {
    assert.ok(piecesOf("word ".repeat(1e6)).length <= 1000);
  });
});

describe("tokenPiecesOf", () => {
  it("cuts between tokens where these are the text's", () => {
    const tokens = ["a", "b", "", "c", "d", "e"];
    assert.deepEqual(tokenPiecesOf("abcde", tokens), [
      { text: "abc", from: 0, to: 4 },
      { text: "de", from: 4, to: Infinity },
    ]);
  });

  it("gives the first piece all tokens where they are not", () => {
    for (const tokens of [["a", "c"], ["a", 7], ["ab", "\ud83e", "\udd8a"]]) {
      const text = tokens.length === 3 ? "ab🦊" : "ab";
      assert.deepEqual(tokenPiecesOf(text, tokens), [{ text, from: 0, to: Infinity }]);
    }
    const [first, second] = tokenPiecesOf("one two three four five six", ["?"]);
    assert.deepEqual([first!.from, second!.from], [0, Infinity]);
  });

  it("has a piece for tokens without text, and none for nothing", () => {
    assert.deepEqual(tokenPiecesOf("", ["x"]), [{ text: "", from: 0, to: Infinity }]);
    assert.deepEqual(tokenPiecesOf("", []), []);
  });
});
