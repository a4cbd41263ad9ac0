/**
 * Graphs of every layout and type of numbers on a GPU, which a CPU plays here, with and without an adapter, against a
 * computation in float64 that knows no ONNX.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { View } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type Llama, llamaLogits, logSoftmax } from "../support/llama_reference.ts";
import { modulesOf, randomLora, withLora, writeLora } from "../support/lora.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { exportLlama, type LlamaExport, randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();
const llama = randomLlama(SMALL, 1, true);
const lora = randomLora(llama, modulesOf(llama));
const RANK_4 = { r: 4, lora_alpha: 8 };
const PROMPT = [5, 300, 17, 1999, 42, 7, 900, 3, 260, 511, 12];
const MAX_TOKENS = 4;
/** Float32 sums of some hundred numbers, in another order than the expectation's. */
const FLOAT32 = 1e-4;
/** Float16 keeps 11 bits, and GPUs may sum in them: a few times 0.0005 of logits around 10. */
const FLOAT16 = 2e-2;

const CASES: readonly (readonly [options: LlamaExport, tolerance: number])[] = [
  [{ layout: "optimum" }, FLOAT32],
  [{ layout: "optimum", dtype: "fp16" }, FLOAT16],
  [{ layout: "optimum", dtype: "q4" }, FLOAT32],
  [{ layout: "optimum", dtype: "q4f16" }, FLOAT16],
  [{ layout: "merged" }, FLOAT32],
  [{ layout: "no-cache" }, FLOAT32],
  [{ layout: "genai", packed: true, dtype: "fp16" }, FLOAT16],
  [{ layout: "genai", packed: true, dtype: "q4" }, FLOAT32],
];

/** Compares every log-probability of a greedy answer, and that what was chosen was the likeliest but for rounding. */
async function assertAnswers(view: View, model: Llama, tolerance: number): Promise<void> {
  const request = { ...greedy({ prompt: { ids: PROMPT }, maxTokens: MAX_TOKENS }), topLogprobs: 1 };
  const events = await Array.fromAsync(view.generate(request));
  const tokens = events.flatMap((event) => event.type === "token" ? [event.token] : []);
  const ids = [...PROMPT, ...tokens.map(({ id }) => id)];
  const rows = llamaLogits(model, ids).map(logSoftmax);
  for (const [index, { id, logprob }] of tokens.entries()) {
    const row = rows[PROMPT.length - 1 + index]!;
    const off = `token ${index}: ${logprob}, not ${row[id]} of ${Math.max(...row)}`;
    assert.ok(Math.abs(logprob! - row[id]!) < tolerance && row[id]! > Math.max(...row) - 2 * tolerance, off);
  }
}

describe("a graph on webgpu:software", { skip: skipWithoutGpu }, () => {
  for (const [options, tolerance] of CASES) {
    const { layout, packed, dtype = "fp32" } = options;
    it(`is run, base and adapter: ${[layout, packed && "packed", dtype].filter(Boolean).join(", ")}`, async () => {
      const folder = await temporaryFolder();
      const base = { ...await writeLlama(folder, llama, options), device: "webgpu:software" };
      const { llama: effective } = exportLlama(llama, options);
      const adapter = await writeLora(`${folder}/adapter`, lora, { config: RANK_4 });
      const backend = await loadOnnxBackend(runtime, base, { knownAdapterWeights: [adapter.files.weights.path] });
      try {
        await assertAnswers(backend.baseView(), effective, tolerance);
        await assertAnswers(backend.adapterView(adapter), withLora(effective, lora, 1), tolerance);
        await assertAnswers(backend.adapterView(adapter, { scale: 2 }), withLora(effective, lora, 2), tolerance);
      } finally {
        await backend.close();
      }
    });
  }
});
