/**
 * What a model will take of the memory, foretold from the sizes of its files. Measured with onnxruntime-web 1.30 on
 * models of 7 MB to 1 GB: `tests/model/memory_test.ts` holds it to that.
 *
 * @module
 */

import type { ModelMemory, ResolvedBase } from "./backend.ts";

/** What the library has for itself. */
const LIBRARY_BYTES = 16 * 2 ** 20;
/** WASM memory over the weights in it: it grows in steps. */
const GROWTH = 1.07;

/** What a base will take when it is loaded and before it is asked anything; long texts take more. */
export function predictMemory({ device, files }: ResolvedBase): ModelMemory {
  const { size } = files.graph;
  return device === "wasm"
    ? { wasm: Math.ceil(LIBRARY_BYTES + GROWTH * size), gpu: 0 }
    : { wasm: LIBRARY_BYTES, gpu: size };
}
