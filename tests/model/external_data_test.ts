/** Weights in files beside the graph: read as they are needed, checked, and only where the model has said. */

import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import type { ContentFile, OnnxBase } from "../../src/model/backend.ts";
import { predictMemory } from "../../src/model/memory.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Llama } from "../support/llama_reference.ts";
import { contentFile } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { exportLlama, kjvTiny, writeLlama } from "../support/tiny_llama.ts";

const runtime = await loadRuntime();
const NAMES = ["model.onnx_data", "model.onnx_data_1"];
const TEXT = "And Moses said unto the people";

let llama: Llama;
before(async () => {
  llama = await kjvTiny();
});

const write = async (externalData: readonly string[] = NAMES): Promise<OnnxBase> =>
  await writeLlama(await temporaryFolder(), llama, { layout: "optimum", externalData });

async function score(base: OnnxBase): Promise<unknown> {
  const backend = await loadOnnxBackend(runtime, base);
  try {
    return await backend.baseView().rollingLogprobs(TEXT);
  } finally {
    await backend.close();
  }
}

/** The model with other external data than it was written with. */
const withData = (base: OnnxBase, externalData: readonly ContentFile[]): OnnxBase => {
  return { ...base, files: { ...base.files, externalData } };
};

describe("external data", () => {
  it("gives the same bits as weights in the graph, from several files", async () => {
    const base = await write();
    assert.equal(base.files.externalData?.length, 2);
    assert.ok(base.files.graph.size < 200_000, String(base.files.graph.size));
    assert.deepEqual(await score(base), await score(await write([])));
  });

  it("counts in what the model is foretold to take, and takes no more", async () => {
    const base = await write();
    const bytes = base.files.externalData!.reduce((sum, { size }) => sum + size, base.files.graph.size);
    const { wasm } = predictMemory(base);
    assert.ok(wasm > bytes, `${wasm} for ${bytes}`);
    const backend = await loadOnnxBackend(runtime, base);
    assert.ok(backend.memory.wasm < 1.1 * wasm, `${backend.memory.wasm}, and not ${wasm}`);
    await backend.close();
  });

  it("has small tensors in the graph, where onnxruntime looks for shapes", async () => {
    // The rows of norms, of 640 bytes each, are outside as well.
    const { graph, externalData } = exportLlama(llama, { layout: "optimum", externalData: ["all"], externalFrom: 1 });
    const base = await write([]);
    const folder = base.files.graph.path.replace(/[^/\\]+$/, "");
    await writeFile(base.files.graph.path, graph);
    await writeFile(`${folder}all`, externalData[0]!.bytes);
    const files = { ...base.files, graph: await contentFile(base.files.graph.path) };
    const outside = { ...base, files: { ...files, externalData: [await contentFile(`${folder}all`)] } };
    assert.deepEqual(await score(outside), await score(await write([])));
  });

  const refused = async (base: OnnxBase, code: string, message: RegExp): Promise<void> => {
    await assert.rejects(score(base), (error: Error & { code: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  };

  it("is refused where a file is not the model's, by its name", async () => {
    const base = await write();
    const [first] = base.files.externalData!;
    await refused(
      withData(base, [first!]),
      "model_load_failed",
      /model\.onnx: weights of .+ are in a file that is not the model's: "model\.onnx_data_1"; there is model\.onnx_data/,
    );
    await refused(withData(base, []), "model_load_failed", /not the model's: "model\.onnx_data"; there is none/);
  });

  for (const name of ["../model.onnx_data", "/etc/passwd", "sub/model.onnx_data", "model.onnx"]) {
    it(`is refused at a place that is not beside the graph: ${name}`, async () => {
      const { graph } = exportLlama(llama, { layout: "optimum", externalData: [name] });
      const base = await write(["model.onnx_data"]);
      await writeFile(base.files.graph.path, graph);
      const files = { ...base.files, graph: await contentFile(base.files.graph.path) };
      await refused({ ...base, files }, "model_load_failed", /in a file that is not the model's/);
    });
  }

  it("is refused when it is cut short, with the tensor that is missing", async () => {
    const base = await write(["model.onnx_data"]);
    const { path } = base.files.externalData![0]!;
    await writeFile(path, (await readFile(path)).subarray(0, 3_000_000));
    await refused(
      withData(base, [await contentFile(path)]),
      "model_load_failed",
      /model\.onnx_data is cut short: .+ ends at byte \d+ of 3000000/,
    );
  });

  it("is refused when it is not what was hashed, or gone", async () => {
    const base = await write(["model.onnx_data"]);
    const { path } = base.files.externalData![0]!;
    const bytes = await readFile(path);
    bytes[1_500_000]! ^= 1;
    await writeFile(path, bytes);
    await refused(base, "identity_changed", /model\.onnx_data changed since it was hashed/);
    await rename(path, `${path}.away`);
    await refused(base, "model_load_failed", /model\.onnx_data/);
  });

  it("is too large together with the graph where WebAssembly cannot address it", async () => {
    const base = await write(["model.onnx_data"]);
    const [file] = base.files.externalData!;
    await refused(
      withData(base, [{ ...file!, size: 2 ** 32 }]),
      "model_load_failed",
      /model\.onnx has \d+ bytes with its external data: onnxruntime can address 4294967296/,
    );
  });
});
