import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import { after, before, describe, it } from "node:test";
import { type FloatTensor, readTensorNames, readTensors } from "../../src/model/adapter/safetensors.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { KJV_TINY } from "../support/models.ts";
import { safetensors } from "./safetensors.ts";

const { files } = await loadRuntime();

/** The tensors of a file of these bytes, which may be shorter than it says. */
function tensorsIn(bytes: Uint8Array, size = bytes.length): Map<string, FloatTensor> {
  return new Map(readTensors({ size, read: (start, end) => bytes.slice(start, end) }));
}

describe("readTensors", () => {
  it("reads float32 as it is", () => {
    const tensors = tensorsIn(
      safetensors({ w: { dtype: "F32", shape: [2, 2], bytes: new Float32Array([1, -2, 0.1, 4]) } }),
    );
    assert.deepEqual(tensors.get("w"), { shape: [2, 2], data: new Float32Array([1, -2, 0.1, 4]) });
  });

  it("widens float16, with its zeros, subnormals and infinities", () => {
    const halves = new Uint16Array([0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0x7e00]);
    const tensors = tensorsIn(safetensors({ w: { dtype: "F16", shape: [7], bytes: halves } }));
    assert.deepEqual([...tensors.get("w")!.data], [1, -2, 2 ** -24, -0, 65504, Infinity, NaN]);
  });

  it("widens bfloat16", () => {
    const halves = new Uint16Array([0x3f80, 0xc000, 0x3dcd, 0xff80]);
    const tensors = tensorsIn(safetensors({ w: { dtype: "BF16", shape: [4], bytes: halves } }));
    assert.deepEqual([...tensors.get("w")!.data], [1, -2, 0.10009765625, -Infinity]);
  });

  it("reads them one at a time, and no more of the file than the next one takes", () => {
    const bytes = safetensors({
      first: { dtype: "F32", shape: [2], bytes: new Float32Array([1, 2]) },
      second: { dtype: "F32", shape: [3], bytes: new Float32Array([3, 4, 5]) },
    });
    const reads: number[] = [];
    const read = (start: number, end: number): Uint8Array => (reads.push(end - start), bytes.slice(start, end));
    const tensors = readTensors({ size: bytes.length, read });
    tensors.next();
    assert.deepEqual(reads.slice(2), [8]);
    tensors.next();
    assert.deepEqual(reads.slice(2), [8, 12]);
  });

  it("reads tensors at any offset, and none of the metadata", () => {
    const bytes = safetensors({
      first: { dtype: "F16", shape: [1], bytes: new Uint16Array([0x3c00]) },
      second: { dtype: "F32", shape: [1], bytes: new Float32Array([7]) },
    });
    const shifted = new Uint8Array([0, ...bytes]).subarray(1);
    assert.deepEqual([...tensorsIn(shifted).keys()], ["first", "second"]);
    assert.deepEqual([...tensorsIn(shifted).get("second")!.data], [7]);
  });

  const good = safetensors({ w: { dtype: "F32", shape: [2], bytes: new Float32Array(2) } });
  const withHeader = (header: string): Uint8Array => {
    const bytes = new Uint8Array(8 + header.length + 8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    return bytes;
  };
  for (
    const [what, bytes, message] of [
      ["an empty file", new Uint8Array(), /cut short: 0 bytes/],
      ["a file cut short within its data", good.subarray(0, -1), /cut short: w ends at byte 8 of 7/],
      ["a file cut short within its header", good.subarray(0, 20), /header does not fit the file/],
      ["an absurd header length", new Uint8Array(16).fill(255), /header does not fit the file: 18446744073709552000/],
      ["a header that is not JSON", withHeader("{w}"), /header is not JSON/],
      ["a header that is no object", withHeader("null"), /header is no object: null/],
      ["a tensor without a shape", withHeader('{"w":{"dtype":"F32"}}'), /describes w wrongly/],
      [
        "a negative offset",
        withHeader('{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
        /describes w wrongly/,
      ],
      [
        "data of another size than its shape",
        withHeader('{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'),
        /does not fill its shape \[3\]: 8/,
      ],
      [
        "a type that is not a float",
        withHeader('{"w":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}}'),
        /other than F32, F16, BF16: I8/,
      ],
      [
        "a type named like a property of every object",
        withHeader('{"w":{"dtype":"toString","shape":[8],"data_offsets":[0,8]}}'),
        /other than/,
      ],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => tensorsIn(bytes), message);
    });
  }
});

describe("a header as long as is said", () => {
  it("is not read when it has more than 100 MB, even in a file of that size", () => {
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setBigUint64(0, 40_000_000_000n, true);
    assert.throws(() => tensorsIn(prefix, 50_000_000_000), /more than 100000000 bytes: 40000000000/);
    assert.throws(() => tensorsIn(prefix, 10_000), /does not fit the file: 40000000000 of 10000 bytes/);
  });
});

describe("readTensorNames", () => {
  let directory: string;
  before(async () => {
    directory = await fs.mkdtemp(`${os.tmpdir()}/safetensors-`);
  });
  after(() => fs.rm(directory, { recursive: true }));

  it("reads the names of an adapter's tensors from its header", () => {
    const names = readTensorNames(files, `${KJV_TINY}/adapters/fortunes/adapter_model.safetensors`);
    assert.equal(names.length, 2 * 28);
    assert.ok(names.includes("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
  });

  it("throws on a missing file and on a broken one", async () => {
    assert.throws(() => readTensorNames(files, `${directory}/missing`), /Cannot open/);
    await fs.writeFile(`${directory}/short`, "abc");
    assert.throws(() => readTensorNames(files, `${directory}/short`), /cut short: 3 bytes/);
  });
});
