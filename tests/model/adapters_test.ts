/** Adapters of a loaded base: scaled, as noise, of layers that are no MatMul, shared between requests, and broken. */

import assert from "node:assert/strict";
import { copyFile, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { noiseOf } from "../../src/model/adapter/noise.ts";
import { readAdapter } from "../../src/model/adapter/peft.ts";
import { readScales } from "../../src/model/adapter/peft_config.ts";
import { readTensors } from "../../src/model/adapter/safetensors.ts";
import type { Backend, NullAdapterOptions, OnnxBase, ResolvedAdapter, View } from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { llamaLogits, logSoftmax, type Matrix } from "../support/llama_reference.ts";
import { type Lora, randomLora, withLora, writeLora } from "../support/lora.ts";
import { contentFile, KJV_TINY, resolveAdapter, resolveBase } from "../support/models.ts";
import { GraphBuilder } from "../support/onnx_builder.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { kjvTiny } from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";
import { safetensors } from "./safetensors.ts";

const runtime = await loadRuntime();
const PROMPT = { ids: [260, 511, 12, 900] };
const VOCABULARY = 2048;
const fortunes = await resolveAdapter();

const distribution = (view: View) => view.nextToken(PROMPT, { topK: VOCABULARY });

async function assertClose(view: View, logits: Float64Array, tolerance = 2e-5): Promise<void> {
  const { ids, logprobs } = await distribution(view);
  const expected = logSoftmax(logits);
  ids.forEach((id, index) => {
    const difference = Math.abs(logprobs[index]! - expected[id]!);
    assert.ok(difference < tolerance, `token ${id}: ${logprobs[index]}, not ${expected[id]}`);
  });
}

describe("nullView", () => {
  let backend: Backend;
  before(async () => {
    backend = await loadOnnxBackend(runtime, await resolveBase(), {
      knownAdapterWeights: [fortunes.files.weights.path],
    });
  });
  after(() => backend?.close());

  /** Noise for the modules of the example adapter, as pairs for float64. */
  async function noise(options: NullAdapterOptions): Promise<Lora> {
    const config = JSON.parse(await readFile(fortunes.files.config.path, "utf8"));
    const bytes = new Uint8Array(await readFile(fortunes.files.weights.path));
    const file = { size: bytes.length, read: (start: number, end: number) => bytes.slice(start, end) };
    const drawn = noiseOf(readAdapter(readScales(config), readTensors(file)), options);
    return new Map(Array.from(drawn, ([module, { rank, inputSize, outputSize, a, b }]) => {
      const down = { rows: inputSize, columns: rank, values: Float64Array.from(a) };
      // The scale is in B already.
      return [module, { down, up: { rows: rank, columns: outputSize, values: Float64Array.from(b) }, scale: 1 }];
    }));
  }

  it("computes what the base with that noise in its weights does", async () => {
    const llama = await kjvTiny();
    for (const options of [{ seed: 7 }, { seed: 8, initScale: 0.1, rankScale: 2 }]) {
      const expected = llamaLogits(withLora(llama, await noise(options)), PROMPT.ids).at(-1)!;
      await assertClose(backend.nullView(fortunes, options), expected, 1e-4);
    }
  });

  it("gives the same answers for a seed, others for another, and neither the base's nor the adapter's", async () => {
    const views = [1, 1, 2].map((seed) => backend.nullView(fortunes, { seed }));
    const [one, again, other] = await Promise.all(views.map(distribution));
    assert.deepEqual(again, one);
    for (const different of [other, await distribution(backend.baseView())]) assert.notDeepEqual(different, one);
    assert.notDeepEqual(await distribution(backend.adapterView(fortunes)), one);
  });

  it("leaves base and adapter as they are, at the same time", async () => {
    const views = [backend.baseView(), backend.adapterView(fortunes)];
    const alone = [];
    for (const view of views) alone.push(await distribution(view));
    const noises = [3, 4, 5, 6, 7, 8].map((seed) => backend.nullView(fortunes, { seed }));
    const [base, adapter] = await Promise.all([...views, ...noises].map(distribution));
    assert.deepEqual([base, adapter], alone);
  });

  it("generates, and is let go of with the adapter", async () => {
    const events = await Array.fromAsync(backend.nullView(fortunes, { seed: 1 }).generate(greedy({ maxTokens: 4 })));
    assert.equal(events.filter(({ type }) => type === "token").length, 4);
    await backend.dropAdapter(fortunes.identity);
    assert.deepEqual(backend.adapters, []);
  });

  for (
    const [what, options] of [
      ["a seed of 33 bits", { seed: 2 ** 32 }],
      ["no deviation", { seed: 1, initScale: 0 }],
      ["a scale that is no number", { seed: 1, rankScale: NaN }],
    ] as const
  ) {
    it(`is a RangeError at once for ${what}`, () => {
      assert.throws(() => backend.nullView(fortunes, options), RangeError);
    });
  }
});

describe("an adapter at λ = 0", () => {
  it("is the base to the bit, and its files are looked at nevertheless", async () => {
    const backend = await loadOnnxBackend(runtime, await resolveBase());
    try {
      const off = backend.adapterView(fortunes, { scale: 0 });
      assert.deepEqual(await distribution(off), await distribution(backend.baseView()));
      const missing = { ...fortunes.files, weights: { ...fortunes.files.weights, path: "/nowhere" } };
      const view = backend.adapterView({ ...fortunes, identity: "missing", files: missing }, { scale: 0 });
      await assert.rejects(distribution(view), { code: "model_load_failed" });
    } finally {
      await backend.close();
    }
  });
});

/** A language model of one hidden layer over the last token alone, and what it computes. */
class Bigrams {
  readonly matrices: ReadonlyMap<string, Matrix>;
  readonly #embedding: Matrix;
  readonly #bias: Float64Array;

  constructor() {
    const shapes = { embedding: [VOCABULARY, 16], "transformer.h.0.mlp.c_fc": [16, 24], lm_head: [24, VOCABULARY] };
    const matrices = new Map(
      Object.entries(shapes).map(([name, [rows, columns]]) => {
        const values = Float64Array.from({ length: rows! * columns! }, (_, at) => Math.fround(Math.sin(at * 12.9898)));
        return [name, { rows: rows!, columns: columns!, values }];
      }),
    );
    this.#embedding = matrices.get("embedding")!;
    this.#bias = Float64Array.from({ length: 24 }, (_, at) => Math.fround(Math.cos(at)));
    matrices.delete("embedding");
    this.matrices = matrices;
  }

  /** In float64, with adapters beside the layers. */
  logits(id: number, lora: Lora = new Map()): Float64Array {
    const layer = (name: string, x: Float64Array): Float64Array => {
      const pair = lora.get(name);
      const own = times(x, this.matrices.get(name)!);
      if (pair === undefined) return own;
      return times(times(x, pair.down), pair.up).map((value, at) => own[at]! + pair.scale * value);
    };
    const hidden = layer("transformer.h.0.mlp.c_fc", this.#embedding.values.subarray(id * 16, (id + 1) * 16));
    return layer("lm_head", hidden.map((value, at) => value + this.#bias[at]!));
  }

  /** As GPT-2 is exported: the layer (a `Conv1D`) a Gemm over rows, the output layer the embedding's own matrix. */
  async write(folder: string): Promise<OnnxBase> {
    const graph = new GraphBuilder();
    graph.input("input_ids", "int64", ["batch_size", "sequence_length"]);
    const embedding = graph.floats("transformer.wte.weight", "float32", [VOCABULARY, 16], this.#embedding.values);
    const layer = this.matrices.get("transformer.h.0.mlp.c_fc")!;
    const weight = graph.floats("transformer.h.0.mlp.c_fc.weight", "float32", [16, 24], layer.values);
    const bias = graph.floats("transformer.h.0.mlp.c_fc.bias", "float32", [24], this.#bias);
    const rows = graph.node("Reshape", [graph.node("Gather", [embedding, "input_ids"]), graph.integers([-1, 16])]);
    const hidden = graph.node("Gemm", [rows, weight, bias], { name: "/transformer/h.0/mlp/c_fc/Gemm" });
    const head = this.matrices.get("lm_head")!;
    const turned = Float64Array.from(head.values, (_, at) => {
      return head.values[at % head.rows * head.columns + Math.floor(at / head.rows)]!;
    });
    const stored = graph.floats("lm_head.weight", "float32", [VOCABULARY, 24], turned);
    const back = graph.node("Reshape", [hidden, graph.integers([1, -1, 24])]);
    const matrix = graph.node("Transpose", [stored], { attributes: { perm: [1, 0] } });
    graph.node("MatMul", [back, matrix], { name: "/lm_head/MatMul", outputs: ["logits"] });
    graph.output("logits", "float32", ["batch_size", "sequence_length", VOCABULARY]);
    await mkdir(`${folder}/onnx`, { recursive: true });
    for (const file of ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"]) {
      await copyFile(`${KJV_TINY}/${file}`, `${folder}/${file}`);
    }
    await writeFile(`${folder}/onnx/model.onnx`, graph.finish().graph);
    return await resolveBase(folder);
  }
}

function times(x: Float64Array, { rows, columns, values }: Matrix): Float64Array {
  return Float64Array.from({ length: columns }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += x[row]! * values[row * columns + column]!;
    return sum;
  });
}

describe("an adapter of layers that are no MatMul with its matrix", () => {
  it("goes beside a Gemm, as Conv1D is exported, and beside a product with a matrix that is turned round", async () => {
    const model = new Bigrams();
    const folder = await temporaryFolder();
    const base = await model.write(folder);
    const lora = randomLora({ matrices: model.matrices }, [...model.matrices.keys()]);
    const config = { r: 4, lora_alpha: 8, fan_in_fan_out: true };
    const adapter = await writeLora(`${folder}/adapter`, lora, { config });
    const backend = await loadOnnxBackend(runtime, base);
    try {
      const last = PROMPT.ids.at(-1)!;
      await assertClose(backend.baseView(), model.logits(last), 1e-4);
      await assertClose(backend.adapterView(adapter), model.logits(last, lora), 1e-4);
    } finally {
      await backend.close();
    }
  });
});

describe("a broken adapter", () => {
  let backend: Backend;
  let folder: string;
  let written = 0;
  before(async () => {
    folder = await temporaryFolder();
    backend = await loadOnnxBackend(runtime, await resolveBase());
  });
  after(() => backend?.close());

  const CONFIG = { peft_type: "LORA", r: 1, lora_alpha: 1, bias: "none" };
  const query = "base_model.model.model.layers.0.self_attn.q_proj";
  const up = "base_model.model.model.layers.1.mlp.up_proj";

  /** Tensors of rank 1 for modules, by the numbers that go in and come out. */
  function lora(modules: Readonly<Record<string, readonly [number, number]>>, fill = 0): Uint8Array<ArrayBuffer> {
    return safetensors(Object.fromEntries(
      Object.entries(modules).flatMap(([module, [inputs, outputs]]) => [
        [`${module}.lora_A.weight`, { dtype: "F32", shape: [1, inputs], bytes: new Float32Array(inputs).fill(fill) }],
        [`${module}.lora_B.weight`, { dtype: "F32", shape: [outputs, 1], bytes: new Float32Array(outputs).fill(fill) }],
      ]),
    ));
  }

  async function write(config: string, weights: Uint8Array): Promise<ResolvedAdapter> {
    const path = `${folder}/${written++}`;
    await mkdir(path);
    await writeFile(`${path}/adapter_config.json`, config);
    await writeFile(`${path}/adapter_model.safetensors`, weights);
    return await resolveAdapter(path);
  }

  const good = { [query]: [160, 160] } as const;
  const json = JSON.stringify(CONFIG);
  for (
    const [what, config, weights, message] of [
      [
        "for a base with fewer layers",
        json,
        lora({ ...good, "base_model.model.model.layers.4.mlp.up_proj": [160, 432] }),
        /the base has no linear layer model\.layers\.4\.mlp\.up_proj/,
      ],
      [
        "for a wider base, by the first module that differs, with both shapes",
        json,
        lora({ ...good, [up]: [160, 512], "base_model.model.model.layers.2.mlp.up_proj": [160, 512] }),
        /model\.layers\.1\.mlp\.up_proj of the base goes from 160 to 432: the adapter's from 160 to 512/,
      ],
      [
        "with weights that are not numbers",
        json,
        lora(good, NaN),
        /safetensors: tensor .*q_proj\.lora_A.* number: NaN/,
      ],
      ["cut short", json, lora(good).subarray(0, -9), /adapter_model\.safetensors: safetensors file is cut short/],
      ["of nothing", json, new Uint8Array(), /adapter_model\.safetensors: safetensors file is cut short: 0 bytes/],
      ["that is JSON alone", json, new TextEncoder().encode(json), /safetensors header does not fit the file/],
      ["whose configuration is none", "{", lora(good), /adapter_config\.json is not JSON/],
      ["of another kind", JSON.stringify({ ...CONFIG, peft_type: "IA3" }), lora(good), /config\.json: .*LORA: "IA3"/],
      ["of another rank than configured", JSON.stringify({ ...CONFIG, r: 8 }), lora(good), /of rank 1: its r is 8/],
      [
        "for one module twice",
        json,
        lora({ ...good, "base_model.model.layers.0.self_attn.q_proj": [160, 160] }),
        /layers\.0\.self_attn\.q_proj and model\.layers\.0\.self_attn\.q_proj are one module of the base/,
      ],
    ] as const
  ) {
    it(`is refused with the reason, and the base goes on: ${what}`, async () => {
      const expected = await distribution(backend.baseView());
      await assert.rejects(distribution(backend.adapterView(await write(config, weights))), (error: unknown) => {
        assert.ok(error instanceof ModelError, String(error));
        assert.deepEqual([error.code, error.permanent], ["model_load_failed", true]);
        assert.match(error.message, /^Cannot load adapter fortunes: /);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(backend.adapters, []);
      assert.deepEqual(await distribution(backend.baseView()), expected);
    });
  }

  it("is refused at a λ, or an alpha, that makes its weights infinite, and works at another", async () => {
    const adapter = await write(json, lora(good, 1));
    const refused = {
      code: "model_load_failed",
      message: /a weight of model\.layers\.0\.\S+ times its scale is beyond/,
    };
    await assert.rejects(distribution(backend.adapterView(adapter, { scale: 1e39 })), refused);
    await distribution(backend.adapterView(adapter, { scale: -1e-6 }));
    const loud = await write(JSON.stringify({ ...CONFIG, lora_alpha: -1e300 }), lora(good, 1));
    await assert.rejects(distribution(backend.adapterView(loud)), refused);
  });

  it("is refused when its header says that it has 40 GB, in a file that could hold them", async () => {
    const path = `${folder}/long`;
    await mkdir(path);
    await writeFile(`${path}/adapter_config.json`, json);
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setBigUint64(0, 40_000_000_000n, true);
    await writeFile(`${path}/adapter_model.safetensors`, prefix);
    const adapter = await resolveAdapter(path);
    await assert.rejects(distribution(backend.adapterView(adapter)), /does not fit the file: 40000000000 of 8 bytes/);
  });

  it("is refused when it changes between two looks at it", async () => {
    const adapter = await write(json, lora(good));
    const file = await open(adapter.files.weights.path, "r+");
    await file.write(new Uint8Array([1, 2, 3]), 0, 3, adapter.files.weights.size - 4);
    await file.close();
    await assert.rejects(distribution(backend.adapterView(adapter)), { code: "identity_changed" });
    const mended = { ...adapter, identity: "mended", files: await filesOf(adapter) };
    assert.equal((await distribution(backend.adapterView(mended))).ids.length, VOCABULARY);
  });

  async function filesOf({ files: { config, weights } }: ResolvedAdapter): Promise<ResolvedAdapter["files"]> {
    return { config, weights: await contentFile(weights.path) };
  }
});
