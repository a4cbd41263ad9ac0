/**
 * What a causal language model's graph takes and gives, whoever exported it. Optimum, transformers.js and
 * onnxruntime-genai agree on most names; what is there and in which shape and type, the graph itself says.
 *
 * @module
 */

import type { TensorNames } from "../files/genai_config.ts";
import type { CacheShape } from "../files/model_config.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import type { Feeds, LoadedGraph } from "./graph.ts";
import { LOGITS_FROM, LOGITS_TO_KEEP } from "./logits_window.ts";

/** Facts of a graph. */
export interface CausalLayout {
  /** The inputs that say which tokens there are, by what they are for. */
  readonly tokens: ReadonlyMap<TokenInput, TokenTensor>;
  /** Each cache input, and the output that holds what it takes in the next run. Empty where the graph has no cache. */
  readonly cache: readonly CacheTensor[];
  /** A switch between two graphs in one, without and with a cache (Optimum's merged decoders). */
  readonly cacheSwitch: boolean;
  /** The input, if there is one, that says of how many last tokens logits are wanted. */
  readonly window: typeof LOGITS_FROM | typeof LOGITS_TO_KEEP | undefined;
  readonly logits: string;
}

/** What a graph is told of the tokens. */
export type TokenInput = "inputIds" | "attentionMask" | "positionIds";

/** An input of integers. */
export interface TokenTensor {
  readonly name: string;
  readonly type: "int64" | "int32";
}

/** Keys or values of one layer. */
export interface CacheTensor {
  readonly input: string;
  readonly output: string;
  readonly type: "float32" | "float16";
  readonly heads: number;
  readonly headSize: number;
}

const CACHE_SWITCH = "use_cache_branch";

type Metadata = Ort.InferenceSession.ValueMetadata;
type TensorMetadata = Ort.InferenceSession.TensorValueMetadata;

/**
 * Reads a graph's facts.
 *
 * @param shape What the configuration says of the cache, for graphs that do not.
 * @throws Error naming what the graph lacks, or has and should not, to be a causal language model's.
 */
export function readLayout({ session, noAdapter }: LoadedGraph, names: TensorNames, shape: CacheShape): CausalLayout {
  const { inputNames, outputNames } = session;
  const tokens = new Map<TokenInput, TokenTensor>();
  const cache: CacheTensor[] = [];
  let cacheSwitch = false;
  let window: CausalLayout["window"];
  for (const input of session.inputMetadata) {
    const token = TOKEN_INPUTS.find((use) => names[use] === input.name);
    if (input.name in noAdapter) continue;
    if (token !== undefined) tokens.set(token, tokenTensor(input));
    else if (input.name === CACHE_SWITCH) cacheSwitch = isOf(input, ["bool"], 1);
    else if (input.name === LOGITS_FROM) window = LOGITS_FROM;
    else if (input.name === LOGITS_TO_KEEP && isOf(input, ["int64"], 0)) window = LOGITS_TO_KEEP;
    else cache.push(cacheTensor(input, names, shape));
  }
  if (!tokens.has("inputIds")) throw new Error(`the graph has no ${names.inputIds}: ${inputNames.join(", ")}`);
  for (const output of [names.logits, ...cache.map(({ output }) => output)]) {
    if (!outputNames.includes(output)) throw new Error(`the graph has no output ${output}: ${outputNames.join(", ")}`);
  }
  return { tokens, cache, cacheSwitch, window, logits: names.logits };
}

/** Cache inputs that hold no tokens. */
export function emptyCache({ ort }: OnnxRuntime, { cache }: CausalLayout): Feeds {
  return Object.fromEntries(cache.map(({ input, type, heads, headSize }) => {
    const data = type === "float32" ? new Float32Array(0) : new Uint16Array(0);
    return [input, new ort.Tensor(type, data, [1, heads, 0, headSize])];
  }));
}

/**
 * What a graph is told of `ids` after `past` tokens: all of them are there, none is padding.
 *
 * @param rows Of how many last tokens logits are wanted; where the graph cannot be told, it gives all.
 */
export function tokenFeeds(
  { ort }: OnnxRuntime,
  { tokens, cacheSwitch, window }: CausalLayout,
  ids: readonly number[],
  past: number,
  rows: number,
): Feeds {
  const values: Readonly<Record<TokenInput, (type: TokenTensor["type"]) => BigInt64Array | Int32Array>> = {
    inputIds: (type) => integers(type, ids),
    attentionMask: (type) => ones(type, past + ids.length),
    positionIds: (type) => integers(type, ids.map((_, index) => past + index)),
  };
  const feeds: Record<string, Ort.Tensor> = {};
  for (const [use, { name, type }] of tokens) {
    const data = values[use](type);
    feeds[name] = new ort.Tensor(type, data, [1, data.length]);
  }
  if (cacheSwitch) feeds[CACHE_SWITCH] = new ort.Tensor("bool", [past > 0], [1]);
  if (window === LOGITS_FROM) feeds[window] = new ort.Tensor("int64", BigInt64Array.of(BigInt(-rows)), [1]);
  if (window === LOGITS_TO_KEEP) feeds[window] = new ort.Tensor("int64", BigInt64Array.of(BigInt(rows)), []);
  return feeds;
}

function integers(type: TokenTensor["type"], values: readonly number[]): BigInt64Array | Int32Array {
  return type === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
}

/** A window on ones: a text of thousands of tokens has as many, in every step. */
function ones(type: TokenTensor["type"], length: number): BigInt64Array | Int32Array {
  if (length > ONES[type].length) {
    const size = 2 * length;
    if (type === "int64") ONES.int64 = new BigInt64Array(size).fill(1n);
    else ONES.int32 = new Int32Array(size).fill(1);
  }
  return ONES[type].subarray(0, length);
}

const ONES = { int64: new BigInt64Array(), int32: new Int32Array() };

const TOKEN_INPUTS: readonly TokenInput[] = ["inputIds", "attentionMask", "positionIds"];

function tokenTensor(input: Metadata): TokenTensor {
  isOf(input, ["int64", "int32"], 2);
  return { name: input.name, type: (input as TensorMetadata).type as "int64" | "int32" };
}

function cacheTensor(input: Metadata, names: TensorNames, config: CacheShape): CacheTensor {
  const output = presentName(input.name, names);
  if (output === undefined) throw new Error(`the graph has an input that is not known: ${input.name}`);
  isOf(input, ["float32", "float16"], 4);
  const { type, shape: [batch, heads, length, headSize] } = input as TensorMetadata;
  if (typeof length === "number" || (typeof batch === "number" && batch !== 1)) {
    const shape = (input as TensorMetadata).shape.join(", ");
    throw new Error(`input ${input.name} of the graph is not [1, heads, any length, size]: [${shape}]`);
  }
  return {
    input: input.name,
    output,
    type: type as "float32" | "float16",
    heads: typeof heads === "number" ? heads : stated(config.heads, "num_key_value_heads", input.name),
    headSize: typeof headSize === "number" ? headSize : stated(config.headSize, "head_dim", input.name),
  };
}

function stated(value: number | undefined, name: string, input: string): number {
  if (value === undefined) throw new Error(`config.json has no ${name}, and the graph does not say: ${input}`);
  return value;
}

/** The output that belongs to a cache input; `undefined` for what is none. */
function presentName(input: string, { past, present }: TensorNames): string | undefined {
  for (const [index, template] of past.entries()) {
    const [before, after] = template.split("%d") as [string, string];
    const layer = input.slice(before.length, input.length - after.length);
    if (/^\d+$/.test(layer) && input === before + layer + after) return present[index]!.replace("%d", layer);
  }
  return undefined;
}

/** Refuses an input that has not one of these types, or not so many dimensions (where the graph says how many). */
function isOf(input: Metadata, types: readonly string[], dimensions: number): true {
  const type = input.isTensor ? input.type : "no tensor";
  if (!input.isTensor || !types.includes(type)) {
    throw new Error(`input ${input.name} of the graph is not ${types.join(" or ")}: ${type}`);
  }
  if (input.shape.length !== dimensions) {
    throw new Error(`input ${input.name} of the graph has not ${dimensions} dimensions: [${input.shape.join(", ")}]`);
  }
  return true;
}
