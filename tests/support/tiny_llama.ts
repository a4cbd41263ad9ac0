/**
 * Llamas as exporters write them: one set of weights in the graphs of Optimum and transformers.js (with and without a
 * cache, merged) and of onnxruntime-genai, in every type of numbers in use. `llama_reference.ts` says what they compute.
 */

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { OnnxBase } from "../../src/model/backend.ts";
import { fieldsOf, numbers, text } from "../../src/model/graph/onnx_wire.ts";
import type { Llama, LlamaShape, Matrix } from "./llama_reference.ts";
import { contentFile, KJV_TINY } from "./models.ts";
import { type BuiltModel, fromHalf, GraphBuilder, halfBits } from "./onnx_builder.ts";
import { type LinearDtype, linearNodes, quantizedMatrix } from "./onnx_linear.ts";
import { seededRandom } from "./random.ts";

/** How numbers are kept, under the names of transformers.js. `q4f16`: 4-bit weights, all else float16. */
export type LlamaDtype = "fp32" | "fp16" | "q4" | "q4f16" | "int8";

/** How to write a Llama. */
export interface LlamaExport {
  /** `optimum`: with a cache. `merged`: with a switch `use_cache_branch`. `no-cache`. `genai`: GroupQueryAttention. */
  readonly layout: "optimum" | "merged" | "no-cache" | "genai";
  /** `fp32` when left out. */
  readonly dtype?: LlamaDtype;
  /** With an input `position_ids`; yes when left out, but for `genai`. */
  readonly positionIds?: boolean;
  /** With an input `attention_mask`, which `genai` always has; yes when left out. */
  readonly attentionMask?: boolean;
  /** Queries, keys and values from one layer `qkv_proj`, and `gate_up_proj`; `genai` only. No when left out. */
  readonly packed?: boolean;
  /** With an input `num_logits_to_keep`; no when left out. */
  readonly logitsToKeep?: boolean;
  /** Cache inputs say nothing of heads and their size; no when left out. */
  readonly symbolicCache?: boolean;
  /** Names of the files for large tensors; none when left out. */
  readonly externalData?: readonly string[];
  /** Tensors of so many bytes and more go to those files; 1024 when left out. */
  readonly externalFrom?: number;
  /** What the cache's inputs and outputs are called, `%d` the layer; Optimum's names when left out. */
  readonly names?: { readonly past: readonly [string, string]; readonly present: readonly [string, string] };
}

/** A Llama as it was written. */
export interface ExportedLlama extends BuiltModel {
  /** With the weights that the graph has, which are rounded where its numbers are. */
  readonly llama: Llama;
}

/** A small shape with grouped queries and uneven sizes, which knows as many tokens as the example's tokenizer. */
export const SMALL: LlamaShape = {
  hidden: 48,
  inner: 80,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headSize: 16,
  vocabulary: 2048,
  positions: 256,
  ropeTheta: 10000,
  epsilon: 1e-5,
};

/** The example model, its weights read from its graph. */
export async function kjvTiny(): Promise<Llama> {
  const config = JSON.parse(await readFile(join(KJV_TINY, "config.json"), "utf8"));
  const model = new Uint8Array(await readFile(join(KJV_TINY, "onnx", "model.onnx")));
  const graph = fieldsOf(model).find(({ number }) => number === 7)!.payload;
  const matrices = new Map<string, Matrix>();
  const vectors = new Map<string, Float64Array>();
  const modules = new Map<string, string>();
  for (const field of fieldsOf(graph)) {
    if (field.number !== 1 && field.number !== 5) continue;
    const parts = fieldsOf(field.payload).toArray();
    if (field.number === 1) {
      const module = /^\/(?:(.*_proj)\/)?MatMul$/.exec(text(parts.find(({ number }) => number === 3)!));
      const weight = text(parts.filter(({ number }) => number === 1)[1] ?? parts[0]!);
      if (module !== null) modules.set(weight, module[1]?.replaceAll("/", ".") ?? "lm_head");
    } else {
      const name = text(parts.find(({ number }) => number === 8)!);
      const module = modules.get(name) ?? name.replace(/\.weight$/, "");
      const [rows, columns] = parts.filter(({ number }) => number === 1).flatMap(numbers);
      const bytes = parts.find(({ number }) => number === 9)!.payload;
      const values = Float64Array.from(new Float32Array(bytes.slice().buffer));
      if (columns === undefined) vectors.set(module, values);
      else matrices.set(module, { rows: rows!, columns, values });
    }
  }
  const shape = {
    hidden: config.hidden_size,
    inner: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    keyValueHeads: config.num_key_value_heads,
    headSize: config.head_dim,
    vocabulary: config.vocab_size,
    positions: config.max_position_embeddings,
    ropeTheta: config.rope_theta,
    epsilon: config.rms_norm_eps,
  };
  return { shape, matrices, vectors };
}

/** A Llama with weights drawn from a seed, with biases where Qwen2 has them if `biased`. */
export function randomLlama(shape: LlamaShape = SMALL, seed: number = 1, biased: boolean = false): Llama {
  const random = seededRandom(seed);
  const values = (count: number, most: number, around = 0): Float64Array =>
    Float64Array.from({ length: count }, () => Math.fround(around + (2 * random() - 1) * most));
  const matrix = (rows: number, columns: number): Matrix => {
    return { rows, columns, values: values(rows * columns, Math.sqrt(3 / rows)) };
  };
  const { hidden, inner, vocabulary } = shape;
  const [queries, keys] = [shape.heads * shape.headSize, shape.keyValueHeads * shape.headSize];
  const embedding = { rows: vocabulary, columns: hidden, values: values(vocabulary * hidden, 1) };
  const matrices = new Map([["model.embed_tokens", embedding], ["lm_head", matrix(hidden, vocabulary)]]);
  const vectors = new Map([["model.norm", values(hidden, 0.5, 1)]]);
  for (let layer = 0; layer < shape.layers; layer++) {
    const scope = `model.layers.${layer}`;
    vectors.set(`${scope}.input_layernorm`, values(hidden, 0.5, 1));
    vectors.set(`${scope}.post_attention_layernorm`, values(hidden, 0.5, 1));
    for (const [name, columns] of [["q_proj", queries], ["k_proj", keys], ["v_proj", keys]] as const) {
      matrices.set(`${scope}.self_attn.${name}`, matrix(hidden, columns));
      if (biased) vectors.set(`${scope}.self_attn.${name}.bias`, values(columns, 0.5));
    }
    matrices.set(`${scope}.self_attn.o_proj`, matrix(queries, hidden));
    matrices.set(`${scope}.mlp.gate_proj`, matrix(hidden, inner));
    matrices.set(`${scope}.mlp.up_proj`, matrix(hidden, inner));
    matrices.set(`${scope}.mlp.down_proj`, matrix(inner, hidden));
  }
  return { shape, matrices, vectors };
}

/** A Llama's graph and the files with its weights. */
export function exportLlama(original: Llama, options: LlamaExport): ExportedLlama {
  const llama = rounded(original, options.dtype ?? "fp32");
  const graph = new GraphBuilder();
  new LlamaWriter(llama, options, graph).write();
  return { llama, ...graph.finish(options.externalData, options.externalFrom) };
}

/** Writes a Llama into `folder` in Hugging Face layout, with the example's tokenizer, resolved to its content. */
export async function writeLlama(folder: string, llama: Llama, options: LlamaExport): Promise<OnnxBase> {
  const { graph, externalData } = exportLlama(llama, options);
  const onnx = options.layout === "genai" ? folder : join(folder, "onnx");
  await mkdir(onnx, { recursive: true });
  for (const file of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    await copyFile(join(KJV_TINY, file), join(folder, file));
  }
  await writeFile(join(folder, "config.json"), JSON.stringify(configOf(llama.shape)));
  await writeFile(join(onnx, "model.onnx"), graph);
  for (const { name, bytes } of externalData) await writeFile(join(onnx, name), bytes);
  if (options.layout === "genai") {
    await writeFile(join(folder, "genai_config.json"), JSON.stringify(genaiConfig(options)));
  }
  const graphFile = await contentFile(join(onnx, "model.onnx"));
  return {
    kind: "onnx",
    name: `llama-${options.layout}`,
    identity: graphFile.sha256,
    dtype: options.dtype ?? "fp32",
    device: "wasm",
    files: {
      graph: graphFile,
      externalData: await Promise.all(externalData.map(({ name }) => contentFile(join(onnx, name)))),
      config: await contentFile(join(folder, "config.json")),
      tokenizer: await contentFile(join(folder, "tokenizer.json")),
      tokenizerConfig: await contentFile(join(folder, "tokenizer_config.json")),
      generationConfig: await contentFile(join(folder, "generation_config.json")),
      ...(options.layout === "genai" && { genaiConfig: await contentFile(join(folder, "genai_config.json")) }),
    },
  };
}

/** `config.json` of a Llama. */
function configOf(shape: LlamaShape): Readonly<Record<string, unknown>> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: shape.vocabulary,
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.keyValueHeads,
    head_dim: shape.headSize,
    intermediate_size: shape.inner,
    max_position_embeddings: shape.positions,
    rope_theta: shape.ropeTheta,
    rms_norm_eps: shape.epsilon,
    eos_token_id: 0,
  };
}

function genaiConfig(options: LlamaExport): unknown {
  const { past, present } = cacheNames(options);
  return {
    model: {
      type: "llama",
      decoder: {
        filename: "model.onnx",
        inputs: {
          input_ids: "input_ids",
          attention_mask: "attention_mask",
          past_key_names: past[0],
          past_value_names: past[1],
        },
        outputs: { logits: "logits", present_key_names: present[0], present_value_names: present[1] },
      },
    },
  };
}

function cacheNames({ names }: LlamaExport): NonNullable<LlamaExport["names"]> {
  return names ?? {
    past: ["past_key_values.%d.key", "past_key_values.%d.value"],
    present: ["present.%d.key", "present.%d.value"],
  };
}

/** The Llama whose numbers are those that a graph of this type has. */
function rounded(llama: Llama, dtype: LlamaDtype): Llama {
  const half = dtype === "fp16" || dtype === "q4f16";
  const round = (values: Float64Array): Float64Array =>
    half ? values.map((value) => fromHalf(halfBits(value))) : values;
  const matrices = Array.from(llama.matrices, ([name, matrix]) => {
    const kept = name === "model.embed_tokens" ? undefined : quantizedMatrix(matrix, LINEAR[dtype]);
    return [name, { ...matrix, values: kept?.effective ?? round(matrix.values) }] as const;
  });
  const vectors = Array.from(llama.vectors, ([name, values]) => [name, round(values)] as const);
  return { ...llama, matrices: new Map(matrices), vectors: new Map(vectors) };
}

const LINEAR: Readonly<Record<LlamaDtype, LinearDtype>> = {
  fp32: "float32",
  fp16: "float16",
  q4: "q4",
  q4f16: "q4f16",
  int8: "int8",
};

const MICROSOFT = "com.microsoft";

/** Writes one Llama into a graph. */
class LlamaWriter {
  readonly #llama: Llama;
  readonly #shape: LlamaShape;
  readonly #options: LlamaExport;
  readonly #graph: GraphBuilder;
  /** Type of what the layers hand on. */
  readonly #type: "float32" | "float16";

  constructor(llama: Llama, options: LlamaExport, graph: GraphBuilder) {
    this.#llama = llama;
    this.#shape = llama.shape;
    this.#options = options;
    this.#graph = graph;
    this.#type = options.dtype === "fp16" || options.dtype === "q4f16" ? "float16" : "float32";
  }

  write(): void {
    const { layout, positionIds = layout !== "genai", attentionMask = true, logitsToKeep = false } = this.#options;
    const { keyValueHeads, headSize, vocabulary } = this.#shape;
    const graph = this.#graph;
    graph.input("input_ids", "int64", ["batch_size", "sequence_length"]);
    if (attentionMask) graph.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
    if (positionIds) graph.input("position_ids", "int64", ["batch_size", "sequence_length"]);
    const [heads, size] = this.#options.symbolicCache ? ["heads", "head_size"] : [keyValueHeads, headSize];
    if (layout !== "no-cache") {
      for (const name of this.#pastNames()) {
        graph.input(name, this.#type, ["batch_size", heads, "past_sequence_length", size]);
      }
    }
    if (layout === "merged") graph.input("use_cache_branch", "bool", [1]);
    if (logitsToKeep) graph.input("num_logits_to_keep", "int64", []);
    if (layout === "merged") {
      const [then, otherwise] = [true, false].map((usesPast) => {
        const branch = graph.branch();
        const writer = new LlamaWriter(this.#llama, this.#options, branch);
        writer.#body(usesPast, usesPast ? "with_past/" : "no_past/");
        return branch;
      });
      const attributes = { then_branch: { graph: then! }, else_branch: { graph: otherwise! } };
      const outputs = ["logits", ...this.#presentNames()];
      graph.node("If", ["use_cache_branch"], { name: "optimum::if", outputs, attributes });
    } else if (layout === "genai") this.#genaiBody();
    else this.#body(layout === "optimum", "");
    if (layout === "merged") {
      graph.output("logits", this.#type, ["batch_size", "sequence_length", vocabulary]);
      for (const name of this.#presentNames()) this.#outputPresent(name);
    }
  }

  #pastNames(): string[] {
    const { past } = cacheNames(this.#options);
    return this.#layers().flatMap((layer) => past.map((name) => name.replace("%d", String(layer))));
  }

  #presentNames(): string[] {
    const { present } = cacheNames(this.#options);
    return this.#layers().flatMap((layer) => present.map((name) => name.replace("%d", String(layer))));
  }

  #layers(): number[] {
    return Array.from({ length: this.#shape.layers }, (_, layer) => layer);
  }

  #outputPresent(name: string): void {
    const { keyValueHeads, headSize } = this.#shape;
    this.#graph.output(name, this.#type, ["batch_size", keyValueHeads, "total_sequence_length", headSize]);
  }

  /** The graph as PyTorch's exporter traces transformers; outputs of a branch carry a prefix. */
  #body(usesPast: boolean, prefix: string): void {
    const graph = this.#graph;
    const { layout, attentionMask = true, positionIds = true, logitsToKeep = false } = this.#options;
    const { headSize, ropeTheta, vocabulary } = this.#shape;
    const op = (operator: string, inputs: string[], attributes = {}): string =>
      graph.node(operator, inputs, { attributes });
    const sizeOf = (tensor: string, axis: number): string =>
      op("Gather", [op("Shape", [tensor]), graph.integers([axis], [])]);
    const zero = graph.integers([0], []);
    const one = graph.integers([1], []);

    const sequence = sizeOf("input_ids", 1);
    const past = usesPast ? sizeOf(this.#pastNames()[0]!, 2) : zero;
    const total = op("Add", [past, sequence]);
    const places = op("Range", [past, total, one]);
    const positions = positionIds ? "position_ids" : op("Unsqueeze", [places, graph.integers([0])]);
    const half = headSize / 2;
    const frequencies = Array.from({ length: half }, (_, index) => ropeTheta ** (-2 * index / headSize));
    const angles = op("Mul", [
      op("Cast", [op("Unsqueeze", [positions, graph.integers([2])])], { to: 1 }),
      graph.floats("inv_freq", "float32", [half], frequencies),
    ]);
    const doubled = op("Unsqueeze", [op("Concat", [angles, angles], { axis: -1 }), graph.integers([1])]);
    const [cos, sin] = ["Cos", "Sin"].map((name) => this.#cast(op(name, [doubled])));

    const keys = op("Unsqueeze", [op("Range", [zero, total, one]), graph.integers([0])]);
    const causal = op("LessOrEqual", [keys, op("Unsqueeze", [places, graph.integers([1])])]);
    // Traced with one token after the others, that token may see all there is: nothing is left of the comparison.
    const masks = [causal, ...(attentionMask ? [op("Cast", ["attention_mask"], { to: 9 })] : [])];
    // Traced with one token, a branch with a cache compares nothing: that token may see all there is.
    const seen = (layout === "merged" && usesPast ? masks.slice(1) : masks).reduce((one, other) =>
      op("And", [one, other])
    );
    const lowest = graph.floats("lowest", this.#type, [], [-65504]);
    const mask = op("Where", [seen, graph.floats("zero", this.#type, [], [0]), lowest]);

    let hidden = graph.node("Gather", [this.#embedding(), "input_ids"], { name: "/model/embed_tokens/Gather" });
    for (const layer of this.#layers()) {
      hidden = this.#layer(layer, hidden, { usesPast, prefix, cos: cos!, sin: sin!, mask });
    }
    hidden = this.#decomposedNorm("model.norm", hidden);
    if (logitsToKeep) {
      const from = op("Unsqueeze", [op("Neg", ["num_logits_to_keep"]), graph.integers([0])]);
      hidden = op("Slice", [hidden, from, graph.integers([2 ** 53]), graph.integers([1])]);
    }
    const logits = this.#linear("lm_head", "/lm_head", hidden);
    graph.node("Identity", [logits], { outputs: [`${prefix}logits`] });
    graph.output(`${prefix}logits`, this.#type, ["batch_size", "sequence_length", vocabulary]);
    if (layout !== "no-cache") { for (const name of this.#presentNames()) this.#outputPresent(prefix + name); }
  }

  #layer(
    layer: number,
    hidden: string,
    { usesPast, prefix, cos, sin, mask }: {
      readonly usesPast: boolean;
      readonly prefix: string;
      readonly cos: string;
      readonly sin: string;
      readonly mask: string;
    },
  ): string {
    const graph = this.#graph;
    const { heads, keyValueHeads, headSize } = this.#shape;
    const op = (operator: string, inputs: string[], attributes = {}): string =>
      graph.node(operator, inputs, { attributes });
    const scope = `model.layers.${layer}`;
    const path = `/${scope}`;
    const split = (x: string, count: number): string =>
      op("Transpose", [op("Reshape", [x, graph.integers([0, 0, count, headSize])])], { perm: [0, 2, 1, 3] });
    const turned = (x: string): string => {
      const halves = [`${x}_first`, `${x}_second`];
      graph.node("Split", [x], { outputs: halves, attributes: { axis: -1 } });
      const partner = op("Concat", [op("Neg", [halves[1]!]), halves[0]!], { axis: -1 });
      return op("Add", [op("Mul", [x, cos]), op("Mul", [partner, sin])]);
    };
    const normed = this.#decomposedNorm(`${scope}.input_layernorm`, hidden);
    const project = (name: string): string =>
      this.#linear(`${scope}.self_attn.${name}`, `${path}/self_attn/${name}`, normed);
    const query = turned(split(project("q_proj"), heads));
    const fresh = [turned(split(project("k_proj"), keyValueHeads)), split(project("v_proj"), keyValueHeads)];
    const keeps = this.#options.layout !== "no-cache";
    const [key, value] = fresh.map((tensor, index) => {
      const past = this.#pastNames()[2 * layer + index]!;
      const outputs = keeps ? { outputs: [prefix + this.#presentNames()[2 * layer + index]!] } : {};
      const present = usesPast
        ? graph.node("Concat", [past, tensor], { attributes: { axis: 2 }, ...outputs })
        : graph.node("Identity", [tensor], outputs);
      if (heads === keyValueHeads) return present;
      const apart = op("Unsqueeze", [present, graph.integers([2])]);
      const repeated = op("Concat", new Array(heads / keyValueHeads).fill(apart), { axis: 2 });
      return op("Reshape", [repeated, graph.integers([1, heads, -1, headSize])]);
    });
    const scale = graph.floats("scale", this.#type, [], [1 / Math.sqrt(headSize)]);
    const scores = op("Mul", [op("MatMul", [query, op("Transpose", [key!], { perm: [0, 1, 3, 2] })]), scale]);
    const attended = op("MatMul", [op("Softmax", [op("Add", [scores, mask])], { axis: -1 }), value!]);
    const joined = op("Reshape", [
      op("Transpose", [attended], { perm: [0, 2, 1, 3] }),
      graph.integers([0, 0, heads * headSize]),
    ]);
    const sum = op("Add", [hidden, this.#linear(`${scope}.self_attn.o_proj`, `${path}/self_attn/o_proj`, joined)]);
    const x = this.#decomposedNorm(`${scope}.post_attention_layernorm`, sum);
    return op("Add", [sum, this.#feedForward(layer, x)]);
  }

  #feedForward(layer: number, x: string): string {
    const graph = this.#graph;
    const scope = `model.layers.${layer}.mlp`;
    const path = `/model/layers.${layer}/mlp`;
    let [gate, up] = ["", ""];
    if (this.#options.packed) {
      const both = this.#joined([`${scope}.gate_proj`, `${scope}.up_proj`], `${path}/gate_up_proj`, x);
      [gate, up] = [`${both}_gate`, `${both}_up`];
      graph.node("Split", [both], { outputs: [gate, up], attributes: { axis: -1 } });
    } else {
      gate = this.#linear(`${scope}.gate_proj`, `${path}/gate_proj`, x);
      up = this.#linear(`${scope}.up_proj`, `${path}/up_proj`, x);
    }
    const gated = graph.node("Mul", [graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]), up]);
    return this.#linear(`${scope}.down_proj`, `${path}/down_proj`, gated);
  }

  /** The graph as onnxruntime-genai's model builder puts it together. */
  #genaiBody(): void {
    const graph = this.#graph;
    const { heads, keyValueHeads, headSize, positions, ropeTheta, vocabulary, epsilon, hidden: width } = this.#shape;
    const half = headSize / 2;
    const angles = Array.from({ length: positions * half }, (_, index) => {
      return Math.floor(index / half) * ropeTheta ** (-2 * (index % half) / headSize);
    });
    const cos = graph.floats("cos_cache", this.#type, [positions, half], angles.map(Math.cos));
    const sin = graph.floats("sin_cache", this.#type, [positions, half], angles.map(Math.sin));
    const reformat = "/model/attn_mask_reformat";
    const lengths = graph.node("Cast", [
      graph.node("Sub", [
        graph.node("ReduceSum", ["attention_mask", graph.integers([1])], {
          name: `${reformat}/ReduceSum`,
          attributes: { keepdims: 0 },
        }),
        graph.integers([1]),
      ]),
    ], { attributes: { to: 6 } });
    const total = graph.node("Cast", [
      graph.node("Gather", [graph.node("Shape", ["attention_mask"]), graph.integers([1], [])], {
        name: `${reformat}/Gather`,
      }),
    ], { attributes: { to: 6 } });
    const weight = (module: string): string =>
      graph.floats(`${module}.weight`, this.#type, [width], this.#llama.vectors.get(module)!);
    const norm = (module: string, hidden: string, skip: string | undefined): readonly [string, string] => {
      const name = `/${module.replaceAll(/\.(?!\d)/g, "/")}`;
      const attributes = { epsilon: { float: epsilon } };
      if (skip === undefined) {
        const inputs = [hidden, weight(module)];
        return [
          graph.node("SimplifiedLayerNormalization", inputs, { name, attributes: { ...attributes, axis: -1 } }),
          hidden,
        ];
      }
      const outputs = [`${name}/output_0`, "", "", `${name}/output_3`];
      const inputs = [hidden, skip, weight(module)];
      graph.node("SkipSimplifiedLayerNormalization", inputs, { name, outputs, domain: MICROSOFT, attributes });
      return [outputs[0]!, outputs[3]!];
    };

    let hidden = graph.node("Gather", [this.#embedding(), "input_ids"], { name: "/model/embed_tokens/Gather" });
    let skip: string | undefined;
    for (const layer of this.#layers()) {
      const scope = `model.layers.${layer}`;
      const path = `/${scope}/attn`;
      let x: string;
      [x, hidden] = norm(`${scope}.input_layernorm`, hidden, skip);
      const modules = ["q_proj", "k_proj", "v_proj"].map((name) => `${scope}.self_attn.${name}`);
      const projected = this.#options.packed
        ? [this.#joined(modules, `${path}/qkv_proj`, x), "", ""]
        : modules.map((module) => this.#linear(module, `${path}/${module.split(".").at(-1)}`, x));
      const caches = this.#pastNames().slice(2 * layer, 2 * layer + 2);
      const outputs = [`${path}/GroupQueryAttention/output_0`, ...this.#presentNames().slice(2 * layer, 2 * layer + 2)];
      const attended = graph.node("GroupQueryAttention", [...projected, ...caches, lengths, total, cos, sin], {
        name: `${path}/GroupQueryAttention`,
        domain: MICROSOFT,
        outputs,
        attributes: {
          num_heads: heads,
          kv_num_heads: keyValueHeads,
          scale: { float: 1 / Math.sqrt(headSize) },
          do_rotary: 1,
          rotary_interleaved: 0,
        },
      });
      const out = this.#linear(`${scope}.self_attn.o_proj`, `${path}/o_proj`, attended);
      [x, hidden] = norm(`${scope}.post_attention_layernorm`, hidden, out);
      skip = this.#feedForward(layer, x);
    }
    const [last] = norm("model.norm", hidden, skip);
    graph.node("Identity", [this.#linear("lm_head", "/lm_head", last)], { outputs: ["logits"] });
    graph.output("logits", this.#type, ["batch_size", "sequence_length", vocabulary]);
    for (const name of this.#presentNames()) this.#outputPresent(name);
  }

  #linear(module: string, path: string, x: string): string {
    const matrix = this.#llama.matrices.get(module)!;
    return this.#biased(
      linearNodes(this.#graph, this.#linearType(), path, x, matrix),
      path,
      this.#llama.vectors.get(`${module}.bias`),
    );
  }

  /** Several layers over one input as one, their outputs side by side. */
  #joined(modules: readonly string[], path: string, x: string): string {
    const parts = modules.map((module) => this.#llama.matrices.get(module)!);
    const { rows } = parts[0]!;
    const columns = parts.reduce((sum, part) => sum + part.columns, 0);
    const values = Float64Array.from(
      Array.from({ length: rows }, (_, row) => {
        return parts.flatMap((part) => [...part.values.subarray(row * part.columns, (row + 1) * part.columns)]);
      }).flat(),
    );
    const biases = modules.flatMap((module) => [...this.#llama.vectors.get(`${module}.bias`) ?? []]);
    const bias = biases.length === 0 ? undefined : Float64Array.from(biases);
    return this.#biased(linearNodes(this.#graph, this.#linearType(), path, x, { rows, columns, values }), path, bias);
  }

  #biased(product: string, path: string, bias: Float64Array | undefined): string {
    if (bias === undefined) return product;
    const stored = this.#graph.floats(`${path.slice(1).replaceAll("/", ".")}.bias`, this.#type, [bias.length], bias);
    return this.#graph.node("Add", [stored, product], { name: `${path}/Add` });
  }

  #linearType(): LinearDtype {
    return LINEAR[this.#options.dtype ?? "fp32"];
  }

  #embedding(): string {
    const { rows, columns, values } = this.#llama.matrices.get("model.embed_tokens")!;
    return this.#graph.floats("model.embed_tokens.weight", this.#type, [rows, columns], values);
  }

  #decomposedNorm(module: string, x: string): string {
    const graph = this.#graph;
    const { epsilon, hidden } = this.#shape;
    const path = `/${module.replaceAll(/\.(?!\d)/g, "/")}`;
    const op = (operator: string, inputs: string[], attributes = {}): string =>
      graph.node(operator, inputs, { name: `${path}/${operator}`, attributes });
    // transformers normalises in float32, whatever the weights are.
    const wide = this.#type === "float16" ? graph.node("Cast", [x], { attributes: { to: 1 } }) : x;
    const square = op("Pow", [wide, graph.floats("two", "float32", [], [2])]);
    const mean = op("ReduceMean", [square], { axes: [-1] });
    const root = op("Sqrt", [op("Add", [mean, graph.floats("epsilon", "float32", [], [epsilon])])]);
    const normed = this.#cast(op("Div", [wide, root]));
    const weight = graph.floats(`${module}.weight`, this.#type, [hidden], this.#llama.vectors.get(module)!);
    return op("Mul", [weight, normed]);
  }

  /** A float32 tensor as what the layers hand on. */
  #cast(x: string): string {
    return this.#type === "float32" ? x : this.#graph.node("Cast", [x], { attributes: { to: 10 } });
  }
}
