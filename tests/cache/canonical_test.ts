import assert from "node:assert/strict";
import { describe, it } from "node:test";
import canonicalize from "canonicalize";
import { canonicalJson, MAX_DEPTH } from "../../src/cache/request/canonical.ts";
import { seededRandom } from "../support/random.ts";

/** The example of RFC 8785 section 3.2.2. */
const EXAMPLE = {
  numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
  string: '\u20ac$\u000f\nA\'B"\\\\"/',
  literals: [null, true, false],
};

describe("canonicalJson", () => {
  it("writes the example of RFC 8785 section 3.2.2 and 3.2.3", () => {
    assert.equal(
      canonicalJson(EXAMPLE),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it("comes to the bytes of RFC 8785 section 3.2.4", () => {
    const bytes = `
      7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72
      73 22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32
      2c 31 65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c
      5c 5c 5c 22 2f 22 7d`;
    const written = [...new TextEncoder().encode(canonicalJson(EXAMPLE))];
    assert.deepEqual(written, bytes.trim().split(/\s+/).map((byte) => parseInt(byte, 16)));
  });

  it("sorts names by UTF-16 code units, as the example of RFC 8785 section 3.2.3 does", () => {
    const value = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis",
    };
    const order = [...canonicalJson(value).matchAll(/:"([^"]*)"/g)].map((match) => match[1]);
    assert.deepEqual(order, [
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ]);
  });

  it("sorts any number of names, few or many", () => {
    const names = Array.from({ length: 40 }, (_, index) => `${(index * 23) % 40}\u{1f600}`.slice(0, index % 4 + 1));
    const distinct = [...new Set(names.filter((name) => name.isWellFormed()))];
    for (let count = 0; count <= distinct.length; count++) {
      const some = distinct.slice(0, count);
      const text = canonicalJson(Object.fromEntries(some.map((name) => [name, 0])));
      assert.equal(text, `{${some.toSorted().map((name) => `${JSON.stringify(name)}:0`).join(",")}}`);
    }
  });

  it("escapes what has to be, in texts short and long", () => {
    const characters = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code));
    for (const character of [...characters, "\u2028", "\ufeff", "\u{1f600}"]) {
      for (const text of [character, `a${character}b`, character.repeat(60)]) {
        assert.equal(canonicalJson([text]), JSON.stringify([text]));
      }
    }
  });

  it("prints numbers as the table of RFC 8785 appendix B does", () => {
    const table: [bits: string, text: string][] = [
      ["0000000000000000", "0"],
      ["8000000000000000", "0"],
      ["0000000000000001", "5e-324"],
      ["8000000000000001", "-5e-324"],
      ["7fefffffffffffff", "1.7976931348623157e+308"],
      ["ffefffffffffffff", "-1.7976931348623157e+308"],
      ["4340000000000000", "9007199254740992"],
      ["c340000000000000", "-9007199254740992"],
      ["4430000000000000", "295147905179352830000"],
      ["44b52d02c7e14af5", "9.999999999999997e+22"],
      ["44b52d02c7e14af6", "1e+23"],
      ["44b52d02c7e14af7", "1.0000000000000001e+23"],
      ["444b1ae4d6e2ef4e", "999999999999999700000"],
      ["444b1ae4d6e2ef4f", "999999999999999900000"],
      ["444b1ae4d6e2ef50", "1e+21"],
      ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
      ["3eb0c6f7a0b5ed8d", "0.000001"],
      ["41b3de4355555553", "333333333.3333332"],
      ["41b3de4355555554", "333333333.33333325"],
      ["41b3de4355555555", "333333333.3333333"],
      ["41b3de4355555556", "333333333.3333334"],
      ["41b3de4355555557", "333333333.33333343"],
      ["becbf647612f3696", "-0.0000033333333333333333"],
      ["43143ff3c1cb0959", "1424953923781206.2"],
    ];
    for (const [bits, text] of table) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, BigInt(`0x${bits}`));
      assert.equal(canonicalJson(view.getFloat64(0)), text, bits);
    }
    for (const bits of ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"]) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, BigInt(`0x${bits}`));
      refuses(view.getFloat64(0), /is no JSON number/);
    }
  });

  it("agrees with the `canonicalize` package on random JSON", () => {
    const random = seededRandom(20260101);
    for (let round = 0; round < 2000; round++) {
      const value = randomJson(random, 0);
      assert.equal(canonicalJson(value), canonicalize(value));
    }
  });

  it("means the same as what JSON.stringify sends", () => {
    const sparse = [1];
    sparse[3] = 4;
    const values: unknown[] = [
      { a: undefined, b: () => 1, c: Symbol("c"), d: 1 },
      [undefined, () => 1, Symbol("c"), 1],
      sparse,
      { when: new Date(0) },
      { toJSON: () => ({ b: 1, a: 2 }) },
      { nested: { toJSON: (name: string) => `called as ${name}` }, list: [{ toJSON: (name: string) => name }] },
      { gone: { toJSON: () => undefined }, list: [{ toJSON: () => undefined }] },
      { number: new Number(1), string: new String("s"), boolean: new Boolean(false) },
      { bytes: new Uint8Array([1, 2]), map: new Map([[1, 2]]) },
      { inherited: Object.create({ a: 1 }) },
      JSON.parse('{"__proto__":{"a":1},"constructor":2}'),
    ];
    for (const value of values) {
      const sent: unknown = JSON.parse(JSON.stringify(value));
      assert.deepEqual(JSON.parse(canonicalJson(value)), sent);
      assert.equal(canonicalJson(value), canonicalJson(sent));
    }
  });

  it("keeps a member called __proto__", () => {
    assert.equal(canonicalJson(JSON.parse('{"a":{"__proto__":{"b":1}}}')), '{"a":{"__proto__":{"b":1}}}');
  });

  it("writes an object that appears twice, but not inside itself", () => {
    const shared = { a: 1 };
    assert.equal(canonicalJson([shared, shared]), '[{"a":1},{"a":1}]');
  });

  it("nests as deep as the limit and no deeper", () => {
    const nested = (depth: number): unknown => depth === 0 ? 0 : [nested(depth - 1)];
    assert.equal(canonicalJson(nested(MAX_DEPTH)).length, 2 * MAX_DEPTH + 1);
    refuses(nested(MAX_DEPTH + 1), /nested deeper than 512/);
  });

  describe("refuses, naming the path and the value,", () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = [cyclic];
    const endless = { toJSON: () => ({ more: endless }) };
    const cases: [what: string, value: unknown, message: RegExp][] = [
      ["NaN", { messages: [{ weight: NaN }] }, /at \$\.messages\[0\]\.weight: NaN/],
      ["infinities", { temperature: -Infinity }, /at \$\.temperature: -Infinity/],
      ["BigInt", { seed: 12n }, /at \$\.seed: 12n/],
      ["boxed BigInt", { seed: Object(12n) }, /at \$\.seed: 12n/],
      ["boxed NaN", { seed: new Number(NaN) }, /at \$\.seed: NaN/],
      ["lone surrogates in values", { text: "a\ud83d" }, /at \$\.text: a lone surrogate in "a\\ud83d"/],
      ["lone surrogates in names", { "\udc00": 1 }, /a lone surrogate in "\\udc00"/],
      ["cycles", cyclic, /at \$\.self\[0\]: the value contains itself/],
      ["toJSON without end", endless, /nested deeper than 512/],
      ["nothing", undefined, /at \$: undefined has no JSON/],
      ["functions", () => 1, /at \$: function has no JSON/],
    ];
    for (const [what, value, message] of cases) it(what, () => refuses(value, message));

    it("raw JSON, whose value nobody can see", () => {
      const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
      refuses({ seed: rawJSON("1") }, /at \$\.seed: JSON\.rawJSON/);
    });

    it("without showing a whole prompt", () => {
      assert.throws(
        () => canonicalJson({ content: `${"secret ".repeat(100)}\ud800` }),
        (error) => error instanceof TypeError && error.message.length < 120,
      );
    });
  });
});

function refuses(value: unknown, message: RegExp): void {
  assert.throws(() => canonicalJson(value), (error) => error instanceof TypeError && message.test(error.message));
}

function randomJson(random: () => number, depth: number): unknown {
  const below = (limit: number): number => Math.floor(random() * limit);
  const text = (): string =>
    Array.from({ length: below(8) }, () => {
      const point = below(random() < 0.5 ? 0x80 : 0x20000);
      return point >= 0xd800 && point <= 0xdfff ? "x" : String.fromCodePoint(point);
    }).join("");
  switch (below(depth > 4 ? 5 : 8)) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return text();
    case 3:
      return below(2000) - 1000;
    case 4:
      return (random() - 0.5) * 10 ** (below(60) - 30);
    case 5:
      return Array.from({ length: below(5) }, () => randomJson(random, depth + 1));
    default:
      return Object.fromEntries(Array.from({ length: below(6) }, () => [text(), randomJson(random, depth + 1)]));
  }
}
