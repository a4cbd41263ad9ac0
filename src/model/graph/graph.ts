/**
 * An ONNX graph of a causal language model, loaded with adapter inputs and checked: what is not understood about it is
 * refused here, by name, and not found out in the middle of an answer.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { ResolvedBase } from "../backend.ts";
import { type LinearLayers, linearLayers, loraInputNames, nodeName, withLoraInputs } from "./lora_graph.ts";
import { outline } from "./onnx_outline.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import type { LoraMatrices } from "../adapter/peft.ts";
import { VerifiedFile } from "./verified_file.ts";

/** Tensors by the graph input they go to. */
export type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** A graph in memory. */
export interface LoadedGraph {
  readonly session: Ort.InferenceSession;
  /** The linear layers an adapter may target, by node name. */
  readonly layers: LinearLayers;
  /** Modules that have adapter inputs. */
  readonly modules: ReadonlySet<string>;
  /** Nothing for each of those modules: the base alone. */
  readonly noAdapter: Feeds;
  /** Inputs for keys and values of earlier tokens. */
  readonly cacheInputs: readonly string[];
}

/**
 * Loads a base's graph, with adapter inputs for those of `wanted` that are linear layers of it.
 *
 * @throws ModelError `identity_changed`; Error when the graph is broken, or lacks an input or output.
 */
export async function loadGraph(
  runtime: Runtime,
  onnx: OnnxRuntime,
  base: ResolvedBase,
  wanted: ReadonlySet<string>,
): Promise<LoadedGraph> {
  const { path, size } = base.files.graph;
  if (size > ADDRESSABLE) {
    throw new Error(`${path} has ${size} bytes: onnxruntime can address ${ADDRESSABLE} here; take a smaller dtype`);
  }
  const weights = await VerifiedFile.open(runtime, base.files.graph);
  try {
    const model = outline(weights, WEIGHTS);
    const layers = linearLayers(model);
    const modules = new Set([...wanted].filter((module) => layers.has(nodeName(module))));
    const rewritten = withLoraInputs(model, layers, modules);
    const session = await onnx.lock.run(() =>
      onnx.ort.InferenceSession.create(rewritten, {
        ...onnx.sessionOptions,
        externalData: [{ path: WEIGHTS, data: readOnDemand(weights) }],
        logSeverityLevel: ERRORS_ONLY,
      })
    );
    const noAdapter = Array.from(modules, (module) => {
      const size = layers.get(nodeName(module))!;
      const zeros = (length: number): Float32Array => new Float32Array(length * onnx.lowestRank);
      const matrices = { rank: onnx.lowestRank, a: zeros(size.inputSize), b: zeros(size.outputSize) };
      return loraFeeds(onnx, module, { ...size, ...matrices });
    });
    return {
      session,
      layers,
      modules,
      noAdapter: Object.assign({}, ...noAdapter),
      cacheInputs: checkGraph(session, modules),
    };
  } catch (error) {
    throw weights.failure ?? new Error(`${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    weights.close();
  }
}

/**
 * A file in the shape that onnxruntime takes data in: of that it asks how long it is, and for the part that it is about
 * to copy.
 */
function readOnDemand(file: VerifiedFile): Uint8Array {
  let buffer = new Uint8Array();
  return Object.defineProperties(new Uint8Array(), {
    byteLength: { value: file.size },
    subarray: {
      value(start: number, end: number): Uint8Array {
        if (buffer.length < end - start) buffer = new Uint8Array(end - start);
        return file.read(start, end, buffer.subarray(0, end - start));
      },
    },
  });
}

/** The output that holds what a cache input takes in the next run. */
export function presentName(cacheInput: string): string {
  return cacheInput.replace("past_key_values", "present");
}

/** One module's adapter as graph inputs. */
export function loraFeeds(onnx: OnnxRuntime, module: string, matrices: LoraMatrices): Feeds {
  const { rank, a, inputSize, b, outputSize } = matrices;
  const names = loraInputNames(module);
  return {
    [names.a]: new onnx.ort.Tensor("float32", a, [inputSize, rank]),
    [names.b]: new onnx.ort.Tensor("float32", b, [rank, outputSize]),
  };
}

const ERRORS_ONLY = 3;
const WEIGHTS = "weights";
/** WebAssembly's addresses, which places in a file have to fit as well, have 32 bits. */
const ADDRESSABLE = 2 ** 32;
const TOKEN_INPUTS: readonly string[] = ["input_ids", "attention_mask", "position_ids"];
const CACHE_INPUT = /^past_key_values\.\d+\.(key|value)$/;

/** Refuses a graph that cannot be run as a causal language model with a cache; returns its cache inputs. */
function checkGraph(session: Ort.InferenceSession, modules: ReadonlySet<string>): string[] {
  const { inputNames, outputNames, inputMetadata } = session;
  const cacheInputs = inputNames.filter((name) => CACHE_INPUT.test(name));
  if (cacheInputs.length === 0) throw new Error(`the graph has no past_key_values inputs: ${inputNames.join(", ")}`);
  if (!inputNames.includes("input_ids")) throw new Error(`the graph has no input_ids: ${inputNames.join(", ")}`);
  for (const output of ["logits", ...cacheInputs.map(presentName)]) {
    if (!outputNames.includes(output)) throw new Error(`the graph has no output ${output}: ${outputNames.join(", ")}`);
  }
  const adapterInputs = [...modules].flatMap((module) => Object.values(loraInputNames(module)));
  const known = new Set([...TOKEN_INPUTS, ...cacheInputs, ...adapterInputs]);
  for (const input of inputMetadata) {
    if (!known.has(input.name)) throw new Error(`the graph has an input that is not known: ${input.name}`);
    const type = TOKEN_INPUTS.includes(input.name) ? "int64" : "float32";
    if (!input.isTensor || input.type !== type) {
      throw new Error(`input ${input.name} of the graph is not ${type}: ${input.isTensor ? input.type : "no tensor"}`);
    }
  }
  return cacheInputs;
}
