/**
 * Tensors that lie where the model runs, so that what is used again and again is not carried there each time.
 *
 * @module
 */

import type * as Ort from "onnxruntime-web";
import { takeFloats, wholeRows } from "../generation/logits.ts";
import type { Row, RowsWanted } from "../generation/row.ts";
import { saidBy } from "./gpu.ts";
import { GpuRows } from "./gpu_rows.ts";

/** Element types of activations: what adapters and caches are made of. */
export type FloatType = "float32" | "float16";

/** Makes tensors on one device, and looks into them. To make them takes no call into the library, and no turn of its lock. */
export interface Tensors {
  /**
   * A tensor that stays on the device until its owner disposes it.
   *
   * @param data Numbers of 32 bits, or the bits of those of 16.
   * @throws Error when the device has no room for it.
   */
  resident(type: FloatType, data: Float32Array | Uint16Array, dims: readonly number[]): Promise<Ort.Tensor>;
  /**
   * A new tensor of the first `length` positions of one of shape [batch, heads, positions, size], made where that one
   * lies. It must not be disposed before this resolves.
   *
   * @throws RangeError when it has another shape, or fewer positions; Error when the device has no room.
   */
  trimmed(tensor: Ort.Tensor, length: number): Promise<Ort.Tensor>;
  /**
   * What is wanted of the last rows of logits of shape [1, tokens, vocabulary], or more; lets go of them. To be called
   * in the library's turn.
   *
   * @throws Error when they are no floating-point numbers, or the device has no room.
   */
  takeRows(logits: Ort.Tensor, wanted: RowsWanted): Promise<Row[]>;
  /**
   * What the device has refused and nobody was told, if anything: a buffer that there was no room for is one that can be
   * computed with all the same, and gives numbers.
   */
  refusal(): string | undefined;
  /** What the device has said last of anything that went wrong; the library keeps that to itself. */
  complaint(): string | undefined;
}

/** Tensors in WASM's reach: plain arrays. */
export function hostTensors(ort: typeof Ort): Tensors {
  return {
    // deno-lint-ignore require-await -- a tensor that cannot be made is a rejection
    async resident(type, data, dims) {
      return new ort.Tensor(type, data, dims);
    },
    // deno-lint-ignore require-await -- the same
    async trimmed(tensor, length) {
      return trimOnHost(ort, tensor, length);
    },
    takeRows: takeWholeRows,
    refusal: () => undefined,
    complaint: () => undefined,
  };
}

async function takeWholeRows(logits: Ort.Tensor, { rows = 1 }: RowsWanted): Promise<Row[]> {
  const size = logits.dims.at(-1)!;
  return wholeRows(await takeFloats(logits, rows * size), size);
}

/** Tensors in buffers of a GPU; one that lies on the host, as the library gives some, is trimmed there. */
export function gpuTensors(ort: typeof Ort, device: GPUDevice): Tensors {
  const found = new GpuRows(device);
  let refusal: string | undefined;
  let complaint: string | undefined;
  device.addEventListener("uncapturederror", (event) => {
    refusal ??= complaint = saidBy((event as GPUUncapturedErrorEvent).error);
  });
  const pop = device.popErrorScope.bind(device);
  device.popErrorScope = async () => {
    const error = await pop();
    if (error !== null) complaint = saidBy(error);
    return error;
  };
  return {
    refusal: () => refusal,
    complaint: () => complaint,
    async takeRows(logits, wanted) {
      const isThere = logits.location === "gpu-buffer" && (logits.type === "float32" || logits.type === "float16");
      if (!isThere) return await takeWholeRows(logits, wanted);
      const rows = await found.find(logits, wanted);
      logits.dispose();
      return rows;
    },
    async resident(type, data, dims) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const buffer = await filledBuffer(device, bytes.length, (upload) => {
        // Whole words, as the GPU writes them: what follows the data is never read.
        const words = new Uint8Array(wordsOf(bytes.length));
        words.set(bytes);
        device.queue.writeBuffer(upload, 0, words);
      });
      return ofBuffer(ort, buffer, type, dims);
    },
    async trimmed(tensor, length) {
      if (tensor.location !== "gpu-buffer") return trimOnHost(ort, tensor, length);
      const { rows, row, kept, dims } = trimming(tensor, length);
      const type = tensor.type as FloatType;
      const size = BYTES[type];
      if (row * size % WORD !== 0 || kept * size % WORD !== 0) {
        throw new RangeError(
          `Cannot trim a tensor of ${type} and shape ${shapeOf(tensor)}: its rows are no whole words`,
        );
      }
      const source = tensor.gpuBuffer as GPUBuffer;
      const buffer = await filledBuffer(device, rows * kept * size, (copy) => {
        const commands = device.createCommandEncoder();
        for (let index = 0; index < rows; index++) {
          commands.copyBufferToBuffer(source, index * row * size, copy, index * kept * size, kept * size);
        }
        device.queue.submit([commands.finish()]);
      });
      return ofBuffer(ort, buffer, type, dims);
    },
  };
}

const BYTES: Readonly<Record<FloatType, number>> = { float32: 4, float16: 2 };
/** What GPUs copy and write, in bytes. */
const WORD = 4;
/** What onnxruntime's shaders read at once, in bytes. */
const VECTOR = 16;

/**
 * STORAGE, COPY_DST and COPY_SRC of `GPUBufferUsage`, which the DOM's types do not have as values.
 * https://www.w3.org/TR/webgpu/#buffer-usage
 */
const USAGE = 0x80 | 0x08 | 0x04;

function wordsOf(bytes: number): number {
  return Math.ceil(bytes / WORD) * WORD;
}

/** A buffer on the GPU. */
async function filledBuffer(device: GPUDevice, bytes: number, fill: (buffer: GPUBuffer) => void): Promise<GPUBuffer> {
  const size = Math.max(Math.ceil(bytes / VECTOR), 1) * VECTOR;
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const buffer = device.createBuffer({ size, usage: USAGE });
  fill(buffer);
  // Both before anybody else can have a turn: scopes are a stack.
  const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const error = errors.find((error) => error !== null);
  if (error === undefined) return buffer;
  buffer.destroy();
  throw new Error(`Cannot put ${bytes} bytes on the GPU: ${saidBy(error!)}`);
}

function ofBuffer(ort: typeof Ort, buffer: GPUBuffer, dataType: FloatType, dims: readonly number[]): Ort.Tensor {
  return ort.Tensor.fromGpuBuffer(buffer, { dataType, dims, dispose: () => buffer.destroy() });
}

/** Where the parts to keep lie, counted in elements. */
function trimming(tensor: Ort.Tensor, length: number): {
  readonly rows: number;
  readonly row: number;
  readonly kept: number;
  readonly dims: readonly number[];
} {
  const [batch, heads, positions, size, ...rest] = tensor.dims;
  const isCache = size !== undefined && rest.length === 0;
  if (!isCache || !(Number.isSafeInteger(length) && length >= 0 && length <= positions!)) {
    throw new RangeError(`Cannot trim a tensor of shape ${shapeOf(tensor)} to ${length} positions`);
  }
  const kept = length * size;
  return { rows: batch! * heads!, row: positions! * size, kept, dims: [batch!, heads!, length, size] };
}

function trimOnHost(ort: typeof Ort, tensor: Ort.Tensor, length: number): Ort.Tensor {
  const { rows, row, kept, dims } = trimming(tensor, length);
  const whole = tensor.data as Float32Array;
  // An array of the same kind, every part of which is written over.
  const trimmed = whole.slice(0, rows * kept);
  for (let index = 0; index < rows; index++) {
    trimmed.set(whole.subarray(index * row, index * row + kept), index * kept);
  }
  return new ort.Tensor(tensor.type as FloatType, trimmed, dims);
}

function shapeOf({ dims }: Ort.Tensor): string {
  return `[${dims.join(", ")}]`;
}
