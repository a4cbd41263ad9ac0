/** A model's Worker that counts what its GPU is asked for, what goes there and what comes back; it tells on `count`. */

import "../../src/model/worker/worker.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";

/** What the GPU was asked for so far. */
export interface Traffic {
  /** Bytes that were written to the GPU. */
  readonly up: number;
  /** Bytes that were fetched from it. */
  readonly down: number;
  /** How often something was fetched: each time the CPU waits until the GPU has got there. */
  readonly fetches: number;
  /** How often something was written to it. */
  readonly writes: number;
  /** Shaders that were started. */
  readonly dispatches: number;
  /** Batches of commands that were sent. */
  readonly submits: number;
  /** Bytes that were copied from one of its buffers to another. */
  readonly copied: number;
  /** Buffers that were made. */
  readonly buffers: number;
}

const traffic = { up: 0, down: 0, fetches: 0, writes: 0, dispatches: 0, submits: 0, copied: 0, buffers: 0 };

const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  traffic.buffers++;
  if (descriptor.mappedAtCreation) {
    traffic.writes++;
    traffic.up += descriptor.size;
  }
  return create.call(this, descriptor);
};
const write = GPUQueue.prototype.writeBuffer;
GPUQueue.prototype.writeBuffer = function (buffer, offset, data, dataOffset, size) {
  traffic.writes++;
  traffic.up += size ?? data.byteLength;
  write.call(this, buffer, offset, data, dataOffset, size);
};
const map = GPUBuffer.prototype.mapAsync;
GPUBuffer.prototype.mapAsync = function (this: GPUBuffer, mode, offset = 0, size = this.size - offset) {
  if (mode === GPUMapMode.READ) {
    traffic.fetches++;
    traffic.down += size;
  }
  return map.call(this, mode, offset, size);
};
const dispatch = GPUComputePassEncoder.prototype.dispatchWorkgroups;
GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...size) {
  traffic.dispatches++;
  dispatch.apply(this, size);
};
const submit = GPUQueue.prototype.submit;
GPUQueue.prototype.submit = function (commands) {
  traffic.submits++;
  submit.call(this, commands);
};
const copy = GPUCommandEncoder.prototype.copyBufferToBuffer;
// deno-lint-ignore no-explicit-any -- it has two forms
(GPUCommandEncoder.prototype as any).copyBufferToBuffer = function (...parameters: any[]): void {
  traffic.copied += (parameters.length > 3 ? parameters[4] : parameters[2]) ?? parameters[0].size;
  // deno-lint-ignore no-explicit-any -- the same
  (copy as any).apply(this, parameters);
};

const port = workerPort();
port.onMessage((message) => {
  const { type } = message as { readonly type: string };
  if (type === "count") port.post({ type: "counted", traffic: { ...traffic } satisfies Traffic });
});
