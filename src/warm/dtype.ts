/**
 * In what numbers a model's weights are: the exports of one model that lie side by side, told apart by the suffixes
 * that transformers.js gives their files, and which of them serves a device best.
 *
 * @module
 */

import type { DeviceFacts } from "../model/backend.ts";

/** A kind of export, as transformers.js names them. `fp32` is the file without a suffix, whatever is in it. */
export type Dtype = "fp32" | "fp16" | "q8" | "int8" | "uint8" | "q4" | "q4f16" | "bnb4";

/** What `model.onnx` is called in each, between its stem and `.onnx`. */
export const SUFFIXES: Readonly<Record<Dtype, string>> = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
};

/** All of them. */
export const DTYPES: readonly Dtype[] = Object.keys(SUFFIXES) as Dtype[];

/** The CPU computes in float32 and casts the rest, so what is closest to the weights as trained comes first. */
const ON_WASM: readonly Dtype[] = ["fp32", "fp16", "q8", "int8", "uint8", "q4", "q4f16", "bnb4"];

/** WebGPU has kernels for blocks of 4 bits (`MatMulNBits`), while products of 8-bit integers go back to the CPU. */
const ON_GPU: readonly Dtype[] = ["fp32", "q4", "q8", "int8", "uint8", "bnb4"];

/** Half the bytes in half the time, and as close as most models were trained. */
const ON_GPU_WITH_FLOAT16: readonly Dtype[] = ["fp16", "fp32", "q4f16", "q4", "q8", "int8", "uint8", "bnb4"];

/** Whether a word names one. */
export function isDtype(word: string): word is Dtype {
  return Object.hasOwn(SUFFIXES, word);
}

/** What `auto` is on a device among those that are there; `undefined` when none of them runs on it. */
export function automaticDtype(there: Iterable<Dtype>, { device, float16 }: DeviceFacts): Dtype | undefined {
  const set = new Set(there);
  const order = device === "wasm" ? ON_WASM : float16 ? ON_GPU_WITH_FLOAT16 : ON_GPU;
  return order.find((dtype) => set.has(dtype));
}
