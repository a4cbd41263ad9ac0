/** A model's Worker that counts what goes to its GPU and what comes back; it tells when it is sent `count`. */

import "../../src/model/worker/worker.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";

/** What went over. */
export interface Traffic {
  /** Bytes that were written to the GPU. */
  readonly up: number;
  /** Bytes that were fetched from it. */
  readonly down: number;
}

let up = 0;
let down = 0;

const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  if (descriptor.mappedAtCreation) up += descriptor.size;
  return create.call(this, descriptor);
};
const write = GPUQueue.prototype.writeBuffer;
GPUQueue.prototype.writeBuffer = function (buffer, offset, data, dataOffset, size) {
  up += size ?? data.byteLength;
  write.call(this, buffer, offset, data, dataOffset, size);
};
const map = GPUBuffer.prototype.mapAsync;
GPUBuffer.prototype.mapAsync = function (mode, ...place) {
  if (mode === GPUMapMode.READ) down += this.size;
  return map.call(this, mode, ...place);
};

const port = workerPort();
port.onMessage((message) => {
  const { type } = message as { readonly type: string };
  if (type === "count") port.post({ type: "counted", traffic: { up, down } satisfies Traffic });
});
