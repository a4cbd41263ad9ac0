/** What git leaves of a file that two have changed is two files; what only looks like it is none. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sidesOf } from "../../../src/store/file/conflict.ts";

const lines = (...each: string[]): string => each.join("\n");

describe("sidesOf", () => {
  it("gives both sides of every conflict, with what they have in common", () => {
    const text = lines(
      "1",
      "<<<<<<< HEAD",
      "a",
      "=======",
      "b",
      "c",
      ">>>>>>> other",
      "2",
      "<<<<<<<",
      "=======",
      "d",
      ">>>>>>>",
    );
    assert.deepEqual(sidesOf(text), [lines("1", "a", "2"), lines("1", "b", "c", "2", "d")]);
  });

  it("leaves out what was there before both, where git shows it", () => {
    const text = lines("<<<<<<< HEAD", "a", "||||||| 1234567", "old", "=======", "b", ">>>>>>> other");
    assert.deepEqual(sidesOf(text), ["a", "b"]);
  });

  it("takes no line for a mark that only begins like one", () => {
    const text = lines("<<<<<<< HEAD", "<<<<<<<<", "=======", " =======", "======= ", ">>>>>>> other");
    assert.deepEqual(sidesOf(text), ["<<<<<<<<", lines(" =======", "======= ")]);
  });

  const none: Record<string, string> = {
    "a file without conflicts": lines("{", "}"),
    "nothing": "",
    "half a conflict": lines("<<<<<<< HEAD", "a", "======="),
    "a conflict without its beginning": lines("a", "=======", "b", ">>>>>>> other"),
    "a conflict in a conflict": lines("<<<<<<< HEAD", "<<<<<<< HEAD", "=======", ">>>>>>> other"),
    "one mark twice": lines("<<<<<<< HEAD", "=======", "=======", ">>>>>>> other"),
  };
  for (const [what, text] of Object.entries(none)) {
    it(`gives nothing for ${what}`, () => assert.equal(sidesOf(text), undefined));
  }
});
