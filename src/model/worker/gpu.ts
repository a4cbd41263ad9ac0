/**
 * A WebGPU device for onnxruntime, chosen, guarded and counted by us. To be opened in a process of its own: what goes
 * wrong in a driver takes the whole process down.
 *
 * @module
 */

/** Whether a real GPU is wanted, or one that a CPU plays (lavapipe, SwiftShader), which is of use in tests alone. */
export type GpuKind = "hardware" | "software";

/** An open device. */
export interface Gpu {
  readonly device: GPUDevice;
  /** Bytes in buffers that were made and not destroyed. */
  bytes(): number;
  /** Resolves when the device is lost, with why. */
  readonly lost: Promise<string>;
}

/** Limits that onnxruntime's kernels want as high as they are; the defaults are those of a phone. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies readonly (keyof GPUSupportedLimits)[];
const FEATURES: readonly GPUFeatureName[] = ["shader-f16", "subgroups"];

/**
 * Opens the device of a kind.
 *
 * @throws Error when this machine has none, with what it has in its place.
 */
export async function openGpu(kind: GpuKind): Promise<Gpu> {
  const adapter = await findAdapter(kind);
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
  guardWrites(device.queue);
  return {
    device,
    bytes: countBytes(device),
    lost: device.lost.then(({ reason, message }) => `${reason}: ${message}`),
  };
}

/** What a device says went wrong, such that memory that is short is seen to be. */
export function saidBy(error: GPUError): string {
  return error instanceof GPUOutOfMemoryError ? `it is out of memory: ${error.message}` : error.message;
}

async function findAdapter(kind: GpuKind): Promise<GPUAdapter> {
  const isSoftware = kind === "software";
  const options = { powerPreference: "high-performance", forceFallbackAdapter: isSoftware } as const;
  const adapter = "gpu" in navigator ? await navigator.gpu.requestAdapter(options) : null;
  if (adapter?.info.isFallbackAdapter === isSoftware) return adapter;
  // What was asked for need not be what one gets.
  const found = adapter === null ? "" : `, only ${adapter.info.description || adapter.info.vendor}`;
  throw new Error(`this machine has no ${kind} WebGPU adapter${found}`);
}

/** Deno 2.9 panics where nothing is written: https://github.com/denoland/deno, ext/webgpu/queue.rs, line 153. */
function guardWrites(queue: GPUQueue): void {
  const write = queue.writeBuffer.bind(queue);
  queue.writeBuffer = (buffer, offset, data, dataOffset, size) => {
    if (data.byteLength > 0 && size !== 0) write(buffer, offset, data, dataOffset, size);
  };
}

/** Counts the bytes of a device's buffers from now on. */
function countBytes(device: GPUDevice): () => number {
  let bytes = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    let isThere = true;
    bytes += buffer.size;
    buffer.destroy = () => {
      if (isThere) bytes -= buffer.size;
      isThere = false;
      destroy();
    };
    return buffer;
  };
  return () => bytes;
}
