/**
 * What an ONNX graph is made of, as far as finding its linear layers takes: nodes with their attributes, stored tensors
 * with their shapes, and the graphs that lie in nodes (the branches of an `If`). Weights are not looked at. Field
 * numbers are those of `onnx.proto`.
 *
 * @module
 */

import { type Field, fieldsOf, numbers, text } from "./onnx_wire.ts";

/** Numbers of the fields that a graph is read by, and rewritten by. */
export const FIELD = {
  MODEL_GRAPH: 7,
  GRAPH_NODE: 1,
  GRAPH_INITIALIZER: 5,
  GRAPH_INPUT: 11,
  NODE_INPUT: 1,
  NODE_OUTPUT: 2,
  NODE_NAME: 3,
  NODE_OPERATOR: 4,
  NODE_ATTRIBUTE: 5,
  ATTRIBUTE_GRAPH: 6,
  ATTRIBUTE_GRAPHS: 11,
} as const;

const ATTRIBUTE_NAME = 1;
const ATTRIBUTE_FLOAT = 2;
const ATTRIBUTE_INTEGER = 3;
const ATTRIBUTE_INTEGERS = 8;
const TENSOR_DIMENSIONS = 1;
const TENSOR_TYPE = 2;
const TENSOR_NAME = 8;

/** A tensor stored in a graph. */
export interface StoredTensor {
  readonly name: string;
  readonly dimensions: readonly number[];
  /** `TensorProto.DataType`. */
  readonly type: number;
}

/** An operation. */
export interface GraphNode {
  /** Where its bytes begin in the buffer of the model: no two nodes have the same. */
  readonly place: number;
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Its numbers by name: one, or several. */
  readonly attributes: ReadonlyMap<string, readonly number[]>;
  /** Graphs that it runs. */
  readonly graphs: readonly Graph[];
}

/** A graph, or one within a node of another. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * The graph of a model.
 *
 * @throws Error when the bytes are not an ONNX model.
 */
export function readGraph(model: Uint8Array): Graph {
  const graph = fieldsOf(model).find((field) => field.number === FIELD.MODEL_GRAPH);
  if (graph === undefined) throw new Error(`the model has no graph: ${model.length} bytes`);
  return parseGraph(graph.payload);
}

function parseGraph(bytes: Uint8Array): Graph {
  const nodes: GraphNode[] = [];
  const tensors = new Map<string, StoredTensor>();
  for (const field of fieldsOf(bytes)) {
    if (field.number === FIELD.GRAPH_NODE) nodes.push(parseNode(field.payload));
    if (field.number === FIELD.GRAPH_INITIALIZER) {
      const tensor = parseTensor(field.payload);
      tensors.set(tensor.name, tensor);
    }
  }
  return { nodes, tensors };
}

function parseNode(bytes: Uint8Array): GraphNode {
  const node = { place: bytes.byteOffset, name: "", operator: "", inputs: [] as string[], outputs: [] as string[] };
  const attributes = new Map<string, readonly number[]>();
  const graphs: Graph[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === FIELD.NODE_INPUT) node.inputs.push(text(field));
    else if (field.number === FIELD.NODE_OUTPUT) node.outputs.push(text(field));
    else if (field.number === FIELD.NODE_NAME) node.name = text(field);
    else if (field.number === FIELD.NODE_OPERATOR) node.operator = text(field);
    else if (field.number === FIELD.NODE_ATTRIBUTE) parseAttribute(field.payload, attributes, graphs);
  }
  return { ...node, attributes, graphs };
}

function parseAttribute(bytes: Uint8Array, attributes: Map<string, readonly number[]>, graphs: Graph[]): void {
  let name = "";
  const values: number[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === ATTRIBUTE_NAME) name = text(field);
    else if (field.number === ATTRIBUTE_FLOAT) values.push(float(field));
    else if (field.number === ATTRIBUTE_INTEGER || field.number === ATTRIBUTE_INTEGERS) values.push(...numbers(field));
    else if (field.number === FIELD.ATTRIBUTE_GRAPH || field.number === FIELD.ATTRIBUTE_GRAPHS) {
      graphs.push(parseGraph(field.payload));
    }
  }
  attributes.set(name, values);
}

function float({ payload }: Field): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getFloat32(0, true);
}

function parseTensor(bytes: Uint8Array): StoredTensor {
  let name = "";
  let type = 0;
  const dimensions: number[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === TENSOR_NAME) name = text(field);
    else if (field.number === TENSOR_TYPE) type = field.value;
    else if (field.number === TENSOR_DIMENSIONS) dimensions.push(...numbers(field));
  }
  return { name, type, dimensions };
}
