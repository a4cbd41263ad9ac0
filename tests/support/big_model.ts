/**
 * A causal language model as large as is wanted: the example model with further layers behind its last one, their
 * weights drawn from a seed. Layers as wide as those of models in use, so that its memory behaves as theirs does.
 */

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pieces } from "../../src/model/graph/onnx_wire.ts";
import { KJV_TINY } from "./models.ts";
import { floats, node, withNodes } from "./onnx_graph.ts";

/** Width of what the layers hand on. */
const WIDTH = 1024;
/** Width inside a layer, for the last one at most. */
const INNER = 4096;
/** Widths of the example model, and how many tokens it knows. */
const [HIDDEN, VOCABULARY] = [160, 2048];
const BYTES_PER_NUMBER = 4;
const LAYER_BYTES = 2 * WIDTH * INNER * BYTES_PER_NUMBER;

/** What the example model calls the input of its last layer, and its output. */
const [LAST_HIDDEN, LOGITS] = ["/model/norm/Mul_1_output_0", "logits"];

const FILES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

/** What to make. */
export interface BigModelOptions {
  /** Size of the graph, weights included, in bytes; exact to 10 kB. 256 MiB when left out. */
  readonly bytes?: number;
  /** Another seed gives other weights, and so another identity. 1 when left out. */
  readonly seed?: number;
}

/** Writes the model into `folder/name`, in Hugging Face layout, without adapters. Returns that folder. */
export async function makeBigModel(folder: string, name: string, options: BigModelOptions = {}): Promise<string> {
  const { bytes = 256 * 2 ** 20, seed = 1 } = options;
  const target = join(folder, name);
  await mkdir(join(target, "onnx"), { recursive: true });
  for (const file of FILES) await copyFile(join(KJV_TINY, file), join(target, file));
  const small = await readFile(join(KJV_TINY, "onnx", "model.onnx"));
  const larger = withNodes(small, furtherLayers(bytes - small.length, seed), LOGITS, "small_logits");
  await writeFile(join(target, "onnx", "model.onnx"), larger);
  return target;
}

/** Nodes and weights of so many bytes, which add a little to the logits. */
function furtherLayers(bytes: number, seed: number): Pieces[] {
  const random = weights(seed);
  const layerBytes = bytes - WIDTH * (HIDDEN + VOCABULARY) * BYTES_PER_NUMBER;
  const count = Math.ceil(layerBytes / LAYER_BYTES);
  if (count < 1) throw new RangeError(`Cannot make a model that small: ${bytes} bytes of further layers`);
  const parts = [...linear("further/in", LAST_HIDDEN, random, [HIDDEN, WIDTH], 0.1)];
  let hidden = "further/in/out";
  for (let layer = 0; layer < count; layer++) {
    const scope = `further/layers.${layer}`;
    const left = (layerBytes - layer * LAYER_BYTES) / (2 * WIDTH * BYTES_PER_NUMBER);
    const inner = Math.max(1, Math.min(INNER, Math.floor(left)));
    parts.push(
      ...linear(`${scope}/up`, hidden, random, [WIDTH, inner], 0.02),
      node("Sigmoid", [`${scope}/up/out`], [`${scope}/gate`]),
      node("Mul", [`${scope}/up/out`, `${scope}/gate`], [`${scope}/gated`]),
      ...linear(`${scope}/down`, `${scope}/gated`, random, [inner, WIDTH], 0.02),
      node("Add", [hidden, `${scope}/down/out`], [`${scope}/sum`]),
    );
    hidden = `${scope}/sum`;
  }
  return [
    ...parts,
    ...linear("further/head", hidden, random, [WIDTH, VOCABULARY], 0.001),
    node("Add", ["small_logits", "further/head/out"], [LOGITS]),
  ];
}

/** `scope/out`, the product of an input with a matrix of numbers around 0, none further from it than `most`. */
function linear(
  scope: string,
  input: string,
  random: (count: number, most: number) => Float32Array,
  [rows, columns]: readonly [number, number],
  most: number,
): Pieces[] {
  return [
    floats(`${scope}/weight`, random(rows * columns, most), [rows, columns]),
    node("MatMul", [input, `${scope}/weight`], [`${scope}/out`]),
  ];
}

/** Numbers by xorshift32 (Marsaglia 2003, "Xorshift RNGs"): there are tens of millions, and they need not be good. */
function weights(seed: number): (count: number, most: number) => Float32Array {
  let state = (seed * 0x9e3779b1) | 1;
  return (count, most) => {
    const scale = most / 2 ** 31;
    const values = new Float32Array(count);
    for (let index = 0; index < count; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[index] = state * scale;
    }
    return values;
  };
}
