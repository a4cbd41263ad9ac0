import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { canonicalJson, MAX_DEPTH } from "../../src/cache/request/canonical.ts";
import { parseRequest } from "../../src/cache/request/raw_json.ts";

describe("parseRequest", () => {
  it("parses what JSON.parse parses", () => {
    const texts = [
      "{}",
      "[]",
      ' \t\n\r{ "a" : [ 1 , 2.5e-3 , -0 ] , "b" : { } } \n',
      '"\\u00e9\\n\\"\\/"',
      '[[],[[]],{},[{}],{"a":{}},null,true,false]',
      '{"__proto__":{"a":1}}',
      "0",
      "-1.5E+3",
    ];
    for (const text of texts) assert.deepEqual(parseRequest(text), { body: JSON.parse(text) }, text);
  });

  it("keeps from the cache what the engine misreads", () => {
    // V8 takes an escaped name for one it met before in that place: https://github.com/nodejs/node/issues/63785
    const cases: [met: string, text: string, name: string][] = [
      ['{"x":1,"\\\\":1}', '{"x":1,"\\n":1}', "\n"],
      ['{"y":1,"a\\\\b":1}', '{"y":1,"a\\bc":1}', "a\bc"],
      ['{"w":1,"\\\\":1}', '{"w":1,"\\u0061":[{"a":1}]}', "a"],
      ['{"z":1,"\\\\":1}', '[0,{"z":1,"\\u0061":1}]', "a"],
    ];
    for (const [met, text, name] of cases) {
      JSON.parse(met);
      const { body, unkeyable } = parseRequest(text);
      const read = Object.keys(Array.isArray(body) ? body[1] : body as object)[1];
      if (read === name) assert.equal(unkeyable, undefined, "an engine without the fault");
      else assert.match(unkeyable ?? "", /misread/, text);
    }
  });

  it("reads escaped names in a text of any depth", () => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    assert.match(parseRequest(`{"\\u0061":${deep}}`).unkeyable ?? "", /nested/);
  });

  it("tells the position of what is not JSON", () => {
    const cases: [text: string, at: number][] = [
      ["", 0],
      ["  ", 2],
      ["{", 1],
      ["[1,]", 3],
      ["[,1]", 1],
      ["[1 2]", 3],
      ["[1}", 2],
      ['{"a":1]', 6],
      ['{"a" 1}', 5],
      ['{"a":}', 5],
      ['{"a":1,}', 7],
      ["{a:1}", 1],
      ["{1:1}", 1],
      ['{"a":1}}', 7],
      ["{} {}", 3],
      ["nul", 0],
      ["nullx", 4],
      ["NaN", 0],
      ["-", 0],
      ["01", 1],
      ["1.", 1],
      [".5", 0],
      ["+1", 0],
      ["1e", 1],
      ['"abc', 4],
      ['"a\\x"', 2],
      ['"a\\u12g4"', 2],
      ['"a\nb"', 2],
      ["'a'", 0],
      ["\ufeff{}", 0],
      ["[1]//", 3],
    ];
    for (const [text, at] of cases) {
      assert.throws(() => JSON.parse(text), SyntaxError, `JSON.parse takes ${text}`);
      assert.throws(
        () => parseRequest(text),
        (error) => error instanceof SyntaxError && error.message.endsWith(`at position ${at}`),
        `${text} at ${at}`,
      );
    }
  });

  it("says why a body must not be keyed, and parses it all the same", async () => {
    const reasons: [text: string, why: RegExp][] = [
      ['{"a":1,"a":1}', /"a" appears twice/],
      ['{"a":1,"\\u0061":2}', /"a" appears twice/],
      ['{"":1,"":2}', /"" appears twice/],
      ['[{"b":{"c":1,"d":[],"c":1}}]', /"c" appears twice/],
      ["9007199254740992", /beyond 2\^53/],
      ["-9007199254740992", /beyond 2\^53/],
      ["123456789012345678901234567890", /beyond 2\^53/],
      ["9007199254740993.0", /beyond 2\^53/],
      ["1e16", /beyond 2\^53/],
      ["1e309", /out of range/],
      ["-1e309", /out of range/],
      ["1e-400", /out of range/],
      ['"\\ud800"', /lone surrogate/],
      ['"\ud800"', /lone surrogate/],
      ['{"\\udc00":1}', /lone surrogate/],
    ];
    for (const [text, why] of reasons) {
      const { body, unkeyable } = parseRequest(text);
      assert.deepEqual(body, JSON.parse(text));
      assert.match(unkeyable ?? "", why, text);
    }
    const { unkeyable } = JSON.parse(await readFile(new URL("../vectors/key.json", import.meta.url), "utf8"));
    for (const { name, body } of unkeyable) assert.ok(parseRequest(body).unkeyable, name);
  });

  it("keeps what a double holds exactly", () => {
    for (const text of ["9007199254740991", "-9007199254740991", "0e400", "0.0e-400", "-0", "5e-324", "0.1", "1e15"]) {
      assert.deepEqual(parseRequest(text), { body: JSON.parse(text) }, text);
    }
  });

  it("lets the same name stand in different objects", () => {
    assert.equal(parseRequest('{"a":{"a":[{"a":1},{"a":1}]},"b":{"a":1}}').unkeyable, undefined);
  });

  it("survives any depth, and keys none beyond the limit", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    assert.equal(parseRequest(nested(MAX_DEPTH)).unkeyable, undefined);
    assert.match(parseRequest(nested(MAX_DEPTH + 1)).unkeyable ?? "", /nested deeper/);
    assert.match(parseRequest(nested(200_000)).unkeyable ?? "", /nested deeper/);
    assert.match(parseRequest(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`).unkeyable ?? "", /nested deeper/);
    assert.throws(() => parseRequest("[".repeat(200_000)), /unexpected end at position 200000/);
  });

  it("takes a text of megabytes in one string", () => {
    const text = JSON.stringify({ image: `${'A\\n"é'.repeat(500_000)}` });
    assert.deepEqual(parseRequest(text), { body: JSON.parse(text) });
  });

  it("calls nothing keyable that has no canonical JSON", () => {
    const pieces = [
      '"\\ud83d"',
      '"\\ud83d\\ude00"',
      "1e999",
      "1e5",
      "[",
      "]",
      "{",
      "}",
      '"a":',
      ",",
      "null",
      " ",
      '"b"',
    ];
    let state = 1;
    const next = (): number => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff);
    let parsed = 0;
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: 1 + next() % 7 }, () => pieces[next() % pieces.length]).join("");
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        assert.throws(() => parseRequest(text), SyntaxError, text);
        continue;
      }
      const { body, unkeyable } = parseRequest(text);
      assert.deepEqual(body, expected, text);
      if (unkeyable === undefined) canonicalJson(body);
      parsed++;
    }
    assert.ok(parsed > 1000, `${parsed} texts were JSON`);
  });
});
