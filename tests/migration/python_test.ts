/** Plain data in Python's notation, both ways. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LiteralError, readLiteral, writeLiteral } from "../../src/migration/reading/python.ts";

describe("readLiteral", () => {
  const READ: Record<string, unknown> = {
    "[('stop', None)]": [["stop", null]],
    "[('a', True), ('b', False)]": [["a", true], ["b", false]],
    "(1,)": [1],
    "()": [],
    "{}": {},
    "{'a': {'b': [1, -2.5, 1e-07]}}": { a: { b: [1, -2.5, 1e-7] } },
    [`"It's"`]: "It's",
    [`'say \\'"\\\\\\n\\t\\r'`]: `say '"\\\n\t\r`,
    "'\\xa0\\u2028\\U0001f600é'": "\u00a0\u2028\u{1f600}é",
  };
  for (const [text, value] of Object.entries(READ)) {
    it(`reads ${text}`, () => assert.deepEqual(readLiteral(text), value));
  }

  const REFUSED = [
    "",
    "os",
    "__import__('os').system('false')",
    "[1",
    "[1 2]",
    "{1: 2}",
    "{'a' 1}",
    "'open",
    "'\\q'",
    "'\\x1'",
    "nan",
    "-inf",
    "0x10",
    "9007199254740993",
    "1 + 1",
    "[1] ",
    "f'{x}'",
    "b'a'",
    "<object at 0x1>",
    "'\\U7fffffff'",
  ];
  for (const text of REFUSED) {
    it(`refuses ${text || "nothing"}`, () => assert.throws(() => readLiteral(text), LiteralError));
  }

  it("refuses what is nested too deeply", () => {
    assert.throws(() => readLiteral("[".repeat(10_000)), { name: "LiteralError", message: /too deeply/ });
  });
});

describe("writeLiteral", () => {
  const WRITTEN: [unknown, string | undefined][] = [
    [null, "None"],
    [true, "True"],
    [[1, -2, 0.5, 1e-5, 1.5e-7, 0.0001], "[1, -2, 0.5, 1e-05, 1.5e-07, 0.0001]"],
    [[{ role: "user", content: "hi" }], "[{'role': 'user', 'content': 'hi'}]"],
    ["It's", `"It's"`],
    [`It's "so"`, `'It\\'s "so"'`],
    ["a\\b\n\t\r", "'a\\\\b\\n\\t\\r'"],
    ["héllo 世界 😀", "'héllo 世界 😀'"],
    // Python escapes these, or did in some version.
    ["\u00a0", undefined],
    ["\u0000", undefined],
    [["\u200b"], undefined],
    [{ "\u2028": 1 }, undefined],
    [-0, undefined],
    [1e300, undefined],
    [{ a: undefined }, undefined],
  ];
  for (const [value, text] of WRITTEN) {
    it(`writes ${JSON.stringify(value)} as ${text ?? "nothing, for it cannot be told"}`, () => {
      assert.equal(writeLiteral(value), text);
    });
  }

  it("writes what readLiteral reads", () => {
    for (const [value, text] of WRITTEN) if (text !== undefined) assert.deepEqual(readLiteral(text), value);
  });
});
