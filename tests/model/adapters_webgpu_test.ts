/** Adapters on a GPU, which a CPU plays here (lavapipe): the same numbers as on the CPU, and tensors that stay there. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { View } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type Llama, llamaLogits, logSoftmax } from "../support/llama_reference.ts";
import { modulesOf, randomLora, withLora, writeLora } from "../support/lora.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { exportLlama, type LlamaExport, randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();
const llama = randomLlama();
const PROMPT = [5, 300, 17, 1999, 42];
const FLOAT32 = 1e-4;
/** float16 has 11 bits, and a GPU sums in it too: 2e-2 measured. */
const FLOAT16 = 5e-2;

async function assertComputes(view: View, model: Llama, tolerance: number): Promise<void> {
  const { ids, logprobs } = await view.nextToken({ ids: PROMPT }, { topK: SMALL.vocabulary });
  const expected = logSoftmax(llamaLogits(model, PROMPT).at(-1)!);
  const worst = ids.reduce((most, id, index) => Math.max(most, Math.abs(logprobs[index]! - expected[id]!)), 0);
  assert.ok(worst < tolerance, `off by ${worst}`);
}

describe("adapters on webgpu:software", { skip: skipWithoutGpu }, () => {
  for (
    const [options, tolerance] of [
      [{ layout: "optimum" }, FLOAT32],
      [{ layout: "optimum", dtype: "fp16" }, FLOAT16],
      [{ layout: "optimum", dtype: "q4f16" }, FLOAT16],
      [{ layout: "genai", packed: true, dtype: "q4" }, FLOAT32],
    ] as readonly (readonly [LlamaExport, number])[]
  ) {
    const { layout, packed, dtype = "fp32" } = options;
    it(`compute what the merged weights do, and stay there until they are dropped: ${layout}, ${dtype}`, async () => {
      const folder = await temporaryFolder();
      const base = { ...await writeLlama(folder, llama, options), device: "webgpu:software" };
      const effective = exportLlama(llama, options).llama;
      const lora = randomLora(llama, modulesOf(llama));
      const adapter = await writeLora(`${folder}/adapter`, lora, { config: { r: 4, lora_alpha: 8 } });
      const backend = await loadOnnxBackend(runtime, base, { knownAdapterWeights: [adapter.files.weights.path] });
      try {
        await assertComputes(backend.baseView(), effective, tolerance);
        const before = backend.memory.gpu;
        const scales = [1, 0.5, 1];
        await Promise.all(scales.map((scale) => {
          return assertComputes(backend.adapterView(adapter, { scale }), withLora(effective, lora, scale), tolerance);
        }));
        await assertComputes(backend.baseView(), effective, tolerance);
        const numbers = [...lora.values()].reduce(
          (sum, { down, up }) => sum + down.values.length + up.values.length,
          0,
        );
        const bytes = numbers * (tolerance === FLOAT16 ? 2 : 4);
        assert.ok(packed || backend.memory.gpu - before >= 2 * bytes, `${backend.memory.gpu - before} of ${2 * bytes}`);
        await backend.dropAdapter(adapter.identity);
        await assertComputes(backend.baseView(), effective, tolerance);
        assert.ok(backend.memory.gpu - before < bytes, `${backend.memory.gpu - before} are left`);
      } finally {
        await backend.close();
      }
    });
  }
});
