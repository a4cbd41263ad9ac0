/** ONNX graphs made by hand, as far as tests need them. Field numbers are those of `onnx.proto`. */

import { delimited, fieldsOf, join, type Pieces, rewrite, text, varint } from "../../src/model/graph/onnx_wire.ts";

const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const GRAPH_NAME = 2;
const GRAPH_INITIALIZER = 5;
const GRAPH_INPUT = 11;
const GRAPH_OUTPUT = 12;
const NODE_OUTPUT = 2;
const FLOAT = 1;
const INT64 = 7;
const BOOL = 9;

/** An attribute of a node: an integer, or a graph. */
export type Attribute = { readonly name: string } & ({ readonly int: number } | { readonly graph: Pieces });

/** A node. */
export function node(operator: string, inputs: string[], outputs: string[], attributes: Attribute[] = []): Pieces {
  return delimited(GRAPH_NODE, [
    ...inputs.flatMap((name) => delimited(1, name)),
    ...outputs.flatMap((name) => delimited(NODE_OUTPUT, name)),
    ...delimited(4, operator),
    ...attributes.flatMap((attribute) => delimited(5, attributePieces(attribute))),
  ]);
}

/** A stored tensor of 64-bit integers; without dimensions a scalar. */
export function int64s(name: string, values: readonly bigint[], dimensions: readonly number[]): Pieces {
  return storedTensor(name, INT64, dimensions, new Uint8Array(BigInt64Array.from(values).buffer));
}

/** A stored matrix of 32-bit numbers, row by row. */
export function floats(name: string, values: Float32Array, dimensions: readonly [number, number]): Pieces {
  return storedTensor(name, FLOAT, dimensions, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** A stored boolean. */
export function bool(name: string, value: boolean): Pieces {
  return storedTensor(name, BOOL, [], new Uint8Array([Number(value)]));
}

/** The graph of an attribute: `inputs` and `outputs` by name and element type, all scalars. */
export function subgraph(
  nodes: Pieces[],
  inputs: readonly (readonly [string, number])[],
  outputs: readonly (readonly [string, number])[],
): Pieces {
  return [
    ...nodes.flat(),
    ...delimited(GRAPH_NAME, "body"),
    ...inputs.flatMap(([name, type]) => delimited(GRAPH_INPUT, scalar(name, type))),
    ...outputs.flatMap(([name, type]) => delimited(GRAPH_OUTPUT, scalar(name, type))),
  ];
}

/** A model with further nodes and stored tensors, in which what was called `output` is called `renamed`. */
export function withNodes(model: Uint8Array, more: readonly Pieces[], output: string, renamed: string): Uint8Array {
  const renaming = (pieces: Uint8Array): Pieces =>
    rewrite(pieces, (field) => {
      return field.number === NODE_OUTPUT && text(field) === output ? delimited(NODE_OUTPUT, renamed) : undefined;
    });
  return join(rewrite(model, (field) => {
    if (field.number !== MODEL_GRAPH) return undefined;
    const graph = rewrite(field.payload, (part) => {
      return part.number === GRAPH_NODE ? delimited(GRAPH_NODE, renaming(part.payload)) : undefined;
    });
    return delimited(MODEL_GRAPH, [...graph, ...more.flat()]);
  }));
}

/** How many fields of a kind the graph of a model has: 1 for nodes, 5 for stored tensors. */
export function countInGraph(model: Uint8Array, number: number): number {
  const graph = fieldsOf(model).find((field) => field.number === MODEL_GRAPH)!;
  return fieldsOf(graph.payload).filter((field) => field.number === number).toArray().length;
}

function attributePieces(attribute: Attribute): Pieces {
  const name = delimited(1, attribute.name);
  if ("int" in attribute) return [...name, ...varint(3, attribute.int), ...varint(20, 2)];
  return [...name, ...delimited(6, attribute.graph), ...varint(20, 5)];
}

function storedTensor(name: string, type: number, dimensions: readonly number[], bytes: Uint8Array): Pieces {
  return delimited(GRAPH_INITIALIZER, [
    ...dimensions.flatMap((dimension) => varint(1, dimension)),
    ...varint(2, type),
    ...delimited(8, name),
    ...delimited(9, [bytes]),
  ]);
}

function scalar(name: string, type: number): Pieces {
  return [...delimited(1, name), ...delimited(2, delimited(1, [...varint(1, type), ...delimited(2, [])]))];
}
