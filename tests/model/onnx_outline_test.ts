/** Models without their weights, and the weights read from the file when they are wanted. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { readGraph } from "../../src/model/graph/onnx_graph.ts";
import { outline } from "../../src/model/graph/onnx_outline.ts";
import { type Field, fieldsOf, join, text, varint } from "../../src/model/graph/onnx_wire.ts";
import { VerifiedFile } from "../../src/model/graph/verified_file.ts";
import { WeightFiles } from "../../src/model/graph/weight_files.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { contentFile, KJV_TINY } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

const runtime = await loadRuntime();
const GRAPH = 7;
const INITIALIZER = 5;
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;

const only = (message: Uint8Array, number: number): Field[] => {
  return fieldsOf(message).filter((field) => field.number === number).toArray();
};
const tensorsOf = (model: Uint8Array): Field[] => only(only(model, GRAPH)[0]!.payload, INITIALIZER);

/** What a tensor says about where its data is. */
function references(tensor: Uint8Array): Record<string, string> {
  return Object.fromEntries(only(tensor, EXTERNAL_DATA).map(({ payload }) => fieldsOf(payload).map(text).toArray()));
}

let path: string;
let model: Uint8Array;
let file: VerifiedFile;
let files: WeightFiles;
before(async () => {
  path = `${KJV_TINY}/onnx/model.onnx`;
  model = await readFile(path);
  file = await VerifiedFile.open(runtime, await contentFile(path));
  files = await WeightFiles.open(runtime, { graph: await contentFile(path) });
});

describe("outline", () => {
  it("says of every large tensor where its bytes are, and keeps the small ones", () => {
    const tensors = tensorsOf(model);
    const outlined = tensorsOf(outline(files));
    assert.equal(outlined.length, tensors.length);
    let large = 0;
    tensors.forEach(({ payload }, index) => {
      const [raw] = only(payload, RAW_DATA);
      const { location, offset, length } = references(outlined[index]!.payload);
      if (offset === undefined) return assert.deepEqual(outlined[index]!.payload, new Uint8Array(payload));
      large++;
      assert.equal(location, "model.onnx");
      assert.deepEqual(file.read(Number(offset), Number(offset) + Number(length)), new Uint8Array(raw!.payload));
      assert.deepEqual(only(outlined[index]!.payload, RAW_DATA), []);
    });
    assert.ok(large > 20, String(large));
  });

  it("leaves little of the file, and all that adapters are fitted to", () => {
    const outlined = outline(files);
    assert.ok(outlined.length < model.length / 20, `${outlined.length} of ${model.length}`);
    assert.deepEqual(readGraph(outlined).tensors, readGraph(model).tensors);
  });

  it("refuses what is no protobuf, and what is cut short, whatever its length", async () => {
    const folder = await temporaryFolder();
    const cases = [
      ["no protobuf", new Uint8Array(100), /field of number 0/],
      ["cut in a tensor", model.subarray(0, model.length / 2), /cut short/],
      [
        "a graph longer than the file",
        join([...varint(1, 8), new Uint8Array([GRAPH * 8 + 2, 200, 1, 0])]),
        /cut short/,
      ],
    ] as const;
    for (const [name, bytes, words] of cases) {
      await writeFile(`${folder}/${name}`, bytes);
      const broken = await WeightFiles.open(runtime, { graph: await contentFile(`${folder}/${name}`) });
      assert.throws(() => outline(broken), words, name);
      broken.close();
    }
  });
});

describe("VerifiedFile", () => {
  it("reads any part, across blocks, into a buffer of one's own where one is given", () => {
    for (const [start, end] of [[0, 10], [1_048_570, 1_048_590], [5, 3_000_000], [file.size - 3, file.size]] as const) {
      assert.deepEqual(file.read(start, end), new Uint8Array(model.subarray(start, end)));
    }
    const target = new Uint8Array(20);
    assert.equal(file.read(7, 27, target), target);
    assert.deepEqual(target, new Uint8Array(model.subarray(7, 27)));
  });

  it("refuses a file that is not the one that was hashed", async () => {
    const folder = await temporaryFolder();
    await writeFile(`${folder}/a`, "some weights");
    const promised = await contentFile(`${folder}/a`);
    await writeFile(`${folder}/a`, "other weights");
    await assert.rejects(VerifiedFile.open(runtime, promised), { name: "ModelError", code: "identity_changed" });
  });

  it("refuses bytes that were changed, or cut off, after it was opened", async () => {
    const folder = await temporaryFolder();
    const bytes = new Uint8Array(2_500_000).map((_, index) => index % 251);
    for (
      const [name, after] of [["changed", bytes.with(2_000_000, 255)], ["cut", bytes.subarray(0, 2_000_000)]] as const
    ) {
      await writeFile(`${folder}/${name}`, bytes);
      const open = await VerifiedFile.open(runtime, await contentFile(`${folder}/${name}`));
      await writeFile(`${folder}/${name}`, after);
      assert.deepEqual(open.read(0, 1000), bytes.subarray(0, 1000));
      assert.throws(() => open.read(1_500_000, 1_500_100), { name: "ModelError", code: "identity_changed" });
      assert.equal(open.failure?.code, "identity_changed");
      open.close();
    }
  });

  it("says why a file cannot be read", async () => {
    const missing = { path: `${await temporaryFolder()}/missing`, sha256: "0".repeat(64), size: 1 };
    await assert.rejects(VerifiedFile.open(runtime, missing), { name: "FileError", code: "ENOENT" });
  });
});
