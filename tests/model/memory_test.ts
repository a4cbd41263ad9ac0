/** What a model is said to take before it is loaded, and what it takes then. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { predictMemory } from "../../src/model/memory.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { resolveBase } from "../support/models.ts";

describe("predictMemory", () => {
  it("is within a tenth of what the example model takes", async () => {
    const base = await resolveBase();
    const backend = await loadOnnxBackend(await loadRuntime(), base);
    const { wasm, gpu } = predictMemory(base);
    assert.equal(gpu, 0);
    assert.ok(Math.abs(backend.memory.wasm / wasm - 1) < 0.1, `${backend.memory.wasm} for ${wasm}`);
    await backend.close();
  });

  it("grows with the weights, on the side where they will be", async () => {
    const base = await resolveBase();
    const graph = { ...base.files.graph, size: 1e9 };
    const large = { ...base, files: { ...base.files, graph } };
    assert.ok(predictMemory(large).wasm > 1.05e9 && predictMemory(large).wasm < 1.15e9);
    for (const device of ["webgpu", "webgpu:software"]) {
      const { wasm, gpu } = predictMemory({ ...large, device });
      assert.equal(gpu, 1e9);
      assert.ok(wasm < 1e8);
    }
  });
});
