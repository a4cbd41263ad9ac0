/** What is measured on: the device, its limits, its driver, and how much memory it moves in a second. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { openGpu } from "../../src/model/worker/gpu.ts";
import { median } from "../harness.ts";

/** A machine's facts. */
export interface MachineFacts {
  readonly gpu: string;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** As the driver's own tool has it; absent without one. */
  readonly driver?: string;
  /** Bytes read and written in a second, by copies from buffer to buffer. */
  readonly bandwidth: number;
}

/** Finds them out. */
export async function measureMachine(device: string): Promise<MachineFacts> {
  const adapter = await navigator.gpu.requestAdapter({
    powerPreference: "high-performance",
    forceFallbackAdapter: device !== "webgpu",
  });
  const { device: gpu } = await openGpu(device === "webgpu" ? "hardware" : "software");
  const { info } = adapter!;
  const driver = await nvidia("name,driver_version,memory.total");
  const names = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize"] as const;
  return {
    gpu: `${info.description || info.device || info.vendor}${info.architecture ? `, ${info.architecture}` : ""}`,
    features: [...gpu.features].toSorted(),
    limits: Object.fromEntries(names.map((name) => [name, gpu.limits[name]])),
    ...(driver !== undefined && { driver }),
    bandwidth: await copySpeed(gpu, device === "webgpu" ? 2 ** 28 : 2 ** 22),
  };
}

async function copySpeed(device: GPUDevice, bytes: number): Promise<number> {
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [from, to] = [device.createBuffer({ size: bytes, usage }), device.createBuffer({ size: bytes, usage })];
  const times = 16;
  const speeds: number[] = [];
  for (let round = 0; round < 5; round++) {
    const commands = device.createCommandEncoder();
    for (let time = 0; time < times; time++) commands.copyBufferToBuffer(from, 0, to, 0, bytes);
    const started = performance.now();
    device.queue.submit([commands.finish()]);
    await device.queue.onSubmittedWorkDone();
    speeds.push(2 * times * bytes / (performance.now() - started) * 1000);
  }
  from.destroy();
  to.destroy();
  return median(speeds);
}

/** Memory that is in use on an NVIDIA GPU; `undefined` where that cannot be asked. */
export async function gpuMegabytes(): Promise<number | undefined> {
  const used = await nvidia("memory.used");
  return used === undefined ? undefined : Number.parseFloat(used) * 1.048576;
}

async function nvidia(query: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("nvidia-smi", [`--query-gpu=${query}`, "--format=csv,noheader"]);
    return stdout.trim().split("\n")[0];
  } catch {
    return undefined;
  }
}
