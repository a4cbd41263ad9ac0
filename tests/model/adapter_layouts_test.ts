/**
 * LoRA adapters on one Llama in every layout and type of numbers that exporters write, against what a forward pass in
 * float64 computes with the adapter merged into the weights, which are those that the graph has after rounding.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Backend, OnnxBase, ResolvedAdapter, View } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type Llama, llamaLogits, logSoftmax, type ReferenceOptions } from "../support/llama_reference.ts";
import {
  type Lora,
  type LoraFiles,
  type LoraPair,
  modulesOf,
  randomLora,
  withLora,
  writeLora,
} from "../support/lora.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { exportLlama, type LlamaExport, randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";

const runtime = await loadRuntime();
const llama = randomLlama(SMALL, 1, true);
const PROMPT = [5, 300, 17, 1999, 42, 7, 900, 3, 260, 511, 12];
/** float32 sums of a few hundred products, through two layers: 2e-6 measured. */
const FLOAT32 = 2e-5;
/** float16 has 11 bits, so that activations around 4 are right to 2e-3: 4e-3 measured. */
const FLOAT16 = 2e-2;
const RANK_4 = { r: 4, lora_alpha: 8 };

async function loaded<T>(
  base: OnnxBase,
  adapters: readonly ResolvedAdapter[],
  use: (backend: Backend) => Promise<T>,
): Promise<T> {
  const knownAdapterWeights = adapters.map(({ files }) => files.weights.path);
  const backend = await loadOnnxBackend(runtime, base, { knownAdapterWeights });
  try {
    return await use(backend);
  } finally {
    await backend.close();
  }
}

/** Compares the whole distribution of the token after the prompt. */
async function assertComputes(
  view: View,
  model: Llama,
  tolerance: number,
  options: ReferenceOptions = {},
): Promise<void> {
  const { ids, logprobs } = await view.nextToken({ ids: PROMPT }, { topK: SMALL.vocabulary });
  const expected = logSoftmax(llamaLogits(model, PROMPT, options).at(-1)!);
  ids.forEach((id, index) => {
    const difference = Math.abs(logprobs[index]! - expected[id]!);
    assert.ok(difference < tolerance, `token ${id}: ${logprobs[index]}, not ${expected[id]}`);
  });
}

/** The pairs of a LoRA times λ. */
function times(lora: Lora, lambda: number): ReadonlyMap<string, LoraPair> {
  return new Map(Array.from(lora, ([module, pair]) => [module, { ...pair, scale: lambda * pair.scale }]));
}

async function assertEveryView(options: LlamaExport, lora: Lora, tolerance: number): Promise<void> {
  const folder = await temporaryFolder();
  const base = await writeLlama(folder, llama, options);
  const { llama: effective } = exportLlama(llama, options);
  const adapter = await writeLora(`${folder}/adapter`, lora, { config: RANK_4 });
  // What int8 graphs round on the way is rounded for the base alone: the branch reads it as it was.
  const isRounded = options.dtype === "int8";
  const compare = (view: View, lambda: number): Promise<void> => {
    if (!isRounded) return assertComputes(view, withLora(effective, lora, lambda), tolerance);
    return assertComputes(view, effective, tolerance, { quantizesInputs: true, branches: times(lora, lambda) });
  };
  await loaded(base, [adapter], async (backend) => {
    await compare(backend.baseView(), 0);
    await compare(backend.adapterView(adapter), 1);
    await compare(backend.adapterView(adapter, { scale: -0.5 }), -0.5);
    const [off, none] = await Promise.all(
      [backend.adapterView(adapter, { scale: 0 }), backend.baseView()].map((view) => {
        return view.nextToken({ ids: PROMPT }, { topK: SMALL.vocabulary });
      }),
    );
    assert.deepEqual(off, none);
  });
}

describe("an adapter of every linear layer, output layer included", () => {
  const lora = randomLora(llama, modulesOf(llama, /./));
  for (
    const [options, tolerance] of [
      [{ layout: "optimum" }, FLOAT32],
      [{ layout: "optimum", dtype: "fp16" }, FLOAT16],
      [{ layout: "optimum", dtype: "q4" }, FLOAT32],
      [{ layout: "optimum", dtype: "q4f16" }, FLOAT16],
      [{ layout: "optimum", dtype: "int8" }, FLOAT32],
      [{ layout: "optimum", externalData: ["model.onnx_data"] }, FLOAT32],
      [{ layout: "merged" }, FLOAT32],
      [{ layout: "merged", dtype: "q4" }, FLOAT32],
      [{ layout: "no-cache" }, FLOAT32],
      [{ layout: "genai" }, FLOAT32],
      [{ layout: "genai", dtype: "fp16" }, FLOAT16],
      [{ layout: "genai", dtype: "q4" }, FLOAT32],
      [{ layout: "genai", packed: true }, FLOAT32],
      [{ layout: "genai", packed: true, dtype: "fp16" }, FLOAT16],
      [{ layout: "genai", packed: true, dtype: "q4" }, FLOAT32],
      [{ layout: "genai", packed: true, dtype: "int8" }, FLOAT32],
    ] as readonly (readonly [LlamaExport, number])[]
  ) {
    const { layout, dtype = "fp32", packed, externalData } = options;
    const words = [layout, packed && "packed", externalData && "external data", dtype].filter(Boolean).join(", ");
    it(`computes what the merged weights do, at any λ: ${words}`, () => assertEveryView(options, lora, tolerance));
  }
});

describe("an adapter of some of the modules that a graph computes together", () => {
  for (
    const [what, pattern] of [
      ["queries", /q_proj/],
      ["keys", /k_proj/],
      ["values, and the second half of the feed-forward layer", /v_proj|up_proj/],
    ] as const
  ) {
    it(`leaves the others as they are: ${what}`, () => {
      return assertEveryView({ layout: "genai", packed: true }, randomLora(llama, modulesOf(llama, pattern)), FLOAT32);
    });
  }
});

describe("what PEFT writes", () => {
  const q4 = { layout: "genai", packed: true, dtype: "q4" } as const;
  const isAttention = (module: string): boolean => module.includes("self_attn");

  async function assertAdapter(lora: Lora, files: LoraFiles): Promise<void> {
    const folder = await temporaryFolder();
    const base = await writeLlama(folder, llama, q4);
    const adapter = await writeLora(`${folder}/adapter`, lora, files);
    const expected = withLora(exportLlama(llama, q4).llama, lora);
    await loaded(base, [adapter], (backend) => assertComputes(backend.adapterView(adapter), expected, FLOAT32));
  }

  for (const dtype of ["F32", "F16", "BF16"] as const) {
    it(`is read in ${dtype}`, () => assertAdapter(randomLora(llama, modulesOf(llama)), { config: RANK_4, dtype }));
  }

  it("may have a rank and a scale for each module", async () => {
    const rankOf = (module: string): number => module.endsWith(".1.mlp.up_proj") ? 6 : isAttention(module) ? 2 : 4;
    const scaleOf = (module: string, rank: number): number => (module.endsWith("down_proj") ? 32 : 8) / rank;
    const lora = randomLora(llama, modulesOf(llama), rankOf, scaleOf);
    const config = {
      ...RANK_4,
      rank_pattern: { "layers.1.mlp.up_proj": 6, "self_attn\\.[qkvo]_proj": 2 },
      alpha_pattern: { down_proj: 32 },
    };
    await assertAdapter(lora, { config });
  });

  it("may be scaled for the square root of its rank (rsLoRA)", async () => {
    const lora = randomLora(llama, modulesOf(llama), undefined, (_, rank) => 8 / Math.sqrt(rank));
    await assertAdapter(lora, { config: { ...RANK_4, use_rslora: true } });
  });

  it("may be named as a model's own state dictionary does", async () => {
    const lora = randomLora(llama, modulesOf(llama));
    await assertAdapter(lora, {
      config: RANK_4,
      nameOf: (module, matrix) => `${module}.lora_${matrix}.default.weight`,
    });
  });

  it("may be for a model without the wrapper that the graph has around it", async () => {
    const lora = randomLora(llama, modulesOf(llama));
    await assertAdapter(lora, {
      config: RANK_4,
      nameOf: (module, matrix) => `base_model.model.${module.replace("model.", "")}.lora_${matrix}.weight`,
    });
  });

  it("may be for a model that keeps together what the graph computes apart", async () => {
    const folder = await temporaryFolder();
    const base = await writeLlama(folder, llama, { layout: "genai" });
    const together = new Map<string, LoraPair>();
    const apart: [string, LoraPair][] = [];
    const source = randomLora(llama, modulesOf(llama, /[qkv]_proj/));
    for (const layer of [0, 1]) {
      const scope = `model.layers.${layer}.self_attn`;
      const parts = ["q_proj", "k_proj", "v_proj"].map((name) => source.get(`${scope}.${name}`)!);
      // One A for all three, as a module `qkv_proj` has it.
      const [{ down, scale }] = parts as [LoraPair];
      const columns = parts.reduce((sum, { up }) => sum + up.columns, 0);
      const values = Array.from({ length: down.columns }, (_, rank) => {
        return parts.flatMap(({ up }) => [...up.values.subarray(rank * up.columns, (rank + 1) * up.columns)]);
      });
      const up = { rows: down.columns, columns, values: Float64Array.from(values.flat()) };
      together.set(`${scope}.qkv_proj`, { down, up, scale });
      ["q_proj", "k_proj", "v_proj"].forEach((name, index) => {
        apart.push([`${scope}.${name}`, { ...parts[index]!, down }]);
      });
    }
    const adapter = await writeLora(`${folder}/adapter`, together, { config: RANK_4 });
    await loaded(base, [adapter], async (backend) => {
      await assertComputes(backend.adapterView(adapter), withLora(llama, new Map(apart)), FLOAT32);
    });
  });
});

describe("a base in use", () => {
  it("takes adapters of other modules one after the other, and all of them at the same time", async () => {
    const folder = await temporaryFolder();
    const base = await writeLlama(folder, llama, { layout: "genai", packed: true });
    const loras = [/q_proj/, /mlp/, /lm_head/].map((pattern, seed) => {
      return randomLora(llama, modulesOf(llama, pattern), undefined, undefined, seed);
    });
    const adapters: ResolvedAdapter[] = [];
    for (const [index, lora] of loras.entries()) {
      adapters.push(await writeLora(`${folder}/${index}`, lora, { config: RANK_4 }));
    }
    await loaded(base, [], async (backend) => {
      const views = adapters.map((adapter) => backend.adapterView(adapter));
      for (const [index, view] of views.entries()) await assertComputes(view, withLora(llama, loras[index]!), FLOAT32);
      await Promise.all(views.map((view, index) => assertComputes(view, withLora(llama, loras[index]!), FLOAT32)));
      await assertComputes(backend.baseView(), llama, FLOAT32);
    });
  });
});
