/**
 * onnxruntime-web, entered the right way for a device. Loaded inside a model's Worker only: the WASM memory it takes
 * is given back by ending the Worker and by nothing else.
 *
 * @module
 */

import type * as Ort from "onnxruntime-web";
import type { ModelMemory } from "./backend.ts";

export type { Ort };

/** The library, set up for one device. */
export interface OnnxRuntime {
  readonly ort: typeof Ort;
  readonly executionProvider: string;
  /** What this Worker holds. */
  memory(): ModelMemory;
}

/** Entry points by device; each is a build of its own, and only one may be loaded in a Worker. */
const ENTRY_POINTS: Readonly<Record<string, () => Promise<typeof Ort>>> = {
  wasm: () => import("onnxruntime-web"),
};

/**
 * Loads onnxruntime-web for `device`.
 *
 * @throws Error when no entry point for that device is known.
 */
export async function loadOnnxRuntime(device: string): Promise<OnnxRuntime> {
  const enter = Object.hasOwn(ENTRY_POINTS, device) ? ENTRY_POINTS[device] : undefined;
  if (enter === undefined) {
    throw new Error(`device is not one of ${Object.keys(ENTRY_POINTS).join(", ")}: ${JSON.stringify(device)}`);
  }
  const memories = watchMemories();
  const ort = await enter();
  // More threads would make sums depend on their number, and the cores belong to other models and the server too.
  ort.env.wasm.numThreads = 1;
  return {
    ort,
    executionProvider: device,
    memory: () => ({ wasm: memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0), gpu: 0 }),
  };
}

/** Every WASM memory made from now on. The library keeps its memory to itself, so its making is observed. */
function watchMemories(): readonly WebAssembly.Memory[] {
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, parameters, newTarget) {
      const memory = Reflect.construct(target, parameters, newTarget) as WebAssembly.Memory;
      memories.push(memory);
      return memory;
    },
  });
  return memories;
}
