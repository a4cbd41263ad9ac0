/**
 * Logits of the last tokens alone. A prompt's are of no use to generation but for the last row, and are large: 128
 * tokens of a vocabulary of 150,000 make 77 MB, which would be computed, and copied out of WASM, for nothing. Some
 * exports take an input `num_logits_to_keep`; here the others get one.
 *
 * @module
 */

import { graphInput, newNode } from "./lora_graph.ts";
import { FIELD, type Graph, type GraphNode, readGraph } from "./onnx_graph.ts";
import { delimited, fieldsOf, join, type Pieces, rewrite, text, varint } from "./onnx_wire.ts";

/** The input that says where the rows begin that logits are wanted of: below 0, counted from the end. */
export const LOGITS_FROM = "warmcache.logits_from";
/** What exporters call theirs. */
export const LOGITS_TO_KEEP = "num_logits_to_keep";

const LOGITS = "logits";
const WINDOW = "warmcache.window";
const END = "warmcache.window_end";
const AXES = "warmcache.window_axes";

/**
 * The model with an input {@link LOGITS_FROM}, where its logits are a product with a stored matrix, and little more. A
 * graph that is built in another way, or has such an input, stays as it is.
 *
 * @throws Error when the bytes are not an ONNX model.
 */
export function withLogitsWindow(model: Uint8Array): Uint8Array {
  const graph = readGraph(model);
  const head = headOf(graph);
  if (head === undefined) return model;
  return join(rewrite(model, (field) => {
    if (field.number !== FIELD.MODEL_GRAPH) return undefined;
    if (inputNames(field.payload).includes(LOGITS_TO_KEEP)) return undefined;
    const nodes = rewrite(field.payload, ({ number, payload }) => {
      return number === FIELD.GRAPH_NODE && payload.byteOffset === head.place ? windowed(payload) : undefined;
    });
    return delimited(FIELD.MODEL_GRAPH, [
      ...nodes,
      ...storedInteger(END, LAST_INDEX),
      ...storedInteger(AXES, TOKEN_AXIS),
      ...graphInput(LOGITS_FROM, INT64, [varint(DIMENSION_VALUE, 1)]),
    ]);
  }));
}

/** Operations that do the same to every number, or, with a stored vector, to every row. */
const BY_ROW: readonly string[] = ["Identity", "Cast", "Tanh", "Mul", "Div", "Add"];

/** The product that the logits come from: of activations [batch, tokens, width] and a matrix. */
function headOf(graph: Graph): GraphNode | undefined {
  let node = producer(graph, LOGITS);
  while (node !== undefined && BY_ROW.includes(node.operator)) {
    const [activations, ...more] = node.inputs.filter((input) => !isVector(graph, input));
    node = activations === undefined || more.length > 0 ? undefined : producer(graph, activations);
  }
  // Not of integers: their rounding looks at all rows of a run, and a window would change it.
  const isProduct = node?.operator === "MatMul" || node?.operator === "MatMulNBits";
  return isProduct && isMatrix(graph, node!.inputs[1]!) ? node : undefined;
}

function producer({ nodes }: Graph, output: string): GraphNode | undefined {
  return nodes.find(({ outputs }) => outputs.includes(output));
}

function isVector(graph: Graph, name: string): boolean {
  const tensor = graph.tensors.get(name);
  return tensor === undefined ? producer(graph, name)?.operator === "Constant" : tensor.dimensions.length <= 1;
}

function isMatrix(graph: Graph, name: string): boolean {
  if (graph.tensors.has(name)) return true;
  const node = producer(graph, name);
  return node?.operator === "Transpose" && graph.tensors.has(node.inputs[0]!);
}

/** The node behind a slice of its first input. */
function windowed(node: Uint8Array): Pieces {
  const [first] = fieldsOf(node).filter(({ number }) => number === FIELD.NODE_INPUT);
  const changed = rewrite(node, ({ number, whole }) => {
    return whole.byteOffset === first!.whole.byteOffset ? delimited(number, WINDOW) : undefined;
  });
  return [
    ...newNode("Slice", [text(first!), LOGITS_FROM, END, AXES], WINDOW),
    ...delimited(FIELD.GRAPH_NODE, changed),
  ];
}

function inputNames(graph: Uint8Array): string[] {
  return fieldsOf(graph).filter(({ number }) => number === FIELD.GRAPH_INPUT)
    .map(({ payload }) => text(fieldsOf(payload).find(({ number }) => number === VALUE_NAME)!)).toArray();
}

const VALUE_NAME = 1;
const DIMENSION_VALUE = 1;
const TENSOR_DIMENSIONS = 1;
const TENSOR_TYPE = 2;
const TENSOR_NAME = 8;
const TENSOR_RAW_DATA = 9;
/** `TensorProto.DataType`. */
const INT64 = 7;
const TOKEN_AXIS = 1n;
/** Slices end where the tensor does when they are told to end behind it. */
const LAST_INDEX = 2n ** 62n;

function storedInteger(name: string, value: bigint): Pieces {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value, true);
  return delimited(FIELD.GRAPH_INITIALIZER, [
    ...varint(TENSOR_DIMENSIONS, 1),
    ...varint(TENSOR_TYPE, INT64),
    ...delimited(TENSOR_NAME, name),
    ...delimited(TENSOR_RAW_DATA, [bytes]),
  ]);
}
