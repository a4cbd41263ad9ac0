/**
 * What BERT and RoBERTa compute, in float64 and without ONNX, for the models of `tiny_bert.ts`. Devlin et al., "BERT"
 * (https://arxiv.org/abs/1810.04805); Hendrycks and Gimpel, "Gaussian Error Linear Units"
 * (https://arxiv.org/abs/1606.08415), the exact ones.
 */

import type { Matrix } from "./llama_reference.ts";

/** y = x·W + b */
export interface Linear {
  readonly matrix: Matrix;
  readonly bias: ArrayLike<number>;
}

/** Layer normalisation. */
export interface Norm {
  readonly gain: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
}

/** The linear layers of one layer, under PyTorch's names. */
export const BERT_LINEARS = [
  "attention.self.query",
  "attention.self.key",
  "attention.self.value",
  "attention.output.dense",
  "intermediate.dense",
  "output.dense",
] as const;

/** One layer. */
export interface BertLayer {
  readonly linears: Readonly<Record<(typeof BERT_LINEARS)[number], Linear>>;
  readonly attentionNorm: Norm;
  readonly outputNorm: Norm;
}

/** A BERT's weights. */
export interface Bert {
  readonly width: number;
  readonly heads: number;
  readonly words: Matrix;
  readonly positions: Matrix;
  /** Absent from a RoBERTa. */
  readonly types?: Matrix;
  /** What the place of the first token is called. */
  readonly firstPosition: number;
  readonly norm: Norm;
  readonly layers: readonly BertLayer[];
}

/** Added to variances. */
export const BERT_EPSILON = 1e-12;

/** The last layer's row for each token. */
export function bertRows(
  { width, heads, words, positions, types, firstPosition, norm, layers }: Bert,
  ids: readonly number[],
): number[][] {
  let rows = ids.map((id, at) => {
    const sum = add(rowOf(words, id), rowOf(positions, firstPosition + at));
    return normalized(types === undefined ? sum : add(sum, rowOf(types, 0)), norm);
  });
  for (const { linears, attentionNorm, outputNorm } of layers) {
    const [queries, keys, values] = (["query", "key", "value"] as const).map((name) => {
      return rows.map((row) => applied(linears[`attention.self.${name}`], row));
    }) as [number[][], number[][], number[][]];
    const size = width / heads;
    const attended = queries.map((query) => {
      return Array.from({ length: heads }, (_, head) => {
        const part = (row: number[]): number[] => row.slice(head * size, (head + 1) * size);
        const scores = keys.map((key) => dot(part(query), part(key)) / Math.sqrt(size));
        const highest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - highest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return Array.from({ length: size }, (_, at) => {
          return values.reduce((sum, value, token) => sum + weights[token]! / total * part(value)[at]!, 0);
        });
      }).flat();
    });
    const seen = rows.map((row, at) => {
      return normalized(add(row, applied(linears["attention.output.dense"], attended[at]!)), attentionNorm);
    });
    rows = seen.map((row) => {
      const inner = applied(linears["intermediate.dense"], row).map(gelu);
      return normalized(add(row, applied(linears["output.dense"], inner)), outputNorm);
    });
  }
  return rows;
}

/** The mean of rows. */
export function mean(rows: readonly (readonly number[])[]): number[] {
  return rows[0]!.map((_, at) => rows.reduce((sum, row) => sum + row[at]!, 0) / rows.length);
}

/** A vector's direction. */
export function direction(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((number) => number / length);
}

function rowOf({ columns, values }: Matrix, row: number): number[] {
  return Array.from({ length: columns }, (_, at) => values[row * columns + at]!);
}

function applied({ matrix: { rows, columns, values }, bias }: Linear, x: readonly number[]): number[] {
  return Array.from({ length: columns }, (_, column) => {
    let sum = bias[column]!;
    for (let row = 0; row < rows; row++) sum += x[row]! * values[row * columns + column]!;
    return sum;
  });
}

function normalized(x: readonly number[], { gain, bias }: Norm): number[] {
  const average = x.reduce((sum, number) => sum + number, 0) / x.length;
  const variance = x.reduce((sum, number) => sum + (number - average) ** 2, 0) / x.length;
  return x.map((number, at) => (number - average) / Math.sqrt(variance + BERT_EPSILON) * gain[at]! + bias[at]!);
}

function add(one: readonly number[], other: readonly number[]): number[] {
  return one.map((number, at) => number + other[at]!);
}

function dot(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, number, at) => sum + number * other[at]!, 0);
}

function gelu(x: number): number {
  return x / 2 * (1 + erf(x / Math.SQRT2));
}

/** The error function by its series (DLMF 7.6.2), whose terms are all positive; good for small numbers, as here. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) sum += term *= 2 * x * x / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}
