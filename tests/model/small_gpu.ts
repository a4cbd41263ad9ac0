/** Lets a GPU have no buffers of more than 16 KB; to be imported before the device is opened. */

const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  return create.call(this, descriptor.size > 2 ** 14 ? { ...descriptor, size: 2 ** 52 } : descriptor);
};
