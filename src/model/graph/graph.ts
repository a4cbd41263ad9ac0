/**
 * An ONNX graph, loaded with adapter inputs, its weights taken from files that are read as they are needed.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { OnnxBase } from "../backend.ts";
import { type LinearLayers, linearLayers, loraInputNames, nodeName, withLoraInputs } from "./lora_graph.ts";
import { outline } from "./onnx_outline.ts";
import type { OnnxRuntime, Ort } from "../worker/ort.ts";
import type { LoraMatrices } from "../adapter/peft.ts";
import { VerifiedFile } from "./verified_file.ts";

/** Tensors by the graph input they go to. */
export type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** Loads the graph of one base anew, with adapter inputs for those of `modules` that are linear layers of it. */
export type GraphLoader = (modules: ReadonlySet<string>) => Promise<LoadedGraph>;

/** A graph in memory. */
export interface LoadedGraph {
  readonly session: Ort.InferenceSession;
  /** The linear layers an adapter may target, by node name. */
  readonly layers: LinearLayers;
  /** Modules that have adapter inputs. */
  readonly modules: ReadonlySet<string>;
  /** Nothing for each of those modules: the base alone. */
  readonly noAdapter: Feeds;
}

/**
 * Loads a base's graph, with adapter inputs for those of `wanted` that are linear layers of it.
 *
 * @throws ModelError `identity_changed`; Error when the graph is broken.
 */
export async function loadGraph(
  runtime: Runtime,
  onnx: OnnxRuntime,
  base: OnnxBase,
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
