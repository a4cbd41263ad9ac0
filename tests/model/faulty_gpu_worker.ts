/**
 * A model's Worker with a GPU that fails when it is told to: `lose` takes the device away, `hang` lets no more result
 * come back, `panic` makes the mistake that Deno's WebGPU panics on, `full` has no room for further buffers, and
 * `refuse` refuses something that nobody looks after.
 */

import "../../src/model/worker/worker.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";

const devices: GPUDevice[] = [];
/** Larger than any. */
const TOO_LARGE = 2 ** 52;
let isFull = false;
const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  return create.call(this, isFull ? { ...descriptor, size: TOO_LARGE } : descriptor);
};
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, ...parameters): Promise<GPUDevice> {
  const device = await request.apply(this, parameters);
  devices.push(device);
  return device;
};

workerPort().onMessage((message) => {
  switch ((message as { type: string }).type) {
    case "lose":
      return devices.forEach((device) => device.destroy());
    case "hang":
      GPUBuffer.prototype.mapAsync = () => new Promise(() => {});
      return;
    case "full":
      return void (isFull = true);
    case "refuse":
      return devices.forEach((device) => void device.createBuffer({ size: TOO_LARGE, usage: GPUBufferUsage.COPY_DST }));
    case "panic":
      for (const device of devices) {
        const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
        GPUQueue.prototype.writeBuffer.call(device.queue, buffer, 0, new Uint8Array(0));
      }
  }
});
