/**
 * LoRA as inputs of the graph: beside a linear layer y = x·W a branch (x·A)·B is added to its output, with A and B as
 * graph inputs whose rank is free. Rank 0 is the base, so base and any number of adapters run on one session with no
 * state between them, on quantised weights too.
 *
 * @module
 */

import type { LinearLayer, LinearLayers, Site } from "./linear_layers.ts";
import { FIELD } from "./onnx_graph.ts";
import { delimited, type Field, fieldsOf, join, type Pieces, rewrite, varint } from "./onnx_wire.ts";

/** Names of the graph inputs of a layer's adapter: A of shape [inputSize, rank], B of shape [rank, outputSize]. */
export function loraInputNames(layer: string): { readonly a: string; readonly b: string } {
  return { a: `${layer}.lora_A`, b: `${layer}.lora_B` };
}

/** The model with adapter inputs for the layers of these names, each of which has to be one of its `layers`. */
export function withLoraInputs(model: Uint8Array, layers: LinearLayers, names: Iterable<string>): Uint8Array {
  const targets = Array.from(names, (name) => layers.get(name)!);
  if (targets.length === 0) return model;
  const sites = new Map(targets.flatMap((layer) => {
    return layer.sites.map((site) => [site.place, { site, layer: layer.name }] as const);
  }));
  return join(rewrite(model, (field) => {
    if (field.number !== FIELD.MODEL_GRAPH) return undefined;
    return delimited(FIELD.MODEL_GRAPH, [...withBranches(field.payload, sites), ...targets.flatMap(branchInputs)]);
  }));
}

/** What a node computes, by where the node is. */
type Sites = ReadonlyMap<number, { readonly site: Site; readonly layer: string }>;

/** A graph with branches beside its layers, and beside those of the graphs within. */
function withBranches(graph: Uint8Array, sites: Sites): Pieces {
  return rewrite(graph, ({ number, payload }) => {
    if (number !== FIELD.GRAPH_NODE) return undefined;
    const target = sites.get(payload.byteOffset);
    return target === undefined ? withInnerBranches(payload, sites) : withBranch(payload, target.site, target.layer);
  });
}

/** A node that runs graphs of its own; `undefined` for one that does not. */
function withInnerBranches(node: Uint8Array, sites: Sites): Pieces | undefined {
  let runsGraphs = false;
  const inner = ({ number, payload }: Field): Pieces | undefined => {
    if (number !== FIELD.ATTRIBUTE_GRAPH && number !== FIELD.ATTRIBUTE_GRAPHS) return undefined;
    runsGraphs = true;
    return delimited(number, withBranches(payload, sites));
  };
  const rewritten = rewrite(node, ({ number, payload }) => {
    return number === FIELD.NODE_ATTRIBUTE ? delimited(number, rewrite(payload, inner)) : undefined;
  });
  return runsGraphs ? delimited(FIELD.GRAPH_NODE, rewritten) : undefined;
}

/** The node with its output renamed, and the branch that is added to it under the old name, in topological order. */
function withBranch(node: Uint8Array, { input, output }: Site, layer: string): Pieces {
  const { a, b } = loraInputNames(layer);
  const own = `${output}.base`;
  const down = `${output}.lora_A`;
  const up = `${output}.lora_B`;
  const [first] = fieldsOf(node).filter((field) => field.number === FIELD.NODE_OUTPUT);
  const renamed = rewrite(node, ({ number, whole }) => {
    return whole.byteOffset === first!.whole.byteOffset ? delimited(number, own) : undefined;
  });
  return [
    ...delimited(FIELD.GRAPH_NODE, renamed),
    ...newNode("MatMul", [input, a], down),
    ...newNode("MatMul", [down, b], up),
    ...newNode("Add", [own, up], output),
  ];
}

/** A node of the default domain, named after its output. */
export function newNode(operator: string, inputs: readonly string[], output: string): Pieces {
  return delimited(FIELD.GRAPH_NODE, [
    ...inputs.flatMap((input) => delimited(FIELD.NODE_INPUT, input)),
    ...delimited(FIELD.NODE_OUTPUT, output),
    ...delimited(FIELD.NODE_NAME, `${output}/${operator}`),
    ...delimited(FIELD.NODE_OPERATOR, operator),
  ]);
}

const VALUE_NAME = 1;
const VALUE_TYPE = 2;
const TYPE_TENSOR = 1;
const TENSOR_TYPE_ELEMENT = 1;
const TENSOR_TYPE_SHAPE = 2;
const SHAPE_DIMENSION = 1;
const DIMENSION_VALUE = 1;
const DIMENSION_NAME = 2;
/** `TensorProto.DataType`. */
const ELEMENT = { float32: 1, float16: 10 } as const;

function branchInputs({ name, inputSize, outputSize, type }: LinearLayer): Pieces {
  const { a, b } = loraInputNames(name);
  const rank = delimited(DIMENSION_NAME, `${name}.rank`);
  return [
    ...graphInput(a, ELEMENT[type], [varint(DIMENSION_VALUE, inputSize), rank]),
    ...graphInput(b, ELEMENT[type], [rank, varint(DIMENSION_VALUE, outputSize)]),
  ];
}

/** An input of a graph. @param element `TensorProto.DataType` */
export function graphInput(name: string, element: number, dimensions: readonly Pieces[]): Pieces {
  const shape = dimensions.flatMap((dimension) => delimited(SHAPE_DIMENSION, dimension));
  const tensor = [...varint(TENSOR_TYPE_ELEMENT, element), ...delimited(TENSOR_TYPE_SHAPE, shape)];
  return delimited(FIELD.GRAPH_INPUT, [
    ...delimited(VALUE_NAME, name),
    ...delimited(VALUE_TYPE, delimited(TYPE_TENSOR, tensor)),
  ]);
}
