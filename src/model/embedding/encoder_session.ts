/**
 * An encoder in onnxruntime: token ids in, numbers for each token or for the whole text out. One text a run, so that
 * its bits depend on the text and the view alone.
 *
 * @module
 */

import { takeFloats } from "../generation/logits.ts";
import type { Feeds, LoadedGraph } from "../graph/graph.ts";
import type { LiveGraph } from "../graph/live_graph.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";

/** What came out of a run: as many rows as the text has tokens, or one for all of it. */
export interface EncoderOutput {
  /** Row by row. */
  readonly numbers: Float32Array;
  /** Numbers in a row. */
  readonly width: number;
}

/** The outputs in use, the one to take first: what is ready is as the model's makers meant it. */
export const ENCODER_OUTPUTS: readonly string[] = ["sentence_embedding", "last_hidden_state", "token_embeddings"];

/** A loaded encoder, ready to run. */
export class EncoderSession {
  /** Whether it gives a row for the whole text, pooled inside the graph, and not one for each token. */
  readonly pools: boolean;
  readonly #onnx: OnnxRuntime;
  readonly #live: LiveGraph;
  readonly #inputs: readonly Ort.InferenceSession.TensorValueMetadata[];
  readonly #output: string;
  readonly #firstPosition: number;

  /**
   * @param graph What `live` runs.
   * @param firstPosition What the model calls the place of a text's first token.
   * @throws Error naming what the graph lacks, or has and should not, to be an encoder's.
   */
  constructor(onnx: OnnxRuntime, live: LiveGraph, graph: LoadedGraph, firstPosition: number) {
    this.#onnx = onnx;
    this.#live = live;
    this.#inputs = checkInputs(graph);
    this.#output = ENCODER_OUTPUTS.find((name) => graph.session.outputNames.includes(name))!;
    this.#firstPosition = firstPosition;
    this.pools = this.#output === "sentence_embedding";
  }

  /**
   * Runs one text.
   *
   * @throws Error when what comes out does not belong to the text.
   */
  run(ids: readonly number[], adapter: Feeds, signal?: AbortSignal): Promise<EncoderOutput> {
    return this.#live.run({
      feeds: Object.fromEntries(this.#inputs.map((input) => [input.name, this.#tensor(input, ids)])),
      adapter,
      outputs: [this.#output],
      signal,
      take: async ({ [this.#output]: tensor }) => {
        const { dims } = tensor!;
        const shape = this.pools ? [1, dims[1]] : [1, ids.length, dims[2]];
        if (dims.join() !== shape.join()) {
          throw new Error(`${this.#output} has not a row for ${this.pools ? "the text" : "each token"}: ${dims}`);
        }
        return { numbers: await takeFloats(tensor!), width: dims.at(-1)! };
      },
    });
  }

  #tensor(input: Ort.InferenceSession.TensorValueMetadata, ids: readonly number[]): Ort.Tensor {
    const { ort } = this.#onnx;
    if (CACHE_INPUT.test(input.name)) {
      // The first place is the text's, what else is left open is the length of what came before: nothing.
      const dims = input.shape.map((size, at) => typeof size === "number" ? size : at === 0 ? 1 : 0);
      const data = input.type === "float16" ? new Uint16Array(0) : new Float32Array(0);
      return new ort.Tensor(input.type as "float32", data as Float32Array, dims);
    }
    const values = ids.map((id, index) => TOKEN_INPUTS[input.name]!(id, this.#firstPosition + index));
    return input.type === "int64"
      ? new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length])
      : new ort.Tensor("int32", Int32Array.from(values), [1, ids.length]);
  }
}

/** What an input is told of a token and its place. Nothing is padded, and there is one text alone. */
const TOKEN_INPUTS: Readonly<Record<string, (id: number, position: number) => number>> = {
  input_ids: (id) => id,
  attention_mask: () => 1,
  token_type_ids: () => 0,
  position_ids: (_, position) => position,
};

/** A decoder that embeds may have been exported with the inputs it generates with. */
const CACHE_INPUT = /^past_key_values\.\d+\.(key|value)$/;

/** Refuses a graph that cannot be run as an encoder; returns its inputs, adapters apart. */
function checkInputs({ session, noAdapter }: LoadedGraph): Ort.InferenceSession.TensorValueMetadata[] {
  const { inputNames, inputMetadata } = session;
  if (!inputNames.includes("input_ids")) throw new Error(`the graph has no input_ids: ${inputNames.join(", ")}`);
  return inputMetadata.filter(({ name }) => !(name in noAdapter)).map((input) => {
    const isOfTokens = Object.hasOwn(TOKEN_INPUTS, input.name);
    if (!isOfTokens && !CACHE_INPUT.test(input.name)) {
      throw new Error(`the graph has an input that is not known: ${input.name}`);
    }
    const types = isOfTokens ? ["int64", "int32"] : ["float32", "float16"];
    if (!input.isTensor || !types.includes(input.type)) {
      const type = input.isTensor ? input.type : "no tensor";
      throw new Error(`input ${input.name} of the graph is not ${types.join(" or ")}: ${type}`);
    }
    return input;
  });
}
