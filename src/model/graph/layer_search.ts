/**
 * Finds the linear layers of a graph, whoever exported it and however its weights are stored: what an adapter's branch
 * reads, and which output it is added to. Quantised weights count as the matrices that they stand for.
 *
 * @module
 */

import type { FloatType } from "../worker/tensors.ts";
import { type LinearLayer, LinearLayers, type Site } from "./linear_layers.ts";
import { layerPath } from "./module_names.ts";
import { type Graph, type GraphNode, readGraph, type StoredTensor } from "./onnx_graph.ts";

/**
 * The linear layers of a model: products of activations and a stored matrix.
 *
 * @throws Error when the bytes are not an ONNX model.
 */
export function linearLayers(model: Uint8Array): LinearLayers {
  const packed = new Map<string, readonly [query: number, keyValue: number]>();
  const ambiguous = new Set<string>();
  const found = collect({ graph: readGraph(model) }, packed, ambiguous);
  const layers = new Map<string, LinearLayer>();
  const matrices = new Map(found.map(({ name, matrix }) => [name, matrix]));
  for (const { name: own, matrix, site, ...shape } of found) {
    const name = calledAgain(own, matrices) ?? own;
    const known = layers.get(name) ?? { name, ...shape, sites: [] };
    const isSame = known.inputSize === shape.inputSize && known.outputSize === shape.outputSize;
    const isOther = name !== own && matrix !== matrices.get(name);
    if (!isSame || known.type !== shape.type || isOther) ambiguous.add(name);
    const attention = columnsOf(packed.get(site.output), shape.outputSize);
    layers.set(name, { ...known, sites: [...known.sites, site], ...(attention && { attention }) });
  }
  for (const name of ambiguous) layers.delete(name);
  return new LinearLayers(layers.values());
}

/**
 * The module that a layer is, if it is one that is called several times: PyTorch's exporter numbers the calls after the
 * first. ALBERT has one module for all its layers, DeBERTa calls its projections for positions too.
 */
function calledAgain(name: string, names: ReadonlyMap<string, string>): string | undefined {
  const first = /^(.+)_\d+$/.exec(name)?.[1];
  return first !== undefined && names.has(first) ? first : undefined;
}

interface Found {
  readonly name: string;
  /** The name under which its matrix is stored. */
  readonly matrix: string;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly type: FloatType;
  readonly site: Site;
}

/** A graph within others, whose values it sees. */
interface Scope {
  readonly graph: Graph;
  readonly outer?: Scope;
}

/**
 * Finds the layers of a graph and of those within, and what attention reads queries, keys and values from at once.
 *
 * @param partial Filled with the names of layers that were found in one branch of an `If` and not in the other.
 */
function collect(scope: Scope, packed: Map<string, readonly [number, number]>, partial: Set<string>): Found[] {
  const found: Found[] = [];
  const consumers = Map.groupBy(
    scope.graph.nodes.flatMap((node) => node.inputs.map((input) => ({ input, node }))),
    ({ input }) => input,
  );
  const onlyConsumer = (output: string): GraphNode | undefined => {
    const [first, ...more] = consumers.get(output) ?? [];
    return more.length === 0 ? first?.node : undefined;
  };
  for (const node of scope.graph.nodes) {
    const layer = Object.hasOwn(READERS, node.operator)
      ? READERS[node.operator]!(node, scope, onlyConsumer)
      : undefined;
    if (layer !== undefined) found.push(layer);
    if (node.operator === "GroupQueryAttention" && !node.inputs[1]) notePacked(node, scope, packed);
    const branches = node.graphs.map((graph) => collect({ graph, outer: scope }, packed, partial));
    const all = branches.flat();
    found.push(...all);
    for (const { name } of all) {
      if (!branches.every((branch) => branch.some((other) => other.name === name))) partial.add(name);
    }
  }
  return found;
}

/** Attention over one input with queries, keys and values reads a layer's output, or that with a bias added. */
function notePacked(node: GraphNode, scope: Scope, packed: Map<string, readonly [number, number]>): void {
  const heads = [node.attributes.get("num_heads")?.[0], node.attributes.get("kv_num_heads")?.[0]];
  const [query, keyValue] = heads;
  if (query === undefined || keyValue === undefined) return;
  const source = node.inputs[0]!;
  const producer = producerOf(source, scope);
  const sources = producer?.operator === "Add" ? producer.inputs : [source];
  for (const name of sources) packed.set(name, [query, keyValue]);
}

function columnsOf(heads: readonly [number, number] | undefined, outputSize: number): readonly number[] | undefined {
  if (heads === undefined) return undefined;
  const [query, keyValue] = heads;
  const headSize = outputSize / (query + 2 * keyValue);
  return Number.isInteger(headSize) ? [query * headSize, keyValue * headSize, keyValue * headSize] : undefined;
}

type Reader = (
  node: GraphNode,
  scope: Scope,
  onlyConsumer: (output: string) => GraphNode | undefined,
) => Found | undefined;

/** By operator, how a layer is read from its node. */
const READERS: Readonly<Record<string, Reader>> = {
  MatMul: (node, scope) => found(node, matrixOf(node.inputs[1], scope)),
  Gemm(node, scope) {
    const [alpha = 1, transposesInput = 0, transposesMatrix = 0] = ["alpha", "transA", "transB"]
      .map((name) => node.attributes.get(name)?.[0]);
    if (alpha !== 1 || transposesInput !== 0) return undefined;
    const matrix = matrixOf(node.inputs[1], scope);
    return found(node, transposesMatrix !== 0 ? transposed(matrix) : matrix);
  },
  /** Blocks of 4 or 8 bits with scales (com.microsoft). */
  MatMulNBits(node, scope) {
    const scales = storedTensor(node.inputs[2], scope);
    const [[inputSize], [outputSize]] = [node.attributes.get("K") ?? [], node.attributes.get("N") ?? []];
    if (scales === undefined || inputSize === undefined || outputSize === undefined) return undefined;
    return found(node, { name: node.inputs[1]!, inputSize, outputSize, type: scales.type });
  },
  /** Rounds x on the way, and takes float32 alone (com.microsoft). */
  DynamicQuantizeMatMul(node, scope) {
    const matrix = matrixOf(node.inputs[1], scope);
    return found(node, matrix && { ...matrix, type: FLOAT32 });
  },
  /**
   * `DynamicQuantizeLinear`, `MatMulInteger`, `Cast` and a `Mul` with the scales: the branch reads what was not yet
   * rounded, and is added to what the `Mul` gives.
   */
  MatMulInteger(node, scope, onlyConsumer) {
    const matrix = matrixOf(node.inputs[1], scope);
    const rounding = producerOf(node.inputs[0]!, scope);
    const cast = onlyConsumer(node.outputs[0]!);
    if (matrix === undefined || rounding?.operator !== "DynamicQuantizeLinear" || cast?.operator !== "Cast") {
      return undefined;
    }
    const scaling = onlyConsumer(cast.outputs[0]!);
    if (scaling?.operator !== "Mul") return undefined;
    return found(node, { ...matrix, type: FLOAT32 }, rounding.inputs[0]!, scaling);
  },
};

/** A stored matrix, rows by columns, by the name under which it is stored. */
interface Matrix {
  readonly name: string;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly type: number;
}

const FLOAT32 = 1;
const FLOAT16 = 10;
const FLOAT_TYPES: ReadonlyMap<number, FloatType> = new Map([[FLOAT32, "float32"], [FLOAT16, "float16"]]);

function found(
  node: GraphNode,
  matrix: Matrix | undefined,
  input: string = node.inputs[0]!,
  last: GraphNode = node,
): Found | undefined {
  if (matrix === undefined) return undefined;
  const name = layerPath(node.name, matrix.name);
  const type = FLOAT_TYPES.get(matrix.type);
  if (name === undefined || type === undefined) return undefined;
  const { inputSize, outputSize } = matrix;
  return {
    name,
    matrix: matrix.name,
    inputSize,
    outputSize,
    type,
    site: { place: last.place, input, output: last.outputs[0]! },
  };
}

/** The stored matrix that a value is, or is made from before anything else is known. */
function matrixOf(value: string | undefined, scope: Scope): Matrix | undefined {
  if (value === undefined) return undefined;
  const stored = storedTensor(value, scope);
  if (stored !== undefined) {
    const { name, type, dimensions: [inputSize, outputSize, ...rest] } = stored;
    const isMatrix = inputSize !== undefined && outputSize !== undefined && rest.length === 0;
    return isMatrix ? { name, inputSize, outputSize, type } : undefined;
  }
  const node = producerOf(value, scope);
  const source = node && matrixOf(node.inputs[0], scope);
  switch (node?.operator) {
    case "Identity":
      return source;
    case "Transpose":
      // With its default, as with the only other permutation that moves anything.
      return node.attributes.get("perm")?.[0] === 0 ? source : transposed(source);
    case "Cast":
      return source && { ...source, type: node.attributes.get("to")?.[0] ?? 0 };
    case "DequantizeLinear":
      return source && { ...source, type: storedTensor(node.inputs[1], scope)?.type ?? 0 };
    default:
      return undefined;
  }
}

function transposed(matrix: Matrix | undefined): Matrix | undefined {
  return matrix && { ...matrix, inputSize: matrix.outputSize, outputSize: matrix.inputSize };
}

function storedTensor(name: string | undefined, { graph, outer }: Scope): StoredTensor | undefined {
  if (name === undefined) return undefined;
  return graph.tensors.get(name) ?? (outer && storedTensor(name, outer));
}

function producerOf(name: string, { graph, outer }: Scope): GraphNode | undefined {
  return graph.nodes.find(({ outputs }) => outputs.includes(name)) ?? (outer && producerOf(name, outer));
}
