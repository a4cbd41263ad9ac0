/** Bytes in a document for people: whatever they are, exactly they come back. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { show, unshow } from "../../../src/store/file/shown.ts";

const encoder = new TextEncoder();

/** What becomes of bytes that are written to a file and read from it. */
function thereAndBack(bytes: Uint8Array): Uint8Array {
  return unshow(JSON.parse(JSON.stringify(show(bytes), null, 2)));
}

function assertExact(text: string, as: "json" | "text"): void {
  const bytes = encoder.encode(text);
  assert.deepEqual(thereAndBack(bytes), bytes, text.slice(0, 100));
  assert.ok(as in show(bytes), `${text.slice(0, 100)} is shown as ${Object.keys(show(bytes))}`);
}

describe("show", () => {
  it("shows JSON as JSON, compact or indented by two, with or without a line feed at its end", () => {
    const value = { id: "x", choices: [{ index: 0, text: "größe\n\u2028" }], empty: {}, none: [], usage: null };
    assert.deepEqual(show(encoder.encode(JSON.stringify(value))), { json: value });
    for (const indent of [undefined, 2]) {
      for (const end of ["", "\n"]) assertExact(JSON.stringify(value, null, indent) + end, "json");
    }
  });

  it("shows as text what JSON would not give back byte for byte", () => {
    const texts = [
      '{"a":1.0}',
      '{"a":1e400}',
      '{"a":12345678901234567890}',
      '{"a":-0}',
      '{"a":1,"a":2}',
      '{"10":1,"9":2}',
      '{"a": 1}',
      '{\n "a": 1\n}',
      '{"a":"\\u00e4"}',
      '{"a":"\\/"}',
      '{"a":"\\uD800"}',
      '{"a":1}\n\n',
      '{"a":1}\r\n',
      ' {"a":1}',
      '\ufeff{"a":1}',
      "{",
      "1",
      '"a"',
      "",
    ];
    for (const text of texts) assertExact(text, "text");
  });

  it("keeps names that objects have of themselves", () => {
    for (const name of ["__proto__", "constructor", "toString", "toJSON", "hasOwnProperty"]) {
      assertExact(JSON.stringify({ x: 1 }).replace("x", name), "json");
    }
    assert.equal(
      Object.hasOwn((show(encoder.encode('{"__proto__":{"a":1}}')) as { json: object }).json, "__proto__"),
      true,
    );
  });

  it("shows a recorded stream line by line", () => {
    const text = 'data: {"a":1}\n\ndata: [DONE]\n\n';
    assert.deepEqual(show(encoder.encode(text)), { text: ['data: {"a":1}', "", "data: [DONE]", "", ""] });
    assertExact(text, "text");
  });

  it("shows as text what is nested deeper than people read, however deep", () => {
    assertExact("[".repeat(64) + "]".repeat(64), "json");
    for (const depth of [66, 100_000]) assertExact("[".repeat(depth) + "]".repeat(depth), "text");
    assertExact('{"a":'.repeat(70) + "1" + "}".repeat(70), "text");
  });

  it("shows as text what is longer than people read", () => {
    assertExact(JSON.stringify("x".repeat(1_100_000).match(/.{1,1000}/g)), "text");
  });

  it("shows in base64 what is no UTF-8", () => {
    for (
      const bytes of [
        Uint8Array.from({ length: 256 }, (_, byte) => byte),
        Uint8Array.of(0xff),
        new Uint8Array(20_000).fill(0xed),
      ]
    ) {
      assert.ok("base64" in show(bytes));
      assert.deepEqual(thereAndBack(bytes), bytes);
    }
  });
});

describe("unshow", () => {
  it("throws when there is nothing that can be bytes", () => {
    for (const odd of [undefined, null, {}, { text: 1 }, { base64: "*" }]) assert.throws(() => unshow(odd));
  });
});
