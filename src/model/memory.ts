/**
 * What a model will take of the memory, foretold from the sizes of its files. Measured with onnxruntime-web 1.30 on
 * models of 7 MB to 1 GB: `tests/model/memory_test.ts` holds it to that.
 *
 * @module
 */

import { isOnnxBase, type ModelMemory, type ResolvedBase } from "./backend.ts";

/** What the library has for itself. */
const LIBRARY_BYTES = 16 * 2 ** 20;
/** WASM memory over the weights in it: it grows in steps. */
const GROWTH = 1.07;

/** What a base will take when it is loaded and before it is asked anything; long texts take more. */
export function predictMemory(base: ResolvedBase): ModelMemory {
  if (!isOnnxBase(base)) return { wasm: 0, gpu: 0 };
  const { device, files: { graph, externalData = [] } } = base;
  const size = externalData.reduce((sum, file) => sum + file.size, graph.size);
  return device === "wasm"
    ? { wasm: Math.ceil(LIBRARY_BYTES + GROWTH * size), gpu: 0 }
    : { wasm: LIBRARY_BYTES, gpu: size };
}
