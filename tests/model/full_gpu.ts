/** Lets a GPU have no memory for buffers of more than 16 KB; to be imported before the device is opened. */

const { createBuffer: create, popErrorScope: pop } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (descriptor) {
  if (descriptor.size <= 2 ** 14) return create.call(this, descriptor);
  // As https://www.w3.org/TR/webgpu/#dom-gpudevice-createbuffer has it: a buffer that is none, and an error beside.
  this.pushErrorScope("validation");
  const none = create.call(this, { ...descriptor, size: 2 ** 52 });
  void pop.call(this);
  const error = new GPUOutOfMemoryError("Not enough memory left.");
  queueMicrotask(() => this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error })));
  return none;
};
