/**
 * What a Llama computes, in float64 and without ONNX: what graphs of any layout are held against. Rotary positions as
 * transformers does them (the two halves of a head), grouped queries, RMS normalisation, SwiGLU.
 */

/** A linear layer y = x·W: `rows` numbers in, `columns` out, row by row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** The sizes of a Llama. */
export interface LlamaShape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly ropeTheta: number;
  readonly epsilon: number;
}

/** A Llama's weights, under the names of Hugging Face's modules. */
export interface Llama {
  readonly shape: LlamaShape;
  /** `model.embed_tokens` has a row per token; `lm_head` a column. */
  readonly matrices: ReadonlyMap<string, Matrix>;
  /** Norms by module; biases by module with `.bias` after it. */
  readonly vectors: ReadonlyMap<string, Float64Array>;
}

/** How to compute. */
export interface ReferenceOptions {
  /** Inputs of linear layers are rounded to 8 bits, over all tokens of the run, as `DynamicQuantizeLinear` does. */
  readonly quantizesInputs?: boolean;
  /** Adapters beside the layers, by module, which read inputs as they are: down is [rows, rank], up [rank, columns]. */
  readonly branches?: ReadonlyMap<string, { readonly down: Matrix; readonly up: Matrix; readonly scale: number }>;
}

/** Logits after each token. */
export function llamaLogits(llama: Llama, ids: readonly number[], options: ReferenceOptions = {}): Float64Array[] {
  const hidden = llamaHidden(llama, ids, options).flatMap((row) => [...row]);
  return rows(linear(llama, "lm_head", Float64Array.from(hidden), options), llama.shape.vocabulary);
}

/** Last hidden state of each token, after the last norm. */
export function llamaHidden(llama: Llama, ids: readonly number[], options: ReferenceOptions = {}): Float64Array[] {
  const { shape } = llama;
  const embedding = llama.matrices.get("model.embed_tokens")!;
  let hidden: Float64Array = Float64Array.from(ids.flatMap((id) => [...row(embedding, id)]));
  for (let layer = 0; layer < shape.layers; layer++) {
    const scope = `model.layers.${layer}`;
    const normed = rmsNorm(llama, `${scope}.input_layernorm`, hidden);
    const attended = attention(llama, `${scope}.self_attn`, normed, options);
    hidden = add(hidden, linear(llama, `${scope}.self_attn.o_proj`, attended, options));
    const x = rmsNorm(llama, `${scope}.post_attention_layernorm`, hidden);
    const gate = linear(llama, `${scope}.mlp.gate_proj`, x, options);
    const up = linear(llama, `${scope}.mlp.up_proj`, x, options);
    const gated = gate.map((value, index) => value / (1 + Math.exp(-value)) * up[index]!);
    hidden = add(hidden, linear(llama, `${scope}.mlp.down_proj`, gated, options));
  }
  return rows(rmsNorm(llama, "model.norm", hidden), shape.hidden);
}

/** Logarithms of the probabilities that logits stand for. */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const highest = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = values.reduce((total, value) => total + Math.exp(value - highest), 0);
  return values.map((value) => value - highest - Math.log(sum));
}

/** The index of the largest. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index;
  return best;
}

/** The likeliest continuation, token by token, each from a run over everything before it. */
export function llamaGreedy(llama: Llama, prompt: readonly number[], count: number): number[] {
  const ids = [...prompt];
  while (ids.length < prompt.length + count) ids.push(argmax(llamaLogits(llama, ids).at(-1)!));
  return ids.slice(prompt.length);
}

/** A matrix with `scale`·(down·up) added to it: an adapter, merged. `down` is [rows, rank], `up` [rank, columns]. */
export function merged(matrix: Matrix, down: Matrix, up: Matrix, scale: number): Matrix {
  const change = product(down.values, down.rows, up);
  return { ...matrix, values: matrix.values.map((value, index) => value + scale * change[index]!) };
}

function attention(llama: Llama, scope: string, x: Float64Array, options: ReferenceOptions): Float64Array {
  const { heads, keyValueHeads, headSize } = llama.shape;
  const queries = rotated(llama, linear(llama, `${scope}.q_proj`, x, options), heads);
  const keys = rotated(llama, linear(llama, `${scope}.k_proj`, x, options), keyValueHeads);
  const values = linear(llama, `${scope}.v_proj`, x, options);
  const tokens = queries.length / (heads * headSize);
  const out = new Float64Array(queries.length);
  for (let head = 0; head < heads; head++) {
    const shared = Math.floor(head * keyValueHeads / heads);
    for (let token = 0; token < tokens; token++) {
      const query = (token * heads + head) * headSize;
      const scores = new Float64Array(token + 1).map((_, other) => {
        const key = (other * keyValueHeads + shared) * headSize;
        let dot = 0;
        for (let i = 0; i < headSize; i++) dot += queries[query + i]! * keys[key + i]!;
        return dot / Math.sqrt(headSize);
      });
      logSoftmax(scores).forEach((logarithm, other) => {
        const value = (other * keyValueHeads + shared) * headSize;
        for (let i = 0; i < headSize; i++) out[query + i]! += Math.exp(logarithm) * values[value + i]!;
      });
    }
  }
  return out;
}

/** Each head turned by its token's position (https://arxiv.org/abs/2104.09864). */
function rotated({ shape: { headSize, ropeTheta } }: Llama, x: Float64Array, heads: number): Float64Array {
  const half = headSize / 2;
  return x.map((value, index) => {
    const place = index % headSize;
    const position = Math.floor(index / (heads * headSize));
    const angle = position * ropeTheta ** (-2 * (place % half) / headSize);
    const partner = place < half ? -x[index + half]! : x[index - half]!;
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

function rmsNorm({ vectors, shape }: Llama, name: string, x: Float64Array): Float64Array {
  const weight = vectors.get(name)!;
  return Float64Array.from(
    rows(x, shape.hidden).flatMap((values) => {
      const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      return Array.from(values, (value, index) => value / Math.sqrt(square + shape.epsilon) * weight[index]!);
    }),
  );
}

function linear(llama: Llama, name: string, x: Float64Array, options: ReferenceOptions): Float64Array {
  const matrix = llama.matrices.get(name)!;
  const bias = llama.vectors.get(`${name}.bias`);
  const tokens = x.length / matrix.rows;
  const out = product(options.quantizesInputs ? quantized(x) : x, tokens, matrix);
  const branch = options.branches?.get(name);
  if (branch !== undefined) {
    const change = product(product(x, tokens, branch.down), tokens, branch.up);
    for (let index = 0; index < out.length; index++) out[index]! += branch.scale * change[index]!;
  }
  return bias === undefined ? out : out.map((value, index) => value + bias[index % matrix.columns]!);
}

/** https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html, and back */
function quantized(x: Float64Array): Float64Array {
  const lowest = x.reduce((least, value) => Math.min(least, value), 0);
  const highest = x.reduce((most, value) => Math.max(most, value), 0);
  const scale = Math.fround((highest - lowest) / 255);
  const zero = Math.round(-lowest / scale);
  return x.map((value) => (Math.min(255, Math.max(0, Math.round(value / scale) + zero)) - zero) * scale);
}

function product(x: Float64Array, count: number, { rows, columns, values }: Matrix): Float64Array {
  const out = new Float64Array(count * columns);
  for (let token = 0; token < count; token++) {
    for (let i = 0; i < rows; i++) {
      const factor = x[token * rows + i]!;
      const [to, from] = [token * columns, i * columns];
      for (let j = 0; j < columns; j++) out[to + j]! += factor * values[from + j]!;
    }
  }
  return out;
}

function add(one: Float64Array, other: Float64Array): Float64Array {
  return one.map((value, index) => value + other[index]!);
}

function row({ columns, values }: Matrix, index: number): Float64Array {
  return values.subarray(index * columns, (index + 1) * columns);
}

function rows(values: Float64Array, columns: number): Float64Array[] {
  return Array.from({ length: values.length / columns }, (_, index) => {
    return values.subarray(index * columns, (index + 1) * columns);
  });
}
