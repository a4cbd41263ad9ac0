/** The pickle reader reads what Python writes of plain data, and refuses everything that could run. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { PickleError, readPickle } from "../../src/migration/reading/pickle.ts";
import { bytesOfHex } from "../../src/runtime/hex.ts";
import { fixture } from "./support.ts";

const BY_PROTOCOL: Record<string, string> = JSON.parse(readFileSync(fixture("pickles.json"), "utf8"));

const DATA: Record<string, unknown> = {
  a: [1, -1, 255, 256, 65536, -70000, 2 ** 40, -(2 ** 40)],
  b: [1],
  c: [1, 2],
  d: [1, 2, 3],
  e: [1, 2, 3, 4],
  f: [],
  g: null,
  h: true,
  i: false,
  j: 0.1,
  k: "héllo 世界",
  l: new TextEncoder().encode("bytes"),
  m: "long ".repeat(60),
  n: { x: {}, y: [] },
  o: "twice",
  p: "twice",
};

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe("readPickle", () => {
  for (const [protocol, hex] of Object.entries(BY_PROTOCOL)) {
    it(`reads plain data as Python writes it with protocol ${protocol}`, () => {
      const { l, ...others } = DATA;
      const read = structuredClone(readPickle(bytesOfHex(hex)));
      assert.deepEqual({ ...read as object }, protocol === "2" ? others : { ...others, l });
    });

    it(`refuses it when it is cut anywhere: protocol ${protocol}`, () => {
      const whole = bytesOfHex(hex);
      for (let length = 0; length < whole.length; length++) {
        assert.throws(() => readPickle(whole.subarray(0, length)), PickleError);
      }
    });

    it(`gives data or refuses, whatever byte is another: protocol ${protocol}`, () => {
      const whole = bytesOfHex(hex);
      for (let at = 0; at < whole.length; at++) {
        const changed = whole.slice();
        changed[at] = changed[at]! ^ 0x15;
        try {
          readPickle(changed);
        } catch (error) {
          assert.ok(error instanceof PickleError, String(error));
        }
      }
    });
  }

  const HOSTILE: Record<string, string> = {
    "imports and calls (GLOBAL, REDUCE)": "\x80\x04cos\nsystem\n(X\x05\x00\x00\x00falsetR.",
    "imports from the stack (STACK_GLOBAL)": "\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "builds an object (BUILD)": "\x80\x04}}b.",
    "makes a new object (NEWOBJ)": "\x80\x04))\x81.",
    "makes an instance (INST)": "\x80\x04(ios\nsystem\n.",
    "asks for a persistent object (BINPERSID)": "\x80\x04X\x01\x00\x00\x00aQ.",
    "asks for an extension (EXT1)": "\x80\x04\x82\x01.",
    "evaluates a text (protocol 0)": "S'a'\n.",
  };
  for (const [what, text] of Object.entries(HOSTILE)) {
    it(`refuses one that ${what}`, () => {
      assert.throws(() => readPickle(bytes(text)), { name: "PickleError", message: /more than plain data/ });
    });
  }

  const ODD: Record<string, [string, RegExp]> = {
    "is of a protocol that is not known": ["\x80\x06N.", /protocol is 6/],
    "declares a text longer than itself": ["\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", /ends in the middle/],
    "has a number that is no safe integer": ["\x80\x04\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", /too large/],
    "has a dictionary by numbers": ["\x80\x04}K\x01K\x02s.", /no text/],
    "holds itself": ["\x80\x04]\x94h\x00a.", /nested too deeply/],
    "is nested deeply": [`\x80\x04${"]".repeat(200)}${"a".repeat(199)}.`, /nested too deeply/],
    "has something after its end": ["\x80\x04N.N", /broken/],
    "leaves something on the stack": ["\x80\x04NN.", /broken/],
    "takes from an empty stack": ["\x80\x04.", /broken/],
    "recalls what it has not kept": ["\x80\x04h\x05.", /broken/],
    "has a text that is no UTF-8": ["\x80\x04\x8c\x01\xff.", /broken/],
  };
  for (const [what, [text, message]] of Object.entries(ODD)) {
    it(`refuses one that ${what}`, () => {
      assert.throws(() => readPickle(bytes(text)), { name: "PickleError", message });
    });
  }

  it("takes names of JavaScript's for names", () => {
    const read = readPickle(bytes("\x80\x04}\x8c\x09__proto__K\x01s.")) as Record<string, unknown>;
    assert.deepEqual(Object.entries(read), [["__proto__", 1]]);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
});
