/**
 * Where a model runs: which device `auto` is, and what a model on each device lives in.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { Milliseconds, Runtime, WorkerHandle } from "../runtime/runtime.ts";
import { siblingModule } from "../runtime/sibling.ts";
import type { DeviceFacts, ModelDevice } from "./backend.ts";
import { ModelError } from "./error.ts";
import { WorkerLine } from "./worker/worker_line.ts";
// Started by URL below; the import tells packers that it, and what it imports, belongs to the package.
import type {} from "./worker/worker.ts";

/** Graphics drivers have been asked for that long; then there is none. */
const PATIENCE: Milliseconds = 10_000;
const WASM: DeviceFacts = { device: "wasm", float16: false };

/**
 * What `auto` is on this machine: a real GPU where there is one, never one that the CPU plays; else `wasm`, with the
 * reason.
 */
export async function automaticDevice(runtime: Runtime): Promise<DeviceFacts> {
  const { reason, ...gpu } = await deviceFacts(runtime, "webgpu");
  return reason === undefined ? gpu : { ...WASM, reason };
}

/**
 * What a device can do. To find out of a GPU takes a process of its own, since drivers stay in the memory of whoever
 * has loaded them: a moment each time, so it is worth remembering.
 */
export async function deviceFacts(runtime: Runtime, device: ModelDevice): Promise<DeviceFacts> {
  if (device === "wasm") return WASM;
  const unable = (reason: string): DeviceFacts => ({ device, float16: false, reason });
  if (runtime.spawnProcess === undefined) return unable(needsDeno(runtime));
  try {
    const worker = spawnModelWorker(runtime, device, "search for a GPU");
    const line = new WorkerLine(worker, { clock: runtime.clock, silence: PATIENCE });
    try {
      return { device, ...await line.ask({ kind: "device", gpu: device === "webgpu" ? "hardware" : "software" }) };
    } finally {
      line.end();
    }
  } catch (error) {
    if (error instanceof ModelError && error.code === "model_load_failed") return unable(error.message);
    return unable(`the search for a GPU failed: ${messageOf(error instanceof ModelError ? error.cause : error)}`);
  }
}

/**
 * Starts what a model on `device` lives in. On a GPU that is a process: Deno's WebGPU panics on some mistakes, which
 * ends the process whichever Worker makes them.
 *
 * @throws ModelError `model_load_failed` where this runtime has no GPU for us; FileError when it cannot be started.
 */
export function spawnModelWorker(runtime: Runtime, device: string, name: string): WorkerHandle {
  const module = siblingModule("worker/worker", import.meta.url);
  if (!device.startsWith("webgpu")) return runtime.spawnWorker(module, name);
  if (runtime.spawnProcess !== undefined) return runtime.spawnProcess(module, name);
  const message = `Cannot run a ${name} on ${device}: ${needsDeno(runtime)}; use the device wasm`;
  throw new ModelError("model_load_failed", message, { permanent: true });
}

function needsDeno({ name }: Runtime): string {
  return `WebGPU needs Deno, and this is ${name}`;
}
