/**
 * LoRA as inputs of the graph: beside a linear layer's `MatMul(x, W)` a branch `MatMul(MatMul(x, A), B)` is added to its
 * output, with A and B as graph inputs whose rank is free. Rank 0 is the base, so base and any number of adapters run on
 * one session with no state between them, on quantised weights too. Field numbers are those of `onnx.proto`.
 *
 * @module
 */

import { delimited, type Field, fieldsOf, join, numbers, type Pieces, rewrite, text, varint } from "./onnx_wire.ts";

/** A linear layer y = x·W, with W of `inputSize` rows and `outputSize` columns. */
export interface LinearLayer {
  readonly inputSize: number;
  readonly outputSize: number;
}

/** The linear layers of a graph, by node name. */
export type LinearLayers = ReadonlyMap<string, LinearLayer>;

/**
 * Name of the node that computes a module: PyTorch names scopes by `/` and keeps the dot before a list's index, so
 * `model.layers.0.self_attn.q_proj` becomes `/model/layers.0/self_attn/q_proj/MatMul`.
 */
export function nodeName(module: string): string {
  return `/${module.replace(/\.(?!\d)/g, "/")}/MatMul`;
}

/** Names of the graph inputs of a module's adapter: A of shape [inputSize, rank], B of shape [rank, outputSize]. */
export function loraInputNames(module: string): { readonly a: string; readonly b: string } {
  return { a: `${module}.lora_A`, b: `${module}.lora_B` };
}

/**
 * The linear layers of a model: `MatMul` nodes whose second input is a stored matrix.
 *
 * @throws Error when the bytes are not an ONNX model.
 */
export function linearLayers(model: Uint8Array): LinearLayers {
  const graph = fieldsOf(model).find((field) => field.number === MODEL_GRAPH);
  if (graph === undefined) throw new Error(`the model has no graph: ${model.length} bytes`);
  const matrices = new Map<string, LinearLayer>();
  const matMuls: Node[] = [];
  for (const field of fieldsOf(graph.payload)) {
    if (field.number === GRAPH_INITIALIZER) {
      const { name, dimensions: [inputSize, outputSize, ...rest] } = readTensorShape(field.payload);
      if (inputSize !== undefined && outputSize !== undefined && rest.length === 0) {
        matrices.set(name, { inputSize, outputSize });
      }
    } else if (field.number === GRAPH_NODE) {
      const node = readNode(field.payload);
      if (node.operator === "MatMul") matMuls.push(node);
    }
  }
  const layers = new Map<string, LinearLayer>();
  for (const { name, inputs } of matMuls) {
    const layer = matrices.get(inputs[1] ?? "");
    if (layer !== undefined) layers.set(name, layer);
  }
  return layers;
}

/** The model with adapter inputs for `modules`, each of which has to be one of its `layers`. */
export function withLoraInputs(model: Uint8Array, layers: LinearLayers, modules: Iterable<string>): Uint8Array {
  const targets = new Map(Array.from(modules, (module) => [nodeName(module), module]));
  if (targets.size === 0) return model;
  const branched = (field: Field): Pieces | undefined => {
    if (field.number !== GRAPH_NODE) return undefined;
    const module = targets.get(readNode(field.payload).name);
    return module === undefined ? undefined : withBranch(field.payload, module);
  };
  const inputs = Array.from(targets, ([node, module]) => branchInputs(module, layers.get(node)!)).flat();
  return join(rewrite(model, (field) => {
    if (field.number !== MODEL_GRAPH) return undefined;
    return delimited(MODEL_GRAPH, [...rewrite(field.payload, branched), ...inputs]);
  }));
}

const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const GRAPH_INITIALIZER = 5;
const GRAPH_INPUT = 11;
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const NODE_NAME = 3;
const NODE_OPERATOR = 4;
const TENSOR_DIMENSIONS = 1;
const TENSOR_NAME = 8;
const VALUE_NAME = 1;
const VALUE_TYPE = 2;
const TYPE_TENSOR = 1;
const TENSOR_TYPE_ELEMENT = 1;
const TENSOR_TYPE_SHAPE = 2;
const SHAPE_DIMENSION = 1;
const DIMENSION_VALUE = 1;
const DIMENSION_NAME = 2;
const FLOAT32 = 1;

interface Node {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
}

function readNode(bytes: Uint8Array): Node {
  const node = { name: "", operator: "", inputs: [] as string[], output: "" };
  for (const field of fieldsOf(bytes)) {
    if (field.number === NODE_INPUT) node.inputs.push(text(field));
    else if (field.number === NODE_OUTPUT) node.output = text(field);
    else if (field.number === NODE_NAME) node.name = text(field);
    else if (field.number === NODE_OPERATOR) node.operator = text(field);
  }
  return node;
}

function readTensorShape(bytes: Uint8Array): { readonly name: string; readonly dimensions: readonly number[] } {
  let name = "";
  const dimensions: number[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === TENSOR_NAME) name = text(field);
    else if (field.number === TENSOR_DIMENSIONS) dimensions.push(...numbers(field));
  }
  return { name, dimensions };
}

/** The node with its output renamed, and the branch that is added to it under the old name, in topological order. */
function withBranch(node: Uint8Array, module: string): Pieces {
  const { inputs, output } = readNode(node);
  const { a, b } = loraInputNames(module);
  const own = `${module}.base_output`;
  const down = `${module}.lora_A_output`;
  const up = `${module}.lora_B_output`;
  const renamed = rewrite(node, (field) => field.number === NODE_OUTPUT ? delimited(NODE_OUTPUT, own) : undefined);
  return [
    ...delimited(GRAPH_NODE, renamed),
    ...newNode("MatMul", [inputs[0]!, a], down),
    ...newNode("MatMul", [down, b], up),
    ...newNode("Add", [own, up], output),
  ];
}

function newNode(operator: string, inputs: readonly string[], output: string): Pieces {
  return delimited(GRAPH_NODE, [
    ...inputs.flatMap((input) => delimited(NODE_INPUT, input)),
    ...delimited(NODE_OUTPUT, output),
    ...delimited(NODE_NAME, `${output}/${operator}`),
    ...delimited(NODE_OPERATOR, operator),
  ]);
}

function branchInputs(module: string, { inputSize, outputSize }: LinearLayer): Pieces {
  const { a, b } = loraInputNames(module);
  const rank = delimited(DIMENSION_NAME, `${module}.rank`);
  return [
    ...graphInput(a, [varint(DIMENSION_VALUE, inputSize), rank]),
    ...graphInput(b, [rank, varint(DIMENSION_VALUE, outputSize)]),
  ];
}

function graphInput(name: string, dimensions: readonly Pieces[]): Pieces {
  const shape = dimensions.flatMap((dimension) => delimited(SHAPE_DIMENSION, dimension));
  const tensor = [...varint(TENSOR_TYPE_ELEMENT, FLOAT32), ...delimited(TENSOR_TYPE_SHAPE, shape)];
  return delimited(GRAPH_INPUT, [
    ...delimited(VALUE_NAME, name),
    ...delimited(VALUE_TYPE, delimited(TYPE_TENSOR, tensor)),
  ]);
}
