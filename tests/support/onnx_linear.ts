/** Linear layers as exporters and quantisers write them, and the weights that remain. */

import type { Matrix } from "./llama_reference.ts";
import { fromHalf, type GraphBuilder, halfBits } from "./onnx_builder.ts";

/** How a linear layer keeps its weights; `q4f16` has float16 inputs and scales. */
export type LinearDtype = "float32" | "float16" | "q4" | "q4f16" | "int8";

/** Weights per scale of `MatMulNBits`. */
const BLOCK = 32;

/** A matrix in few bits. */
interface Quantized {
  /** The numbers that it stands for. */
  readonly effective: Float64Array;
  readonly integers: Uint8Array | Int8Array;
  readonly scales: readonly number[];
}

/** A matrix as it is stored; `undefined` where it is not quantised. Quantising what was quantised changes nothing. */
export function quantizedMatrix(matrix: Matrix, dtype: LinearDtype): Quantized | undefined {
  if (dtype === "int8") return by8Bits(matrix);
  return dtype === "q4" || dtype === "q4f16" ? by4Bits(matrix, dtype === "q4f16") : undefined;
}

/** Adds y = x·W under the node names that exporters use; returns what y is called. */
export function linearNodes(
  graph: GraphBuilder,
  dtype: LinearDtype,
  path: string,
  x: string,
  matrix: Matrix,
): string {
  const { rows, columns, values } = matrix;
  const name = `${path}/MatMul`;
  const output = `${name}_output_0`;
  const weight = `${path.slice(1).replaceAll("/", ".")}.MatMul.weight`;
  if (dtype === "float32" || dtype === "float16") {
    return graph.node("MatMul", [x, graph.floats(weight, dtype, [rows, columns], values)], { name, outputs: [output] });
  }
  const { integers, scales } = quantizedMatrix(matrix, dtype)!;
  if (dtype === "int8") {
    const quantized = [`${x}_quantized`, `${x}_scale`, `${x}_zero_point`];
    graph.once(quantized[0]!, () => graph.node("DynamicQuantizeLinear", [x], { outputs: quantized }));
    const [input, inputScale, inputZero] = quantized as [string, string, string];
    const stored = graph.store(`${weight}_quantized`, "int8", [rows, columns], new Uint8Array(integers.buffer));
    const zero = graph.store(`${weight}_zero_point`, "int8", [columns], new Uint8Array(columns));
    const scale = graph.floats(`${weight}_scale`, "float32", [columns], scales);
    const product = graph.node("MatMulInteger", [input, stored, inputZero, zero], {
      name: `${name}_quant`,
      outputs: [`${output}_output_quantized`],
    });
    const wide = graph.node("Cast", [product], { name: `${product}_cast`, attributes: { to: 1 } });
    const both = graph.node("Mul", [inputScale, scale], { name: `${name}_quant_scales_mul` });
    return graph.node("Mul", [wide, both], { name: `${name}_quant_output_scale_mul`, outputs: [output] });
  }
  const blocks = Math.ceil(rows / BLOCK);
  const stored = graph.store(`${weight}_Q4`, "uint8", [columns, blocks, BLOCK / 2], integers as Uint8Array);
  const type = dtype === "q4" ? "float32" : "float16";
  return graph.node("MatMulNBits", [x, stored, graph.floats(`${weight}_scales`, type, [columns * blocks], scales)], {
    name: `${name}_Q4`,
    outputs: [output],
    domain: "com.microsoft",
    attributes: { K: rows, N: columns, bits: 4, block_size: BLOCK },
  });
}

/** Symmetric, with a scale for each column, 7 bits and a sign. */
function by8Bits({ rows, columns, values }: Matrix): Quantized {
  const effective = new Float64Array(values.length);
  const integers = new Int8Array(values.length);
  const scales: number[] = [];
  for (let column = 0; column < columns; column++) {
    let most = 0;
    for (let row = 0; row < rows; row++) most = Math.max(most, Math.abs(values[row * columns + column]!));
    const scale = Math.fround(most / 127);
    scales.push(scale);
    for (let at = column; at < values.length; at += columns) {
      integers[at] = Math.round(values[at]! / scale);
      effective[at] = integers[at]! * scale;
    }
  }
  return { effective, integers, scales };
}

/** Symmetric around 8, with a scale for each block of a column; two numbers to a byte, the lower first. */
function by4Bits({ rows, columns, values }: Matrix, half: boolean): Quantized {
  const blocks = Math.ceil(rows / BLOCK);
  const effective = new Float64Array(values.length);
  const integers = new Uint8Array(columns * blocks * BLOCK / 2).fill(0x88);
  const scales: number[] = [];
  for (let column = 0; column < columns; column++) {
    for (let block = 0; block < blocks; block++) {
      const [from, to] = [block * BLOCK, Math.min(rows, (block + 1) * BLOCK)];
      let most = 0;
      for (let row = from; row < to; row++) most = Math.max(most, Math.abs(values[row * columns + column]!));
      const scale = half ? fromHalf(halfBits(most / 7)) : Math.fround(most / 7);
      scales.push(scale);
      for (let row = from; row < to; row++) {
        const at = row * columns + column;
        const level = Math.min(15, Math.max(0, Math.round(values[at]! / (scale || 1)) + 8));
        effective[at] = (level - 8) * scale;
        const byte = (column * blocks + block) * BLOCK / 2 + Math.floor((row - from) / 2);
        const nibble = (row - from) % 2;
        integers[byte] = integers[byte]! & (nibble ? 0x0f : 0xf0) | level << 4 * nibble;
      }
    }
  }
  return { effective, integers, scales };
}
