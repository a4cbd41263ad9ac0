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

/** The builds of the library: each device has one of its own, and only one may be loaded in a Worker. */
export interface OnnxLibraries {
  readonly wasm: () => Promise<typeof Ort>;
  readonly webgpu: () => Promise<typeof Ort>;
}

const ENTRANCES: Readonly<Record<ModelDevice, (libraries: OnnxLibraries) => Promise<OnnxRuntime>>> = {
  wasm: enterWasm,
  webgpu: (libraries) => enterWebGpu(libraries, "hardware"),
  "webgpu:software": (libraries) => enterWebGpu(libraries, "software"),
};

/**
 * Loads onnxruntime-web for `device`.
 *
 * @throws Error when the device is not known, or not there.
 */
export async function loadOnnxRuntime(device: string, libraries: OnnxLibraries): Promise<OnnxRuntime> {
  if (!Object.hasOwn(ENTRANCES, device)) {
    throw new Error(`device is not one of ${Object.keys(ENTRANCES).join(", ")}: ${JSON.stringify(device)}`);
  }
  return await ENTRANCES[device as ModelDevice](libraries);
}

async function enterWasm(libraries: OnnxLibraries): Promise<OnnxRuntime> {
  const wasmBytes = watchMemories();
  const ort = await libraries.wasm();
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

async function enterWebGpu(libraries: OnnxLibraries, kind: GpuKind): Promise<OnnxRuntime> {
  const { device, bytes, lost } = await openGpu(kind);
  const wasmBytes = watchMemories();
  const ort = await libraries.webgpu();
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
