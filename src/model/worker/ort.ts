/**
 * onnxruntime-web, entered the right way for a device. Loaded inside a model's Worker only: the memory it takes is given
 * back by ending the Worker and by nothing else.
 *
 * @module
 */

import type * as Ort from "onnxruntime-web";
import type { ModelDevice, ModelMemory } from "../backend.ts";
import { Fifo } from "./fifo.ts";
import { type GpuKind, openGpu } from "./gpu.ts";
import { gpuTensors, hostTensors, type Tensors } from "./tensors.ts";

export type { Ort };

/** The library, set up for one device. */
export interface OnnxRuntime extends Tensors {
  readonly ort: typeof Ort;
  /** How to make sessions that run on the device. */
  readonly sessionOptions: Ort.InferenceSession.SessionOptions;
  /** The lowest rank that a matrix product may have; where it is not 0, nothing is a column of zeros. */
  readonly lowestRank: 0 | 1;
  /** Whatever calls into the library takes its turn here: on a GPU, two calls at a time fail or never end. */
  readonly lock: Fifo;
  /** What this Worker holds. */
  memory(): ModelMemory;
  /** Resolves when the device is lost, with why; absent where it cannot be. */
  readonly lost?: Promise<string>;
}

/** Each device has a build of the library of its own, and only one may be loaded in a Worker. */
const ENTRANCES: Readonly<Record<ModelDevice, () => Promise<OnnxRuntime>>> = {
  wasm: enterWasm,
  webgpu: () => enterWebGpu("hardware"),
  "webgpu:software": () => enterWebGpu("software"),
};

/**
 * Loads onnxruntime-web for `device`.
 *
 * @throws Error when the device is not known, or not there.
 */
export async function loadOnnxRuntime(device: string): Promise<OnnxRuntime> {
  if (!Object.hasOwn(ENTRANCES, device)) {
    throw new Error(`device is not one of ${Object.keys(ENTRANCES).join(", ")}: ${JSON.stringify(device)}`);
  }
  return await ENTRANCES[device as ModelDevice]();
}

async function enterWasm(): Promise<OnnxRuntime> {
  const wasmBytes = watchMemories();
  const ort = await import("onnxruntime-web");
  useOneThread(ort);
  return {
    ...hostTensors(ort),
    ort,
    sessionOptions: { executionProviders: ["wasm"] },
    lowestRank: 0,
    lock: new Fifo(),
    memory: () => ({ wasm: wasmBytes(), gpu: 0 }),
  };
}

async function enterWebGpu(kind: GpuKind): Promise<OnnxRuntime> {
  const { device, bytes, lost } = await openGpu(kind);
  const wasmBytes = watchMemories();
  const ort = await import("onnxruntime-web/webgpu");
  useOneThread(ort);
  return {
    ...gpuTensors(ort, device),
    ort,
    // Keys and values go from one run into the next, and have no business outside.
    sessionOptions: { executionProviders: [{ name: "webgpu", device }], preferredOutputLocation: "gpu-buffer" },
    lowestRank: 1,
    lock: new Fifo(),
    memory: () => ({ wasm: wasmBytes(), gpu: bytes() }),
    lost,
  };
}

/** More threads would make sums depend on their number, and the cores belong to other models and the server too. */
function useOneThread(ort: typeof Ort): void {
  ort.env.wasm.numThreads = 1;
}

/** Bytes of every WASM memory made from now on. The library keeps its memory to itself, so its making is observed. */
function watchMemories(): () => number {
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, parameters, newTarget) {
      const memory = Reflect.construct(target, parameters, newTarget) as WebAssembly.Memory;
      memories.push(memory);
      return memory;
    },
  });
  return () => memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}
