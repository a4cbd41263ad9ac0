/**
 * Llamas with random weights, written where they are measured: a model of 1.5 billion parameters is 3 GB, which no
 * script carries along. Weights go to a file beside the graph, piece by piece, so that neither this process nor
 * WebAssembly's 32 bits have to hold them twice. The graph is as onnxruntime-genai writes it.
 */

import { createHash, type Hash } from "node:crypto";
import { copyFile, type FileHandle, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContentFile, OnnxBase } from "../../src/model/backend.ts";
import type { LlamaShape } from "../../tests/support/llama_reference.ts";
import { contentFile, KJV_TINY } from "../../tests/support/models.ts";
import { GraphBuilder, halfBits, type Place } from "../../tests/support/onnx_builder.ts";
import { seededRandom } from "../../tests/support/random.ts";

/** The types of numbers that are measured, under the names of transformers.js; q4 has all else in float16. */
export type BenchDtype = "fp16" | "q4";

/** A tensor in the file with the weights. */
export interface WrittenTensor {
  readonly name: string;
  readonly dimensions: readonly number[];
  readonly offset: number;
}

/** A model as it was written, and what others than we need to run it. */
export interface BenchModel {
  readonly size: string;
  readonly dtype: BenchDtype;
  readonly shape: LlamaShape;
  readonly parameters: number;
  /** Bytes of weights that each token has to read: all but the embeddings, of which it reads one row. */
  readonly bytesPerToken: number;
  readonly base: OnnxBase;
  readonly weights: string;
  readonly tensors: readonly WrittenTensor[];
}

const common = { ropeTheta: 10_000, epsilon: 1e-5, positions: 1024 };

/** Shapes by what they are called: parameters in billions. `tiny` is for trying the program out. */
export const SHAPES: Readonly<Record<string, LlamaShape>> = {
  tiny: { ...common, hidden: 64, inner: 128, layers: 2, heads: 4, keyValueHeads: 2, headSize: 16, vocabulary: 4096 },
  "0.1": {
    ...common,
    hidden: 768,
    inner: 2048,
    layers: 12,
    heads: 12,
    keyValueHeads: 4,
    headSize: 64,
    vocabulary: 32_768,
  },
  "0.5": {
    ...common,
    hidden: 896,
    inner: 4864,
    layers: 24,
    heads: 14,
    keyValueHeads: 2,
    headSize: 64,
    vocabulary: 65_536,
  },
  "1.5": {
    ...common,
    hidden: 1536,
    inner: 8960,
    layers: 28,
    heads: 12,
    keyValueHeads: 2,
    headSize: 128,
    vocabulary: 65_536,
  },
};

const WEIGHTS = "weights.bin";
const MICROSOFT = "com.microsoft";
/** Weights per scale of `MatMulNBits`. */
const BLOCK = 32;
/** Random numbers drawn once and written again and again; prime, so that no two rows of a matrix are alike. */
const POOL = 1_048_573;
const PAGE = 4096;

/** Writes a model into `folder`. */
export async function writeBenchModel(folder: string, size: string, dtype: BenchDtype): Promise<BenchModel> {
  const shape = SHAPES[size];
  if (shape === undefined) throw new RangeError(`No such size: ${size}; there are ${Object.keys(SHAPES).join(", ")}`);
  await mkdir(folder, { recursive: true });
  const file = await WeightsFile.create(join(folder, WEIGHTS));
  const graph = await writeGraph(shape, dtype, file);
  const weights = await file.close();
  await writeFile(join(folder, "model.onnx"), graph);
  await writeFile(join(folder, "config.json"), JSON.stringify(configOf(shape)));
  await writeFile(join(folder, "genai_config.json"), JSON.stringify({ model: { type: "llama", decoder: {} } }));
  for (const name of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    await copyFile(join(KJV_TINY, name), join(folder, name));
  }
  const at = (name: string): Promise<ContentFile> => contentFile(join(folder, name));
  const files = {
    graph: await at("model.onnx"),
    externalData: [weights],
    config: await at("config.json"),
    tokenizer: await at("tokenizer.json"),
    tokenizerConfig: await at("tokenizer_config.json"),
    generationConfig: await at("generation_config.json"),
    genaiConfig: await at("genai_config.json"),
  };
  const { hidden, inner, layers, heads, keyValueHeads, headSize, vocabulary } = shape;
  const attention = 2 * hidden * heads * headSize + 2 * hidden * keyValueHeads * headSize;
  const linear = layers * (attention + 3 * hidden * inner) + hidden * vocabulary;
  return {
    size,
    dtype,
    shape,
    parameters: linear + hidden * vocabulary + (2 * layers + 1) * hidden,
    bytesPerToken: linear * (dtype === "fp16" ? 2 : 0.5 + 2 / BLOCK),
    base: { kind: "onnx", name: `llama-${size}`, identity: weights.sha256, dtype, device: "webgpu", files },
    weights: weights.path,
    tensors: file.tensors,
  };
}

/** The file with the weights, written from front to back. */
class WeightsFile {
  readonly tensors: WrittenTensor[] = [];
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  readonly #random = seededRandom(1);
  readonly #pools = new Map<string, Uint8Array>();
  #size = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<WeightsFile> {
    return new WeightsFile(path, await open(path, "w"));
  }

  /** Random float16 numbers, evenly distributed within `most` of `around`. */
  floats(name: string, dimensions: readonly number[], most: number, around: number = 0): Promise<Place> {
    const pool = this.#pool(`${most} ${around}`, () => {
      const bits = Uint16Array.from({ length: POOL }, () => halfBits(around + (2 * this.#random() - 1) * most));
      return new Uint8Array(bits.buffer);
    });
    return this.#write(name, dimensions, pool, 2);
  }

  /** Random bytes. */
  bytes(name: string, dimensions: readonly number[]): Promise<Place> {
    const pool = this.#pool("bytes", () => Uint8Array.from({ length: POOL }, () => Math.floor(this.#random() * 256)));
    return this.#write(name, dimensions, pool, 1);
  }

  async close(): Promise<ContentFile> {
    await this.#file.close();
    return { path: this.#path, sha256: this.#hash.digest("hex"), size: this.#size };
  }

  #pool(name: string, make: () => Uint8Array): Uint8Array {
    const known = this.#pools.get(name) ?? make();
    this.#pools.set(name, known);
    return known;
  }

  async #write(name: string, dimensions: readonly number[], pool: Uint8Array, width: number): Promise<Place> {
    await this.#append(new Uint8Array((PAGE - this.#size % PAGE) % PAGE));
    const length = width * dimensions.reduce((product, size) => product * size);
    const place = { location: WEIGHTS, offset: this.#size, length };
    this.tensors.push({ name, dimensions, offset: place.offset });
    let from = Math.floor(this.#random() * POOL) * width;
    for (let left = length; left > 0;) {
      const part = pool.subarray(from, from + left);
      await this.#append(part);
      left -= part.length;
      from = 0;
    }
    return place;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#size += bytes.length;
    for (let done = 0; done < bytes.length;) done += (await this.#file.write(bytes.subarray(done))).bytesWritten;
  }
}

async function writeGraph(shape: LlamaShape, dtype: BenchDtype, file: WeightsFile): Promise<Uint8Array> {
  const { hidden: width, inner, layers, heads, keyValueHeads, headSize, vocabulary, positions, ropeTheta, epsilon } =
    shape;
  const graph = new GraphBuilder();
  graph.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  graph.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  const floats = async (name: string, dimensions: readonly number[], most: number, around?: number): Promise<string> =>
    graph.elsewhere(name, "float16", dimensions, await file.floats(name, dimensions, most, around));

  const linear = async (path: string, x: string, rows: number, columns: number): Promise<string> => {
    const name = `${path}/MatMul`;
    const outputs = [`${name}_output_0`];
    const weight = `${path.slice(1).replaceAll("/", ".")}.MatMul.weight`;
    if (dtype === "fp16") {
      const inputs = [x, await floats(weight, [rows, columns], Math.sqrt(3 / rows))];
      return graph.node("MatMul", inputs, { name, outputs });
    }
    const blocks = Math.ceil(rows / BLOCK);
    const packed = [columns, blocks, BLOCK / 2];
    const stored = graph.elsewhere(`${weight}_Q4`, "uint8", packed, await file.bytes(`${weight}_Q4`, packed));
    // Levels from -8 to 7 are spread like numbers of 4.6.
    const scale = 1 / (4.6 * Math.sqrt(rows));
    const scales = await floats(`${weight}_scales`, [columns * blocks], scale / 4, scale);
    const attributes = { K: rows, N: columns, bits: 4, block_size: BLOCK };
    return graph.node("MatMulNBits", [x, stored, scales], {
      name: `${name}_Q4`,
      outputs,
      domain: MICROSOFT,
      attributes,
    });
  };

  const half = headSize / 2;
  const angles = Array.from({ length: positions * half }, (_, index) => {
    return Math.floor(index / half) * ropeTheta ** (-2 * (index % half) / headSize);
  });
  const cos = graph.floats("cos_cache", "float16", [positions, half], angles.map(Math.cos));
  const sin = graph.floats("sin_cache", "float16", [positions, half], angles.map(Math.sin));
  const sum = graph.node("ReduceSum", ["attention_mask", graph.integers([1])], { attributes: { keepdims: 0 } });
  const lengths = graph.node("Cast", [graph.node("Sub", [sum, graph.integers([1])])], { attributes: { to: 6 } });
  const longest = graph.node("Gather", [graph.node("Shape", ["attention_mask"]), graph.integers([1], [])]);
  const total = graph.node("Cast", [longest], { attributes: { to: 6 } });
  const norm = async (name: string, x: string, skip?: string): Promise<[normed: string, sum: string]> => {
    const weight = await floats(`${name.slice(1).replaceAll("/", ".")}.weight`, [width], 0.5, 1);
    const attributes = { epsilon: { float: epsilon } };
    if (skip === undefined) {
      const inputs = [x, weight];
      return [graph.node("SimplifiedLayerNormalization", inputs, { name, attributes: { ...attributes, axis: -1 } }), x];
    }
    const outputs = [`${name}/output_0`, "", "", `${name}/output_3`];
    graph.node("SkipSimplifiedLayerNormalization", [x, skip, weight], { name, outputs, domain: MICROSOFT, attributes });
    return [outputs[0]!, outputs[3]!];
  };

  const embedding = await floats("model.embed_tokens.weight", [vocabulary, width], 1);
  let hidden = graph.node("Gather", [embedding, "input_ids"], { name: "/model/embed_tokens/Gather" });
  let skip: string | undefined;
  const cacheShape = (length: string) => ["batch_size", keyValueHeads, length, headSize];
  for (let layer = 0; layer < layers; layer++) {
    const scope = `/model/layers.${layer}`;
    const caches = ["key", "value"].map((kind) => {
      return graph.input(`past_key_values.${layer}.${kind}`, "float16", cacheShape("past_sequence_length"));
    });
    const presents = ["key", "value"].map((kind) => {
      return graph.output(`present.${layer}.${kind}`, "float16", cacheShape("total_sequence_length"));
    });
    let x: string;
    [x, hidden] = await norm(`${scope}/input_layernorm`, hidden, skip);
    const queries = await linear(`${scope}/attn/q_proj`, x, width, heads * headSize);
    const keys = await linear(`${scope}/attn/k_proj`, x, width, keyValueHeads * headSize);
    const values = await linear(`${scope}/attn/v_proj`, x, width, keyValueHeads * headSize);
    const name = `${scope}/attn/GroupQueryAttention`;
    const attended = graph.node("GroupQueryAttention", [queries, keys, values, ...caches, lengths, total, cos, sin], {
      name,
      domain: MICROSOFT,
      outputs: [`${name}/output_0`, ...presents],
      attributes: {
        num_heads: heads,
        kv_num_heads: keyValueHeads,
        scale: { float: 1 / Math.sqrt(headSize) },
        do_rotary: 1,
        rotary_interleaved: 0,
      },
    });
    const out = await linear(`${scope}/attn/o_proj`, attended, heads * headSize, width);
    [x, hidden] = await norm(`${scope}/post_attention_layernorm`, hidden, out);
    const gate = await linear(`${scope}/mlp/gate_proj`, x, width, inner);
    const up = await linear(`${scope}/mlp/up_proj`, x, width, inner);
    const opened = graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
    skip = await linear(`${scope}/mlp/down_proj`, graph.node("Mul", [opened, up]), inner, width);
  }
  const [last] = await norm("/model/norm", hidden, skip);
  graph.node("Identity", [await linear("/lm_head", last, width, vocabulary)], { outputs: ["logits"] });
  graph.output("logits", "float16", ["batch_size", "sequence_length", vocabulary]);
  return graph.finish().graph;
}

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
