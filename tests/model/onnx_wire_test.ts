import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, it } from "node:test";
import { delimited, fieldsOf, join, numbers, rewrite, text, varint } from "../../src/model/graph/onnx_wire.ts";
import { KJV_TINY } from "../support/models.ts";

const graphField = 7;

describe("fieldsOf", () => {
  it("walks numbers, strings and fixed-size values", () => {
    const message = join([
      ...varint(1, 300),
      ...delimited(2, "node"),
      new Uint8Array([3 * 8 + 5, 1, 2, 3, 4]),
      new Uint8Array([4 * 8 + 1, 1, 2, 3, 4, 5, 6, 7, 8]),
    ]);
    const fields = [...fieldsOf(message)];
    assert.deepEqual(fields.map((field) => field.number), [1, 2, 3, 4]);
    assert.equal(fields[0]!.value, 300);
    assert.equal(text(fields[1]!), "node");
    assert.deepEqual([...fields[2]!.payload], [1, 2, 3, 4]);
    assert.equal(fields[3]!.payload.length, 8);
  });

  it("reads repeated numbers one by one and packed", () => {
    const [one] = fieldsOf(join(varint(1, 160)));
    const [packed] = fieldsOf(join(delimited(1, [new Uint8Array([160, 1, 7])])));
    assert.deepEqual(numbers(one!), [160]);
    assert.deepEqual(numbers(packed!), [160, 7]);
  });

  for (
    const [what, bytes, message] of [
      ["a content longer than the message", [2 * 8 + 2, 200, 1, 0], /cut short/],
      ["a length beyond all memory", [2 * 8 + 2, 255, 255, 255, 255, 255, 255, 255, 255, 127], /cut short/],
      ["an end within a number", [8, 0x80], /cut short/],
      ["a number that never ends", [8, ...new Array(11).fill(0x80)], /more than 10 bytes/],
      ["field number 0", [0, 0], /field of number 0/],
      ["a group, which ONNX does not use", [8 + 3], /unknown wire type: 3/],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => [...fieldsOf(new Uint8Array(bytes))], message);
    });
  }
});

describe("rewrite", () => {
  it("returns an untouched model byte for byte", async () => {
    const model = await fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
    assert.ok(Buffer.from(join(rewrite(model, () => undefined))).equals(model));
  });

  it("puts an untouched graph back as it was, inside a model it wrote anew", async () => {
    const model = await fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
    const rewritten = rewrite(model, (field) => {
      return field.number === graphField ? delimited(graphField, rewrite(field.payload, () => undefined)) : undefined;
    });
    assert.ok(Buffer.from(join(rewritten)).equals(model));
  });

  it("replaces a field by none, one or several", () => {
    const message = join([...varint(1, 1), ...varint(2, 2), ...varint(3, 3)]);
    const rewritten = join(rewrite(message, ({ number }) => {
      if (number === 1) return [];
      return number === 2 ? [...varint(2, 20), ...varint(2, 21)] : undefined;
    }));
    assert.deepEqual([...fieldsOf(rewritten)].map(({ number, value }) => [number, value]), [[2, 20], [2, 21], [3, 3]]);
  });
});
