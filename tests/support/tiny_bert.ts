/**
 * Encoders as exporters write them: BERT and RoBERTa with chance for weights, in several forms of graph, with a tokenizer
 * of a few words. `bert_reference.ts` says what they compute.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { OnnxBase, OnnxFiles } from "../../src/model/backend.ts";
import { type Bert, BERT_EPSILON, BERT_LINEARS, type BertLayer, type Linear, type Norm } from "./bert_reference.ts";
import type { Matrix } from "./llama_reference.ts";
import { contentFile } from "./models.ts";
import { GraphBuilder } from "./onnx_builder.ts";
import { seededRandom } from "./random.ts";

/** The words that the tokenizer knows, ids in order; what it does not know is `[UNK]`. */
export const WORDS: readonly string[] = [
  ...["[CLS]", "[PAD]", "[SEP]", "[UNK]", "query", "passage", ":", ".", "the", "heaven", "##s", "earth", "light"],
  ...["dark", "##ness", "day", "night", "water", "god", "said", "good", "un", "##seen", "first", "second", "third"],
];

const [WIDTH, HEADS, INNER, LAYERS, PLACES] = [16, 2, 24, 2, 24];
const PADDING = 1;

/** A model of a family, with the weights that `seed` gives. */
export function tinyBert(family: "bert" | "roberta", seed = 1): Bert {
  const random = seededRandom(seed);
  // Few enough bits for a float16: the same weights, however they are kept.
  const numbers = (count: number, scale: number, around = 0): Float64Array =>
    Float64Array.from({ length: count }, () => around + Math.round(1024 * scale * (random() - 0.5)) / 1024);
  const matrix = (rows: number, columns: number): Matrix => ({ rows, columns, values: numbers(rows * columns, 0.9) });
  const linear = (rows: number, columns: number): Linear => ({
    matrix: matrix(rows, columns),
    bias: numbers(columns, 0.3),
  });
  const norm = (): Norm => ({ gain: numbers(WIDTH, 0.5, 1), bias: numbers(WIDTH, 0.3) });
  const layer = (): BertLayer => ({
    linears: Object.fromEntries(BERT_LINEARS.map((name) => {
      const [rows, columns] = name === "intermediate.dense"
        ? [WIDTH, INNER]
        : name === "output.dense"
        ? [INNER, WIDTH]
        : [WIDTH, WIDTH];
      return [name, linear(rows, columns)];
    })) as BertLayer["linears"],
    attentionNorm: norm(),
    outputNorm: norm(),
  });
  return {
    width: WIDTH,
    heads: HEADS,
    words: matrix(WORDS.length, WIDTH),
    positions: matrix(PLACES, WIDTH),
    ...(family === "bert" ? { types: matrix(2, WIDTH) } : {}),
    firstPosition: family === "bert" ? 0 : PADDING + 1,
    norm: norm(),
    layers: Array.from({ length: LAYERS }, layer),
  };
}

/** How to write a model. */
export interface BertExport {
  /** `last_hidden_state` when left out; `sentence_embedding` is the mean, and comes beside `token_embeddings`. */
  readonly output?: "last_hidden_state" | "token_embeddings" | "sentence_embedding";
  /** What its floating-point numbers are; `float32` when left out. */
  readonly type?: "float32" | "float16";
  /** What its token inputs are; `int64` when left out. */
  readonly integers?: "int64" | "int32";
  /** An input `position_ids`; else the graph counts by itself. No when left out. */
  readonly positionIds?: boolean;
  /** Inputs for the cache of a decoder, whose length is added to every number. No when left out. */
  readonly cacheInputs?: boolean;
  /** A further input, which nobody knows. */
  readonly strangeInput?: string;
}

/** The graph, with the node names of Optimum. */
export function bertGraph(bert: Bert, how: BertExport = {}): Uint8Array<ArrayBuffer> {
  const { output = "last_hidden_state", type = "float32", integers = "int64" } = how;
  const graph = new GraphBuilder();
  const { width, heads } = bert;
  const tokens = (name: string): string =>
    graph.node("Cast", [graph.input(name, integers, ["batch", "length"])], { attributes: { to: 7 } });
  const table = (name: string, { rows, columns, values }: Matrix): string =>
    graph.floats(name, type, [rows, columns], values);
  const scalar = (value: number): string => graph.floats(`scalar_${value}`, type, [], [value]);
  const norm = (name: string, x: string, { gain, bias }: Norm): string =>
    graph.node("LayerNormalization", [
      x,
      ...[["weight", gain], ["bias", bias]].map(([part, values]) => {
        return graph.floats(`${name}.${part as string}`, type, [width], values as ArrayLike<number>);
      }),
    ], { attributes: { axis: -1, epsilon: { float: BERT_EPSILON } } });
  const linear = (module: string, x: string, { matrix, bias }: Linear): string => {
    const name = `/${module.replace(/\.(?!\d)/g, "/")}`;
    const product = graph.node("MatMul", [x, table(`${module}.weight`, matrix)], { name: `${name}/MatMul` });
    return graph.node("Add", [graph.floats(`${module}.bias`, type, [matrix.columns], bias), product], {
      name: `${name}/Add`,
    });
  };
  const split = (x: string, order: readonly number[]): string =>
    graph.node("Transpose", [graph.node("Reshape", [x, graph.integers([0, 0, heads, width / heads])])], {
      attributes: { perm: order },
    });

  const ids = tokens("input_ids");
  const mask = tokens("attention_mask");
  let positions: string;
  if (how.positionIds) positions = tokens("position_ids");
  else {
    const count = graph.node("CumSum", [mask, graph.integers([1], [])]);
    positions = graph.node("Add", [count, graph.integers([bert.firstPosition - 1], [])]);
  }
  let x = graph.node("Add", [
    graph.node("Gather", [table("words", bert.words), ids]),
    graph.node("Gather", [table("positions", bert.positions), positions]),
  ]);
  if (bert.types !== undefined) {
    x = graph.node("Add", [x, graph.node("Gather", [table("types", bert.types), tokens("token_type_ids")])]);
  }
  x = norm("norm", x, bert.norm);
  const isSeen = graph.node("Unsqueeze", [
    graph.node("Cast", [mask], { attributes: { to: type === "float32" ? 1 : 10 } }),
    graph.integers([1, 2]),
  ]);
  const bias = graph.node("Mul", [graph.node("Sub", [scalar(1), isSeen]), scalar(-10000)]);
  bert.layers.forEach(({ linears, attentionNorm, outputNorm }, layer) => {
    const module = (name: (typeof BERT_LINEARS)[number], input: string): string =>
      linear(`encoder.layer.${layer}.${name}`, input, linears[name]);
    const query = split(module("attention.self.query", x), [0, 2, 1, 3]);
    const key = split(module("attention.self.key", x), [0, 2, 3, 1]);
    const value = split(module("attention.self.value", x), [0, 2, 1, 3]);
    const scores = graph.node("Div", [graph.node("MatMul", [query, key]), scalar(Math.sqrt(width / heads))]);
    const weights = graph.node("Softmax", [graph.node("Add", [scores, bias])], { attributes: { axis: -1 } });
    const heard = graph.node("Transpose", [graph.node("MatMul", [weights, value])], {
      attributes: { perm: [0, 2, 1, 3] },
    });
    const attended = graph.node("Reshape", [heard, graph.integers([0, 0, width])]);
    x = norm(
      `attention_norm_${layer}`,
      graph.node("Add", [x, module("attention.output.dense", attended)]),
      attentionNorm,
    );
    const inner = module("intermediate.dense", x);
    const erf = graph.node("Erf", [graph.node("Div", [inner, scalar(Math.SQRT2)])]);
    const half = graph.node("Mul", [inner, graph.node("Add", [erf, scalar(1)])]);
    const gelu = graph.node("Mul", [half, scalar(0.5)]);
    x = norm(`output_norm_${layer}`, graph.node("Add", [x, module("output.dense", gelu)]), outputNorm);
  });
  if (how.cacheInputs) {
    for (const part of ["key", "value"]) {
      const past = graph.input(`past_key_values.0.${part}`, type, ["batch", heads, "past_length", width / heads]);
      const size = graph.node("Cast", [graph.node("Size", [past])], {
        attributes: { to: type === "float32" ? 1 : 10 },
      });
      x = graph.node("Add", [x, size]);
    }
  }
  if (how.strangeInput !== undefined) graph.input(how.strangeInput, "int64", ["batch"]);
  const rows = output === "last_hidden_state" ? output : "token_embeddings";
  graph.node("Identity", [x], { outputs: [graph.output(rows, type, ["batch", "length", width])] });
  if (output === "sentence_embedding") {
    const options = { outputs: [graph.output(output, type, ["batch", width])], attributes: { axes: [1], keepdims: 0 } };
    graph.node("ReduceMean", [x], options);
  }
  return graph.finish().graph;
}

/** What `config.json` says. */
export function bertConfig({ types, width }: Bert): Record<string, unknown> {
  return {
    model_type: types === undefined ? "roberta" : "bert",
    vocab_size: WORDS.length,
    hidden_size: width,
    num_attention_heads: HEADS,
    num_hidden_layers: LAYERS,
    max_position_embeddings: PLACES,
    pad_token_id: PADDING,
  };
}

/** What `tokenizer.json` says: WordPiece in lower case, `[CLS]` before every text and `[SEP]` behind it. */
export const TOKENIZER: Readonly<Record<string, unknown>> = {
  version: "1.0",
  // Both are for batches, and to be ignored.
  truncation: { direction: "Right", max_length: 8, strategy: "LongestFirst", stride: 0 },
  padding: { strategy: { Fixed: 8 }, direction: "Right", pad_id: PADDING, pad_type_id: 0, pad_token: "[PAD]" },
  added_tokens: WORDS.slice(0, 4).map((content, id) => {
    return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  }),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: Object.fromEntries(
      [["[CLS]", 0], ["[SEP]", 2]].map(([id, number]) => [id, { id, ids: [number], tokens: [id] }]),
    ),
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

type BertRole = Exclude<keyof OnnxFiles, "externalData" | "generationConfig" | "chatTemplate" | "genaiConfig">;

/** Where in a model's folder each file is. */
const PATHS: Readonly<Record<BertRole, string>> = {
  graph: "onnx/model.onnx",
  config: "config.json",
  tokenizer: "tokenizer.json",
  tokenizerConfig: "tokenizer_config.json",
  modules: "modules.json",
  pooling: "1_Pooling/config.json",
  sentenceConfig: "sentence_bert_config.json",
  promptsConfig: "config_sentence_transformers.json",
};

/** Files of a model by role: JSON, or bytes; those that are `undefined` it has not. */
export type BertFiles = Partial<Record<BertRole, unknown>>;

/** Writes a model to a folder; what is left out of `files` is as it should be, or not there. */
export async function writeBert(
  folder: string,
  bert: Bert,
  how: BertExport = {},
  files: BertFiles = {},
): Promise<OnnxBase> {
  const all: BertFiles = {
    graph: bertGraph(bert, how),
    config: bertConfig(bert),
    tokenizer: TOKENIZER,
    tokenizerConfig: {},
    ...files,
  };
  const written = Object.entries(all).filter(([, content]) => content !== undefined).map(async ([role, content]) => {
    const path = join(folder, PATHS[role as BertRole]);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(
      path,
      content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content),
    );
    return [role, await contentFile(path)] as const;
  });
  const resolved = Object.fromEntries(await Promise.all(written)) as unknown as OnnxFiles;
  return {
    kind: "onnx",
    name: "tiny-bert",
    identity: resolved.graph.sha256,
    dtype: "fp32",
    device: "wasm",
    files: resolved,
  };
}

/** `modules.json` with these modules of Sentence Transformers. */
export function modulesJson(...names: readonly string[]): object[] {
  return names.map((name, idx) => {
    return {
      idx,
      name: String(idx),
      path: idx === 0 ? "" : `${idx}_${name}`,
      type: `sentence_transformers.models.${name}`,
    };
  });
}
