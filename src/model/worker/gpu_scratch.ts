/**
 * Buffers that each look through logits writes over: made once, since a token would otherwise cost four, and made anew
 * where they are too small.
 *
 * @module
 */

import { saidBy } from "./gpu.ts";

/** What is needed, in bytes. */
export interface ScratchSizes {
  /** Ids that are asked for, one for each row. */
  readonly ids: number;
  /** What a shader finds. */
  readonly found: number;
  /** What comes back. */
  readonly back: number;
}

/** Buffers of at least these sizes. */
export interface Scratch {
  readonly task: GPUBuffer;
  readonly ids: GPUBuffer;
  readonly found: GPUBuffer;
  readonly back: GPUBuffer;
}

/** Of `GPUBufferUsage`, which the DOM's types do not have as values: https://www.w3.org/TR/webgpu/#buffer-usage */
const MAP_READ = 0x01;
const COPY_SRC = 0x04;
const COPY_DST = 0x08;
const UNIFORM = 0x40;
const STORAGE = 0x80;
const USAGE = {
  task: UNIFORM | COPY_DST,
  ids: STORAGE | COPY_DST,
  found: STORAGE | COPY_SRC,
  back: MAP_READ | COPY_DST,
} as const satisfies Readonly<Record<keyof Scratch, number>>;

/** Size and order of a task's numbers are the shader's. */
const TASK_BYTES = 16;
/** Larger ones are given back when they are no longer needed: a long text's are. */
const KEPT_BYTES = 2 ** 20;
/** `GPUMapMode.READ`. */
const READ = 1;

/** The buffers of one device, for one user at a time. */
export class GpuScratch {
  readonly #device: GPUDevice;
  readonly #buffers = new Map<keyof Scratch, GPUBuffer>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Buffers that are large enough.
   *
   * @throws Error when the device has no room.
   */
  async of(sizes: ScratchSizes): Promise<Scratch> {
    return {
      task: await this.#buffer("task", TASK_BYTES),
      ids: await this.#buffer("ids", sizes.ids),
      found: await this.#buffer("found", sizes.found),
      back: await this.#buffer("back", sizes.back),
    };
  }

  /** The first bytes of what comes back, once it is there, as a copy. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const back = this.#buffers.get("back")!;
    await back.mapAsync(READ, 0, bytes);
    const copy = back.getMappedRange(0, bytes).slice(0);
    back.unmap();
    for (const [name, buffer] of this.#buffers) {
      if (buffer.size <= KEPT_BYTES) continue;
      buffer.destroy();
      this.#buffers.delete(name);
    }
    return copy;
  }

  async #buffer(name: keyof Scratch, bytes: number): Promise<GPUBuffer> {
    const known = this.#buffers.get(name);
    if (known !== undefined && known.size >= bytes) return known;
    known?.destroy();
    this.#buffers.delete(name);
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, TASK_BYTES)));
    const buffer = this.#device.createBuffer({ size, usage: USAGE[name] });
    const errors = await Promise.all([this.#device.popErrorScope(), this.#device.popErrorScope()]);
    const error = errors.find((error) => error !== null);
    if (error != null) {
      buffer.destroy();
      throw new Error(`Cannot make a buffer of ${size} bytes on the GPU: ${saidBy(error)}`);
    }
    this.#buffers.set(name, buffer);
    return buffer;
  }
}
